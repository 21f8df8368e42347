"""Compiles kernels to PTX for several GPUs, and PTX to machine code, on a computer that has no GPU.

What is needed comes as wheels: numba-cuda with its compiler (`numba-cuda[cu13]`), and for machine code the assembler
`ptxas` (`cuda-toolkit[nvcc]`), which must not be older than the compiler.
"""

import contextlib
import importlib.util
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

Capability = tuple[int, int]

#: Why `assemble` gives None.
NO_PTXAS = "needs ptxas, of the wheel nvidia-cuda-nvcc (pip install 'cuda-toolkit[nvcc]==13.*')"
#: Instructions that move numbers and do not compute with them.
_MOVES = ("ld", "ldu", "st", "mov", "selp", "shfl")


@dataclass(frozen=True)
class Assembled:
    """What ptxas says about a kernel.

    registers: of each thread. shared: bytes of static shared memory of a block.
    stack: bytes of each thread that lie in memory, and not in registers: local arrays, and what was spilled.
    spills: bytes that are stored there only because there were too few registers. reloads: bytes read back.
    """

    registers: int
    shared: int
    stack: int
    spills: int
    reloads: int


def compile_ptx(
    function, signature, capabilities: Iterable[Capability], threads: int | tuple[int, int], fastmath: bool = False
) -> dict[Capability, str]:
    """A kernel's PTX for each of some compute capabilities, as the compiler makes it for a launch on such a GPU.

    function: the kernel, with or without `@cuda.jit` around it. signature: the types of its arguments.
    threads: of a block, at most; or (threads, blocks that shall fit on a multiprocessor at once). They limit registers.
    Types are inferred once for all; only the last step is repeated.
    """
    from numba.cuda import compiler

    capabilities = list(capabilities)
    with _pretended_device(capabilities[0]):
        library, _ = compiler._compile_pyfunc_with_fixup(
            getattr(function, "py_func", function),
            signature,
            device=False,
            abi="numba",
            cc=capabilities[0],
            fastmath=fastmath,
            launch_bounds=threads,
        )
    return {capability: library.get_asm_str(cc=capability) for capability in capabilities}


@contextlib.contextmanager
def _pretended_device(capability: Capability) -> Iterator[None]:
    """Device functions ask the current device what it can do when a kernel first calls them; without a driver there is
    none, and one that knows the answer takes its place.
    """
    from numba.cuda import dispatcher

    class Device:
        compute_capability = capability

    asked = dispatcher.get_current_device
    dispatcher.get_current_device = Device
    try:
        yield
    finally:
        dispatcher.get_current_device = asked


def find_ptxas() -> Path | None:
    """The assembler of the installed wheels. One that is installed otherwise may be too old for the compiler's PTX."""
    package = importlib.util.find_spec("nvidia")
    for folder in package.submodule_search_locations or [] if package else []:
        for path in sorted(Path(folder).glob("cu*/bin/ptxas"), reverse=True):
            return path
    return None


def assemble(ptx: str, capability: Capability) -> Assembled | None:
    """Make machine code for a compute capability, and say what it takes; None without ptxas (NO_PTXAS says why).

    Raises ValueError, with what ptxas says, for PTX that it does not accept.
    """
    ptxas = find_ptxas()
    if ptxas is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder, "kernel.ptx")
        text.write_text(ptx)
        target = f"-arch=sm_{capability[0]}{capability[1]}"
        command = [ptxas, "--verbose", target, text, "--output-file", Path(folder, "kernel.cubin")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    if done.returncode:
        raise ValueError(f"ptxas does not accept the text for compute capability {capability}:\n{said}")
    return Assembled(
        registers=_figure(r"Used (\d+) registers", said),
        shared=_figure(r"(\d+) bytes smem", said),
        stack=_figure(r"(\d+) bytes stack frame", said),
        spills=_figure(r"(\d+) bytes spill stores", said),
        reloads=_figure(r"(\d+) bytes spill loads", said),
    )


def _figure(pattern: str, text: str) -> int:
    """The largest number found; ptxas has a paragraph for the kernel and one for each function that it calls."""
    return max(map(int, re.findall(pattern, text)), default=0)


def doubles(ptx: str) -> list[str]:
    """The instructions that compute with float64, each with its line; a kernel for float32 should have none.

    They are easy to get: in kernels `x * 0.1` is one, and so is `2 * x + 1`. Many GPUs have 1/64 of the speed for them.
    """
    found = []
    for line, text in enumerate(ptx.splitlines(), 1):
        statement = re.sub(r"^\s*(@!?%\w+\s+)?", "", text.partition("//")[0])
        opcode = re.match(r"[a-z][\w.]*", statement)
        if opcode and ".f64" in opcode[0] and opcode[0].split(".")[0] not in _MOVES:
            found.append(f"line {line}: {' '.join(statement.split())}")
    return found
