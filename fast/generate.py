"""Write the elementwise kernels from the table of operations: `python fast/generate.py`, or `--check` in the lint step.

Run as a file and not as a module of `fast`, which cannot be imported while a kernel of a new row is missing.

Why generated files and not kernels made while the program runs: Numba keeps compiled code on disk only for functions
that stand in a file, and it does not notice when a function that a kernel calls has changed in another file. A plain
module with the formula written out in it is cached, and is compiled again when the formula changes.

What `approximations.py` offers is too long to be written out wherever it is used. The kernel modules that import it
bear a stamp of its text instead, kept true here, so that they change when it does. So do those that use `intrinsics.py`
or kernels of another module.

Each row of `micro.ops.OPS` becomes one kernel for the result and one for each slope. Every target writes the same
loops in its own frame; `TARGETS` lists them. Each row is also a branch in the two interpreters of a tape; `TAPES`
lists those. Kernels for GPUs are files as well, so that they can be read beside the others, and are not stamped: they
are compiled anew in every process.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import re
import sys
from dataclasses import dataclass
from functools import cache, reduce
from pathlib import Path
from textwrap import indent

from micro.ops import CONSTANTS, OPERATIONS, OPS, Op

KERNELS = Path(__file__).parent / "kernels"
CUDA_KERNELS = Path(__file__).parent / "cuda" / "kernels"
APPROXIMATIONS = Path(__file__).parent / "approximations.py"


#: What the words of a formula are called in a kernel, where they are not functions of `math`: on a CPU and on a GPU.
_WORDS = {
    "abs": "_abs",
    "round": "np.rint",
    "floor": "np.floor",
    "ceil": "np.ceil",
    **{word: f"approximations.{word}" for word in ("exp", "tanh", "sigmoid", "silu", "gelu", "gelu_slope")},
}


_GPU_WORDS = {
    "abs": "_abs",
    "round": "formulas.rint",
    **{word: f"formulas.{word}" for word in ("sigmoid", "silu", "gelu", "gelu_slope")},
}


#: Formulas that kernels compute as a whole: in float32 the product of rounded factors would be less exact.
_WHOLE = {"x * sigmoid(x)": "silu(x)", "x * cdf(x)": "gelu(x)", "cdf(x) + x * pdf(x)": "gelu_slope(x)"}


class _Elements(ast.NodeTransformer):
    """Turn a formula over numbers into one over elements: `x` becomes `x[i]`, `log` `math.log`, and `1` `number(1)`.

    element: how an element is written, with the name's place left open: "{}[i]".
    `number` is the arrays' own type. A bare 1 is an int64, which would turn float32 arithmetic into float64.
    """

    words = _WORDS

    def __init__(self, element: str) -> None:
        self.element = element

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in CONSTANTS:
            return _expression(f"number(math.{node.id})")
        return _expression(self.element.format(node.id))

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return _expression(f"number({node.value!r})")

    def visit_Call(self, node: ast.Call) -> ast.expr:
        assert isinstance(node.func, ast.Name)
        word = self.words.get(node.func.id, f"math.{node.func.id}")
        return ast.Call(_expression(word), [self.visit(argument) for argument in node.args], [])


def _expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


class _GpuElements(_Elements):
    """The same for a GPU, where other functions are at hand."""

    words = _GPU_WORDS


class _Lanes(_Elements):
    """Turn a formula over numbers into one over lanes, where both branches of a choice are computed."""

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        return ast.Call(
            _expression("choose"), [self.visit(node.test), self.visit(node.body), self.visit(node.orelse)], []
        )

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        joint = ast.BitAnd() if isinstance(node.op, ast.And) else ast.BitOr()
        return reduce(lambda a, b: ast.BinOp(a, joint, b), [self.visit(value) for value in node.values])

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        terms = [self.visit(term) for term in (node.left, *node.comparators)]
        pairs = zip(terms, node.ops, terms[1:], strict=False)
        single: list[ast.expr] = [ast.Compare(left, [operation], [right]) for left, operation, right in pairs]
        return reduce(lambda a, b: ast.BinOp(a, ast.BitAnd(), b), single)


@dataclass(frozen=True)
class Target:
    """A module of elementwise kernels.

    file, header: its name, and how it begins.
    loop: the line that chooses the element `i`, and opens the block in which it is computed.
    decorator: what stands above each kernel.
    transform: how a formula is written.
    for_gpu: it lies among the kernels for GPUs, whose arguments are annotated.
    """

    file: str
    header: str
    loop: str
    decorator: str = ""
    transform: type[_Elements] = _Elements
    for_gpu: bool = False

    @property
    def path(self) -> Path:
        return (CUDA_KERNELS if self.for_gpu else KERNELS) / self.file


_HEADER = '''"""The elementwise kernels, {what}. Generated from micro/ops.py by `make generate`; do not edit.

