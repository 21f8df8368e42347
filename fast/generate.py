"""Write the elementwise kernels from the table of operations: `python fast/generate.py`, or `--check` in the lint step.

Run as a file and not as a module of `fast`, which cannot be imported while a kernel of a new row is missing.

Why generated files and not kernels made while the program runs: Numba keeps compiled code on disk only for functions
that stand in a file, and it does not notice when a function that a kernel calls has changed in another file. A plain
module with the formula written out in it is cached, and is compiled again when the formula changes.

What `approximations.py` offers is too long to be written out wherever it is used. The kernel modules that import it
bear a stamp of its text instead, kept true here, so that they change when it does. So do those that use `intrinsics.py`
or the kernels of updates.

Each row of `micro.ops.OPS` becomes one kernel for the result and one for each slope. Every target writes the same
loops in its own frame; `TARGETS` lists them. Each row is also a branch in the two interpreters of a tape; `TAPES`
lists those.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

from micro.ops import CONSTANTS, OPERATIONS, OPS, Op

KERNELS = Path(__file__).parent / "kernels"
APPROXIMATIONS = Path(__file__).parent / "approximations.py"


@dataclass(frozen=True)
class Target:
    """A module of elementwise kernels.

    file, header: its name, and how it begins.
    decorator: what stands above each kernel.
    loop: the lines that choose the element `i`; the last one opens the block in which it is computed.
    """

    file: str
    header: str
    decorator: str
    loop: tuple[str, ...]


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

TARGETS = (
    Target(
        file="elementwise.py",
        header=_HEADER.format(what="each on one core", names="njit"),
        decorator='@njit(cache=True, nogil=True, error_model="numpy")',
        loop=("for i in range(y.size):",),
    ),
    Target(
        file="elementwise_parallel.py",
        header=_HEADER.format(what="each on all cores", names="njit, prange"),
        decorator='@njit(cache=True, nogil=True, error_model="numpy", parallel=True)',
        loop=("for i in prange(y.size):",),
    ),
)


#: What the words of a formula are called in a kernel, where they are not functions of `math`.
_WORDS = {
    "abs": "_abs",
    "round": "np.rint",
    "floor": "np.floor",
    "ceil": "np.ceil",
    **{word: f"approximations.{word}" for word in ("exp", "tanh", "sigmoid", "silu", "gelu", "gelu_slope")},
}


#: Formulas that kernels compute as a whole: in float32 the product of rounded factors would be less exact.
_WHOLE = {"x * sigmoid(x)": "silu(x)", "x * cdf(x)": "gelu(x)", "cdf(x) + x * pdf(x)": "gelu_slope(x)"}


class _Elements(ast.NodeTransformer):
    """Turn a formula over numbers into one over elements: `x` becomes `x[i]`, `log` `math.log`, and `1` `number(1)`.

    element: how an element is written, with the name's place left open: "{}[i]".
    `number` is the arrays' own type. A bare 1 is an int64, which would turn float32 arithmetic into float64.
    """

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
        word = _WORDS.get(node.func.id, f"math.{node.func.id}")
        return ast.Call(_expression(word), [self.visit(argument) for argument in node.args], [])


def _expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _written(formula: str, element: str) -> str:
    """A formula of the table as a kernel writes it."""
    formula = _WHOLE.get(formula, formula)
    return ast.unparse(ast.fix_missing_locations(_Elements(element).visit(_expression(formula))))


def _kernel(target: Target, name: str, parameters: list[str], elements: str) -> str:
    """The loop that writes `elements` to the last of the parameters."""
    body = [*target.loop, f"    {parameters[-1]}[i] = {elements}"]
    if "number(" in elements:
        body.insert(0, "number = y.dtype.type")
    lines = [target.decorator, f"def {name}({', '.join(parameters)}):", *(f"    {line}" for line in body)]
    return "\n".join(lines)


def _kernels(target: Target, op: Op) -> list[str]:
    kernels = [_kernel(target, op.name, [*op.arguments, "y"], _written(op.forward, "{}[i]"))]
    for argument, slope in zip(op.arguments, op.slopes, strict=True):
        parameters = ["grad", *op.arguments, "y", f"grad_{argument}"]
        product = _written(f"grad * ({_WHOLE.get(slope, slope)})", "{}[i]")
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
    loop: the line that goes through the lanes, if there are several.
    lane: what stands behind a row, to name the number in the lane at work.
    products: the sum of products forward, from `y` and `base` on, and a step of its way back for the pair `k`.
    """

    file: str
    header: str
    loop: str
    lane: str
    products: tuple[str, str]

    def value(self, row: str) -> str:
        return f"v[{row}{self.lane}]"

    def gradient(self, row: str) -> str:
        return f"d[{row}{self.lane}]"

    def each(self, *lines: str) -> str:
        """The lines, for every lane."""
        text = "\n".join(lines)
        return f"{self.loop}\n{indent(text, '    ')}" if self.loop else text


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

