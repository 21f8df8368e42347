"""Write the elementwise kernels from the table of operations: `python fast/generate.py`, or `--check` in the lint step.

Run as a file and not as a module of `fast`, which cannot be imported while a kernel of a new row is missing.

Why generated files and not kernels made while the program runs: Numba keeps compiled code on disk only for functions
that stand in a file, and it does not notice when a function that a kernel calls has changed in another file. A plain
module with the formula written out in it is cached, and is compiled again when the formula changes.

What `approximations.py` offers is too long to be written out wherever it is used. The kernel modules that import it
bear a stamp of its text instead, kept true here, so that they change when it does.

Each row of `micro.ops.OPS` becomes one kernel for the result and one for each slope. Every target writes the same
loops in its own frame; `TARGETS` lists them.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from micro.ops import CONSTANTS, OPS, Op

KERNELS = Path(__file__).parent / "kernels"
APPROXIMATIONS = Path(__file__).parent / "approximations.py"


@dataclass(frozen=True)
class Target:
    """A module of kernels.

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
{stamp}

_abs = abs  # the kernel of that name hides Python's
'''

TARGETS = (
    Target(
        file="elementwise.py",
        header=_HEADER.format(what="each on one core", names="njit", stamp="{stamp}"),
        decorator='@njit(cache=True, nogil=True, error_model="numpy")',
        loop=("for i in range(y.size):",),
    ),
    Target(
        file="elementwise_parallel.py",
        header=_HEADER.format(what="each on all cores", names="njit, prange", stamp="{stamp}"),
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

    `number` is the arrays' own type. A bare 1 is an int64, which would turn float32 arithmetic into float64.
    """

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in CONSTANTS:
            return _expression(f"number(math.{node.id})")
        return _expression(f"{node.id}[i]")

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return _expression(f"number({node.value!r})")

    def visit_Call(self, node: ast.Call) -> ast.expr:
        assert isinstance(node.func, ast.Name)
        word = _WORDS.get(node.func.id, f"math.{node.func.id}")
        return ast.Call(_expression(word), [self.visit(argument) for argument in node.args], [])


def _expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _kernel(target: Target, name: str, parameters: list[str], formula: str) -> str:
    """The loop that writes `formula` to the last of the parameters."""
    elements = ast.unparse(ast.fix_missing_locations(_Elements().visit(_expression(formula))))
    body = [*target.loop, f"    {parameters[-1]}[i] = {elements}"]
    if "number(" in elements:
        body.insert(0, "number = y.dtype.type")
    lines = [target.decorator, f"def {name}({', '.join(parameters)}):", *(f"    {line}" for line in body)]
    return "\n".join(lines)


def _kernels(target: Target, op: Op) -> list[str]:
    kernels = [_kernel(target, op.name, [*op.arguments, "y"], _WHOLE.get(op.forward, op.forward))]
    for argument, slope in zip(op.arguments, op.slopes, strict=True):
        parameters = ["grad", *op.arguments, "y", f"grad_{argument}"]
        kernels.append(
            _kernel(target, f"{op.name}_grad_{argument}", parameters, f"grad * ({_WHOLE.get(slope, slope)})")
        )
    return kernels


def module_text(target: Target) -> str:
    """The whole text of a target's module."""
    kernels = [kernel for op in OPS.values() for kernel in _kernels(target, op)]
    return "\n\n\n".join([target.header.replace("{stamp}", _stamp()).rstrip("\n"), *kernels]) + "\n"


def _stamp() -> str:
    return f'APPROXIMATIONS = "{hashlib.sha256(APPROXIMATIONS.read_bytes()).hexdigest()[:16]}"'


def texts() -> dict[Path, str]:
    """Every file that is written or stamped here, and what it should hold."""
    generated = {KERNELS / target.file: module_text(target) for target in TARGETS}
    others = {path: path.read_text() for path in sorted(KERNELS.glob("*.py")) if path not in generated}
    return generated | {path: _STAMP.sub(_stamp(), text) for path, text in others.items() if _STAMP.search(text)}


_STAMP = re.compile('^APPROXIMATIONS = ".*"$', re.MULTILINE)


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