`name(arguments, y)` writes the result; `name_grad_x(grad, arguments, y, grad_x)` writes grad times the slope in x.
All arrays are one-dimensional, contiguous, and of one length and one type.
"""

import math

import numpy as np
from numba import {names}

from fast import approximations

# Numba does not see that a function of another file has changed. This line does change with it (`make generate`).
APPROXIMATIONS = ""

_abs = abs  # the kernel of that name hides Python's
'''

_GPU_HEADER = '''"""The elementwise kernels, on a GPU. Generated from micro/ops.py by `make generate`; do not edit.

`name(arguments, y)` writes the result; `name_grad_x(grad, arguments, y, grad_x)` writes grad times the slope in x.
All arrays are one-dimensional, contiguous, and of one length and one type.

A thread takes an element, and goes on by as many as there are threads. Neighbouring threads take neighbouring elements,
so that a warp's 32 numbers are one access to memory, which is what all of them wait for.
"""

from __future__ import annotations

import math

from fast.cuda import formulas
from fast.cuda.arguments import Vector
from fast.cuda.package import cuda

_abs = abs  # the kernel of that name hides Python's
'''

TARGETS = (
    Target(
        file="elementwise.py",
        header=_HEADER.format(what="each on one core", names="njit"),
        loop="for i in range(y.size):",
        decorator='@njit(cache=True, nogil=True, error_model="numpy")',
    ),
    Target(
        file="elementwise_parallel.py",
        header=_HEADER.format(what="each on all cores", names="njit, prange"),
        loop="for i in prange(y.size):",
        decorator='@njit(cache=True, nogil=True, error_model="numpy", parallel=True)',
    ),
    Target(
        file="elementwise.py",
        header=_GPU_HEADER,
        loop="for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):",
        transform=_GpuElements,
        for_gpu=True,
    ),
)


def _written(formula: str, element: str, transform: type[_Elements] = _Elements) -> str:
    """A formula of the table as a kernel writes it."""
    formula = _WHOLE.get(formula, formula)
    return ast.unparse(ast.fix_missing_locations(transform(element).visit(_expression(formula))))


def _kernel(target: Target, name: str, parameters: list[str], formula: str) -> str:
    """The loop that writes a formula, for each element, to the last of the parameters."""
    elements = _written(formula, "{}[i]", target.transform)
    body = [target.loop, f"    {parameters[-1]}[i] = {elements}"]
    if "number(" in elements:
        body.insert(0, "number = y.dtype.type")
    words = [f"{parameter}: Vector" for parameter in parameters] if target.for_gpu else parameters
    lines = [target.decorator, f"def {name}({', '.join(words)}):", *(f"    {line}" for line in body)]
    return "\n".join(lines).lstrip("\n")


def _kernels(target: Target, op: Op) -> list[str]:
    kernels = [_kernel(target, op.name, [*op.arguments, "y"], op.forward)]
    for argument, slope in zip(op.arguments, op.slopes, strict=True):
        parameters = ["grad", *op.arguments, "y", f"grad_{argument}"]
        product = f"grad * ({_WHOLE.get(slope, slope)})"
        kernels.append(_kernel(target, f"{op.name}_grad_{argument}", parameters, product))
    return kernels


def module_text(target: Target) -> str:
    """The whole text of a target's module."""
    kernels = [kernel for op in OPS.values() for kernel in _kernels(target, op)]
    return "\n\n\n".join([target.header.rstrip("\n"), *kernels]) + "\n"


# ----------------------------------------------------------------------------------------------------------------------
# The interpreters of a tape.