TAPES = (
    Tape(
        file="tape_one.py",
        header=_TAPE_HEADER.format(
            what="in one lane", shape="a number in each row", imports="", stamps='APPROXIMATIONS = ""'
        ),
        loop="",
        lane="",
        products=(
            """\
total = v[base]
for k in range(code[i, 3], code[i, 4]):
    total = total + v[pairs[k, 0]] * v[pairs[k, 1]]
v[y] = total""",
            """\
d[pairs[k, 2]] += v[pairs[k, 1]] * d[grad]
d[pairs[k, 3]] += v[pairs[k, 0]] * d[grad]""",
        ),
    ),
    Tape(
        file="tape_lanes.py",
        header=_TAPE_HEADER.format(
            what="in many lanes",
            shape="in each row a number for every lane",
            imports="\nfrom fast.intrinsics import multiply_add",
            stamps='APPROXIMATIONS = ""\nINTRINSICS = ""',
        ),
        loop="for lane in range(v.shape[1]):",
        lane=", lane",
        products=(
            """\
for lane in range(v.shape[1]):
    v[y, lane] = v[base, lane]
for k in range(code[i, 3], code[i, 4]):
    multiply_add(v, y, v, pairs[k, 0], v, pairs[k, 1])""",
            """\
multiply_add(d, pairs[k, 2], v, pairs[k, 1], d, grad)
multiply_add(d, pairs[k, 3], v, pairs[k, 0], d, grad)""",
        ),
    ),
)

_INTERPRETERS = '''
@njit(cache=True, nogil=True, error_model="numpy")
def forward(code, pairs, v):
    """Compute the results of all instructions, the first one first."""
    number = v.dtype.type
    for i in range(len(code)):
        op, y = code[i, 0], code[i, 1]
        if op == 0:  # a sum of products
            base = code[i, 2]
{dot}
{forward}


@njit(cache=True, nogil=True, error_model="numpy")
def backward(code, pairs, fresh, trash, v, d):
    """Hand the gradients of all results on to their arguments, the last instruction first.

    Where rounding counts, the order is that of `micro`: one argument after the other, and a chain of sums step by step,
    so that its base has its turn before the factors of the first step. What is handed to the row `trash` nobody wants.
    """
    number = v.dtype.type
    for i in range(len(code) - 1, -1, -1):
        op, y, grad = code[i, 0], code[i, 1], code[i, 5]
        for k in range(code[i, 9], code[i, 10]):
{zero}
        if op == 0:  # a sum of products
            base, first = code[i, 6], np.int64(code[i, 3])
            for k in range(np.int64(code[i, 4]) - 1, first, -1):
{step}
{base}
            k = first
{last}
{backward}
'''


def _slope_step(tape: Tape, argument: int, slope: str) -> str:
    """The lines that hand a gradient on to an argument; what takes long is left out where nobody wants it."""
    row = f"code[i, {6 + argument}]"
    step = tape.each(f"{tape.gradient(row)} += ({_written(slope, tape.value('{}'))}) * {tape.gradient('grad')}")
    return f"if {row} != trash:\n{indent(step, '    ')}" if "(" in slope or "**" in slope else step


def tape_text(tape: Tape) -> str:
    """The whole text of a tape's module."""
    forward, backward = [], []
    for number, op in enumerate(OPERATIONS, start=1):
        rows = ", ".join(f"code[i, {2 + i}]" for i in range(len(op.arguments)))
        head = f"elif op == {number}:  # {op.name}\n    {', '.join(op.arguments)} = {rows}\n"
        result = f"{tape.value('y')} = {_written(op.forward, tape.value('{}'))}"
        forward.append(head + indent(tape.each(result), "    "))
        backward.append(
            head + indent("\n".join(_slope_step(tape, i, slope) for i, slope in enumerate(op.slopes)), "    ")
        )
    start, step = tape.products
    text = _INTERPRETERS.format(
        dot=indent(start, " " * 12),
        forward=indent("\n".join(forward), " " * 8),
        zero=indent(tape.each(f"{tape.gradient('fresh[k]')} = number(0)"), " " * 12),
        step=indent(step, " " * 16),
        base=indent(tape.each(f"{tape.gradient('base')} += {tape.gradient('grad')}"), " " * 12),
        last=indent(step, " " * 12),
        backward=indent("\n".join(backward), " " * 8),
    )
    return tape.header + "\n" + text


# ----------------------------------------------------------------------------------------------------------------------
# Stamps, and the files as a whole.

_STAMP = re.compile('^(APPROXIMATIONS|INTRINSICS|UPDATES) = ".*"$', re.MULTILINE)


def _stamped(name: str) -> Path:
    """The file of whose text a stamp is made."""
    places = {"APPROXIMATIONS": APPROXIMATIONS, "INTRINSICS": APPROXIMATIONS.with_name("intrinsics.py")}
    return places.get(name, KERNELS / f"{name.lower()}.py")


def texts() -> dict[Path, str]:
    """Every file that is written or stamped here, and what it should hold."""
    generated = {KERNELS / target.file: module_text(target) for target in TARGETS}
    generated |= {KERNELS / tape.file: tape_text(tape) for tape in TAPES}
    others = {path: path.read_text() for path in sorted(KERNELS.glob("*.py")) if path not in generated}
    found = generated | {path: text for path, text in others.items() if _STAMP.search(text)}

    def stamp(match: re.Match[str]) -> str:
        path = _stamped(match[1])
        text = found.get(path) or path.read_text()
        return f'{match[1]} = "{hashlib.sha256(text.encode()).hexdigest()[:16]}"'

    return {path: _STAMP.sub(stamp, text) for path, text in found.items()}


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
