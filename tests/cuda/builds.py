"""Every kernel of the registry, compiled and assembled, once for all tests; and the table of what they take.

python tests/cuda/builds.py            write registers.md
"""

from __future__ import annotations

import importlib.metadata
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import assembly

from fast.cuda.registry import KERNELS

TABLE = Path(__file__).with_name("registers.md")
#: The GPUs that kernels are compiled for: Hopper, on whose code they are tried, Turing, Ampere and Blackwell.
CAPABILITIES = (9, 0), (7, 5), (8, 0), (10, 0)
#: All that there is to test: kernels with a type of numbers. Float64 is compiled for the first GPU only: it takes the
#: same way through the compiler, and twice the time.
ALL = [(name, dtype) for name, kernel in KERNELS.items() for dtype in kernel.dtypes]


_assembler = ThreadPoolExecutor(1)


@dataclass
class Build:
    """The PTX of a kernel, and what ptxas says to it, which it is asked while others are compiled and executed."""

    ptx: str
    asked: Future[assembly.Assembled | None]

    @property
    def assembled(self) -> assembly.Assembled | None:
        """None where there is no ptxas."""
        return self.asked.result()


@cache
def build(name: str, dtype: str) -> dict[assembly.Capability, Build]:
    """A kernel for every GPU."""
    kernel, capabilities = KERNELS[name], CAPABILITIES if dtype == "float32" else CAPABILITIES[:1]
    texts = assembly.compile_ptx(kernel.function, kernel.signature(dtype), capabilities, kernel.bounds)
    return {
        capability: Build(ptx, _assembler.submit(assembly.assemble, ptx, capability))
        for capability, ptx in texts.items()
    }


def versions() -> str:
    """Those of the compiler and of the assembler, on which the number of registers depends."""
    names = "numba-cuda", "nvidia-nvvm", "nvidia-cuda-nvcc"
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)


def table() -> str:
    """The table as text."""
    columns = [f"{major}.{minor}" for major, minor in sorted(CAPABILITIES)]
    lines = [
        "# What the kernels take",
        "",
        "Registers of a thread for each compute capability; bytes of shared memory of a block, of spilled registers",
        "and of the stack (the largest of all). Written by `python tests/cuda/builds.py` with",
        f"{versions()}.",
        "",
        f"| kernel | numbers | {' | '.join(columns)} | shared | spills | stack |",
        f"|---|---|{'---|' * (len(columns) + 3)}",
    ]
    for name, dtype in ALL:
        build(name, dtype)
    for name, dtype in ALL:
        found = {capability: one.assembled for capability, one in build(name, dtype).items()}
        registers = [str(found[one].registers) if one in found else "" for one in sorted(CAPABILITIES)]
        most = [max(getattr(one, what) for one in found.values()) for what in ("shared", "spills", "stack")]
        lines.append(f"| {name} | {dtype} | {' | '.join(registers)} | {' | '.join(map(str, most))} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TABLE.write_text(table())
    print(f"{TABLE}: written", file=sys.stderr)