@dataclass(frozen=True)
class Tape:
    """A module with the two interpreters of a tape.

    file, header: its name, and how it begins.
    read, write, add: how the numbers of a row are read, written, and added to.
    transform: how a formula over them is written.
    lane: the loop through the lanes, and a number in one of them, for what has no instruction over a whole row.
    decorator: what stands above each interpreter. begin: what it does first.
    for_gpu: it lies among the kernels for GPUs, whose arguments are annotated.
    """

    file: str
    header: str
    decorator: str = '@njit(cache=True, nogil=True, error_model="numpy")\n'
    begin: str = "number = v.dtype.type"
    for_gpu: bool = False
    read: str = "{array}[{row}]"
    write: str = "{array}[{row}] = {number}"
    add: str = "{array}[{row}] += {number}"
    transform: type[_Elements] = _Elements
    lane: tuple[str, str] | None = None

    @property
    def path(self) -> Path:
        return (CUDA_KERNELS if self.for_gpu else KERNELS) / self.file

    def arguments(self, names: str) -> str:
        """The arguments of an interpreter."""
        if not self.for_gpu:
            return names
        return ", ".join(f"{name}: {_GPU_TYPES[name]}" for name in names.split(", "))

    def value(self, row: str) -> str:
        return self.read.format(array="v", row=row)

    def result(self, formula: str) -> str:
        """The lines that compute a formula of the table, for row `y`."""
        if self.lane and _is_scalar(formula):
            loop, element = self.lane
            place = element.format(array="v", row="y")
            return f"{loop}\n    {place} = {_written(formula, element.format(array='v', row='{}'))}"
        return self.write.format(array="v", row="y", number=_written(formula, self.value("{}"), self.transform))

    def share(self, row: str, slope: str) -> str:
        """The lines that hand the gradient in the row `grad` on to a row; what takes long only where it is wanted."""
        if self.lane and _is_scalar(slope):
            loop, element = self.lane
            place, above = element.format(array="d", row=row), element.format(array="d", row="grad")
            lines = f"{loop}\n    {place} += ({_written(slope, element.format(array='v', row='{}'))}) * {above}"
        else:
            product = (
                f"({_written(slope, self.value('{}'), self.transform)}) * {self.read.format(array='d', row='grad')}"
            )
            lines = self.add.format(array="d", row=row, number=product)
        return f"if {row} != trash:\n{indent(lines, '    ')}" if _is_scalar(slope) else lines


def _is_scalar(formula: str) -> bool:
    """Whether a formula has functions or powers, which the processor has no single instruction for."""
    return any(isinstance(node, ast.Call | ast.Pow) for node in ast.walk(_expression(formula)))


#: What the arguments of an interpreter are on a GPU.
_GPU_TYPES = {
    "code": "Instructions",
    "pairs": "Instructions",
    "fresh": "RowNumbers",
    "trash": "Count",
    "v": "Matrix",
    "d": "Matrix",
}

_TAPE_HEADER = '''"""The interpreters of a tape, {what}. Generated from micro/ops.py by `make generate`; do not edit.

An instruction is a row of `code`; `kernels/planning.py` says what stands where. `v` holds values and `d` gradients,
{shape}.
"""

import math

import numpy as np
from numba import njit

from fast import approximations{imports}

# Numba does not see that a function of another file has changed. These lines do change with it (`make generate`).
{stamps}

_abs = abs
'''

_GPU_TAPE = '''"""The interpreters of a tape, on a GPU. Generated from micro/ops.py by `make generate`: do not edit.

An instruction is a row of `code`; `kernels/planning.py` says what stands where. `v` holds values and `d` gradients, in
each row a number for every lane.

A thread takes a lane, a sample or a training, through all instructions. All threads do the same at the same time, so
branches cost nothing, and neighbouring lanes are neighbours in memory. But every number goes to memory and back, which
takes 40 bytes for an operation forward and backward: what the GPU waits for.
"""

from __future__ import annotations

import math

import numpy as np

from fast.cuda import formulas
from fast.cuda.arguments import Count, Instructions, Matrix, RowNumbers
from fast.cuda.package import cuda

_abs = abs
'''

TAPES = (
    Tape(
        file="tape_one.py",
        header=_TAPE_HEADER.format(
            what="in one lane", shape="a number in each row", imports="", stamps='APPROXIMATIONS = ""'
        ),
    ),
    Tape(
        file="tape_lanes.py",
        header=_TAPE_HEADER.format(
            what="in many lanes",
            shape="in each row a number for every lane",
            imports="\nfrom fast.intrinsics import LANES, add, choose, load, store",
            stamps='APPROXIMATIONS = ""\nINTRINSICS = ""',
        ),
        read="load({array}, {row})",
        write="store({array}, {row}, {number})",
        add="add({array}, {row}, {number})",
        transform=_Lanes,
        lane=("for lane in range(LANES):", "{array}[{row}, lane]"),
    ),
    Tape(
        file="tape.py",
        header=_GPU_TAPE,
        decorator="",
        begin="number, lane = v.dtype.type, cuda.grid(1)\n    if lane >= v.shape[1]:\n        return",
        for_gpu=True,
        read="{array}[{row}, lane]",
        write="{array}[{row}, lane] = {number}",
        add="{array}[{row}, lane] += {number}",
        transform=_GpuElements,
    ),
)

_INTERPRETERS = '''
{decorator}def forward({forward_arguments}):
    """Compute the results of all instructions, the first one first."""
    {begin}
    for i in range(len(code)):
        op, y = code[i, 0], code[i, 1]
        if op == 0:  # a sum of products
            total = {base}
            for k in range(code[i, 3], code[i, 4]):
                total = total + {left} * {right}
            {total}
{forward}


{decorator}def backward({backward_arguments}):
    """Hand the gradients of all results on to their arguments, the last instruction first.

    Where rounding counts, the order is that of `micro`: one argument after the other, and a chain of sums step by step,
    so that its base has its turn before the factors of the first step. What is handed to the row `trash` nobody wants.
    """
    {begin}
    for i in range(len(code) - 1, -1, -1):
        op, y, grad = code[i, 0], code[i, 1], code[i, 5]
        for k in range(code[i, 9], code[i, 10]):
            {zero}
        if op == 0:  # a sum of products
            above, first = {above}, np.int64(code[i, 3])
            for k in range(np.int64(code[i, 4]) - 1, first, -1):
                {to_left}
                {to_right}
            {to_base}
            {to_first_left}
            {to_first_right}
{backward}
'''


def tape_text(tape: Tape) -> str:
    """The whole text of a tape's module."""
    forward, backward = [], []
    for number, op in enumerate(OPERATIONS, start=1):
        rows = ", ".join(f"code[i, {2 + i}]" for i in range(len(op.arguments)))
        head = f"elif op == {number}:  # {op.name}\n    {', '.join(op.arguments)} = {rows}\n"
        shares = [tape.share(f"code[i, {6 + i}]", slope) for i, slope in enumerate(op.slopes)]
        forward.append(head + indent(tape.result(op.forward), "    "))
        backward.append(head + indent("\n".join(shares), "    "))

    def add(row: str, number: str) -> str:
        return tape.add.format(array="d", row=row, number=number)

    text = _INTERPRETERS.format(
        decorator=tape.decorator,
        begin=tape.begin,
        forward_arguments=tape.arguments("code, pairs, v"),
        backward_arguments=tape.arguments("code, pairs, fresh, trash, v, d"),
        base=tape.value("code[i, 2]"),
        left=tape.value("pairs[k, 0]"),
        right=tape.value("pairs[k, 1]"),
        total=tape.write.format(array="v", row="y", number="total"),
        forward=indent("\n".join(forward), " " * 8),
        zero=tape.write.format(array="d", row="fresh[k]", number="number(0)"),
        above=tape.read.format(array="d", row="grad"),
        to_left=add("pairs[k, 2]", f"{tape.value('pairs[k, 1]')} * above"),
        to_right=add("pairs[k, 3]", f"{tape.value('pairs[k, 0]')} * above"),
        to_base=add("code[i, 6]", "above"),
        to_first_left=add("pairs[first, 2]", f"{tape.value('pairs[first, 1]')} * above"),
        to_first_right=add("pairs[first, 3]", f"{tape.value('pairs[first, 0]')} * above"),
        backward=indent("\n".join(backward), " " * 8),
    )
    return tape.header + "\n" + text


# ----------------------------------------------------------------------------------------------------------------------
# Stamps, and the files as a whole.

_STAMP = re.compile('^([A-Z]+) = "[0-9a-f]*"$', re.MULTILINE)


def _stamped(name: str) -> Path:
    """The file of whose text a stamp is made."""
    places = {"APPROXIMATIONS": APPROXIMATIONS, "INTRINSICS": APPROXIMATIONS.with_name("intrinsics.py")}
    return places.get(name, KERNELS / f"{name.lower()}.py")


def texts() -> dict[Path, str]:
    """Every file that is written or stamped here, and what it should hold."""
    generated = {target.path: module_text(target) for target in TARGETS}
    generated |= {tape.path: tape_text(tape) for tape in TAPES}
    others = {path: path.read_text() for path in sorted(KERNELS.glob("*.py")) if path not in generated}
    found = generated | {path: text for path, text in others.items() if _STAMP.search(text)}

    @cache
    def stamped(path: Path) -> str:
        """The text of a file with true stamps; those of a file that bears stamps itself change with them."""
        return _STAMP.sub(stamp, found.get(path) or path.read_text())

    def stamp(match: re.Match[str]) -> str:
        return f'{match[1]} = "{hashlib.sha256(stamped(_stamped(match[1])).encode()).hexdigest()[:16]}"'

    return {path: stamped(path) for path in found}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python fast/generate.py", description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file is not up to date")
    check = parser.parse_args(arguments).check
    stale = {path: text for path, text in texts().items() if not path.is_file() or path.read_text() != text}
    for path, text in stale.items():
        if not check:
            path.write_text(text)
        print(f"{path}: {'not up to date; run `make generate`' if check else 'written'}", file=sys.stderr)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
