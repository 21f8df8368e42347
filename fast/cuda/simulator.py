"""What Numba's CUDA simulator lacks, added to it: for tests, and for lesson 26, which watches kernels at work.

The simulator runs the Python source of a kernel, one Python thread for each thread of a block. It is chosen when Numba
is imported, for the whole process: where NUMBA_ENABLE_CUDASIM=1 is set. There `package` calls `bridge`.

After that the simulator knows warp collectives (`shfl_*_sync`, votes, `syncwarp`), `alignment=` of shared and local
arrays, more than one shared array on a line, and the options of `jit` that only a compiler needs. Shared and local
memory begins with nan in every block, so that what nobody has written is seen in the results.

Threads that wait for each other sleep; by itself the simulator asks all of them over and over.

It remains slow (some 10 us for a multiplication), and blind to types: float32 stays float32 where a compiler would
compute in float64. Kernels must refer to the module as `cuda`.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

#: Seconds that a thread waits for the others of its warp; only those of a kernel that is wrong wait so long.
PATIENCE = 60
#: One thread at a time makes what the others are to share.
_lock = threading.Lock()
_OPTIONS_OF_COMPILERS = ("max_registers", "launch_bounds", "lineinfo", "forceinline", "lto", "extensions")


def hand_out(array: np.ndarray) -> Any:
    """What kernels are given for an array of shared memory that they declare, once for each array of each block.

    Whoever wants to look on puts a function of their own in the place of this one.
    """
    return array


def bridge() -> None:
    """Add what is lacking. Raises RuntimeError in a process without the simulator."""
    from numba import cuda

    config: Any = importlib.import_module("numba.core.config")
    if not config.ENABLE_CUDASIM:
        raise RuntimeError(
            "the simulator is chosen when Numba is imported, and that was without it: start Python anew, "
            "and set NUMBA_ENABLE_CUDASIM=1 before the import"
        )
    kernel: Any = importlib.import_module("numba.cuda.simulator.kernel")
    kernelapi: Any = importlib.import_module("numba.cuda.simulator.kernelapi")
    if hasattr(kernelapi.FakeCUDAModule, "shfl_sync"):
        return
    _bridge_arrays(kernelapi)
    kernel.BlockManager.run = _run_block
    kernel.BlockThread.syncthreads = lambda thread: thread._manager.meeting.wait()
    kernel.swapped_cuda_module = _pretended_everywhere
    for name, collective in _COLLECTIVES.items():
        setattr(kernelapi.FakeCUDAModule, name, collective)
    cuda.jit = _without_compiler_options(cuda.jit)


def _without_compiler_options(jit: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(jit)
    def simulated(*arguments: Any, **options: Any) -> Any:
        return jit(*arguments, **{name: value for name, value in options.items() if name not in _OPTIONS_OF_COMPILERS})

    return simulated


_pretending = False


@contextlib.contextmanager
def _pretended_everywhere(function: Any, pretended: Any) -> Iterator[None]:
    """While a kernel runs, let `cuda` be `pretended` in every module that has the word, whichever functions it calls.

    The simulator does that for the module of a function while the function runs, and in Numba's own version the thread
    that comes back first takes it away from all others.
    """
    global _pretending
    from numba import cuda

    if _pretending:
        yield
        return
    found = _words_for(cuda, len(sys.modules))
    _pretending = True
    for words, word in found:
        words[word] = pretended
    try:
        yield
    finally:
        for words, word in found:
            words[word] = cuda
        _pretending = False


@functools.lru_cache(maxsize=1)
def _words_for(cuda: Any, modules: int) -> list[tuple[dict[str, Any], str]]:
    """The words of all modules that mean `cuda`; looked for again when there are more modules than before."""
    everything = [vars(module) for name, module in sys.modules.items() if module and not name.startswith("numba")]
    return [(words, word) for words in everything for word, value in list(words.items()) if value is cuda]


# ----------------------------------------------------------------------------------------------------------------------
# Arrays.


def _bridge_arrays(kernelapi: Any) -> None:
    def dtype_of(kind: Any) -> np.dtype:
        return np.dtype(kernelapi.numpy_support.as_dtype(kind) if isinstance(kind, kernelapi.types.Type) else kind)

    def shared_array(self: Any, shape: Any, dtype: Any, alignment: int | None = None) -> Any:
        if shape == 0:  # dynamic shared memory, whose size a launch decides
            dtype = dtype_of(dtype)
            return np.frombuffer(self._dynshared.data, dtype, self._dynshared.nbytes // dtype.itemsize)
        caller = sys._getframe(1)
        place = caller.f_code, caller.f_lasti  # the call itself; the simulator would take its line
        with _lock:
            if place not in self._allocations:
                self._allocations[place] = hand_out(_poisoned(shape, dtype_of(dtype)))
            return self._allocations[place]

    def local_array(self: Any, shape: Any, dtype: Any, alignment: int | None = None) -> np.ndarray:
        return _poisoned(shape, dtype_of(dtype))

    kernelapi.FakeCUDAShared.array = shared_array
    kernelapi.FakeCUDALocal.array = local_array


def _poisoned(shape: Any, dtype: np.dtype) -> np.ndarray:
    """An array of nan, or of whole numbers that are far from any index."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return np.full(shape, limits.min or limits.max, dtype)
    return np.full(shape, np.nan, dtype)


# ----------------------------------------------------------------------------------------------------------------------
# Blocks.


class _Meeting:
    """Where the threads of a block wait for each other. Those that have ended are not waited for."""

    def __init__(self, threads: int) -> None:
        self.changed = threading.Condition()
        self.alive, self.waiting, self.barriers = threads, 0, 0
        self.failed: list[Any] = []

    def wait(self) -> None:
        """Wait until all are here. Raises RuntimeError if one has failed, for it will never be."""
        with self.changed:
            self.waiting += 1
            barrier = self.barriers
            self._open_if_all_wait()
            self.changed.wait_for(lambda: self.barriers != barrier or self.failed)
            if self.barriers == barrier:
                raise RuntimeError("another thread of the block has failed")

    def run(self, function: Callable[[], Any]) -> None:
        """What a thread does from its beginning to its end."""
        try:
            function()
        except BaseException:
            self.failed.append(threading.current_thread())
            raise
        finally:
            with self.changed:
                self.alive -= 1
                self._open_if_all_wait()
                self.changed.notify_all()

    def _open_if_all_wait(self) -> None:
        if self.waiting == self.alive:
            self.waiting = 0
            self.barriers += 1
            self.changed.notify_all()


def _run_block(self: Any, grid_point: Any, *arguments: Any) -> None:
    """Run the threads of a block, which finds nothing in shared memory that the one before has left."""
    kernel: Any = importlib.import_module("numba.cuda.simulator.kernel")
    shared = kernel._get_kernel_context().shared
    shared._allocations.clear()
    shared._dynshared.view(np.uint8).fill(0xFF)
    points = list(np.ndindex(*self._block_dim))
    self.meeting = meeting = _Meeting(len(points))
    for point in points:
        kernel.BlockThread(
            lambda: meeting.run(lambda: self._f(*arguments)), self, grid_point, point, self._debug
        ).start()
    with meeting.changed:
        meeting.changed.wait_for(lambda: meeting.alive == 0 or meeting.failed)
    if meeting.failed:
        first = meeting.failed[0]
        first.join()
        raise first.exception[0].with_traceback(first.exception[1])


# ----------------------------------------------------------------------------------------------------------------------
# Warps.


def _exchange(mask: Any, value: Any) -> tuple[dict[int, Any], int]:
    """(the values of a warp's lanes that the mask names, by lane; the lane that asks). Waits until all are there."""
    thread: Any = threading.current_thread()
    block = thread._manager
    warp, lane = divmod(thread.thread_id, 32)
    mask = int(mask) & 0xFFFFFFFF
    lanes = [i for i in range(32) if mask >> i & 1 and warp * 32 + i < int(np.prod(block._block_dim))]
    with _lock:
        meetings = block.__dict__.setdefault("meetings", {})
        barrier, values = meetings.setdefault((warp, mask), (threading.Barrier(len(lanes)), {}))
    try:
        values[lane] = value
        barrier.wait(PATIENCE)
        found = dict(values)
        barrier.wait(PATIENCE)  # none changes its value for the next time before all have read this one
    except threading.BrokenBarrierError:
        raise RuntimeError(f"lanes {lanes} of warp {warp} do not all reach an instruction for the warp") from None
    return found, lane


def _shuffle(partner: Callable[[int, int], int]) -> Callable[..., Any]:
    """A shuffle that takes the value of the lane `partner(lane, argument)`, or its own where there is none."""

    def collective(self: Any, mask: Any, value: Any, argument: Any) -> Any:
        values, lane = _exchange(mask, value)
        return values.get(partner(lane, int(argument)), value)

    return collective


def _vote(result: Callable[[dict[int, bool]], Any]) -> Callable[..., Any]:
    def collective(self: Any, mask: Any, predicate: Any) -> Any:
        return result(_exchange(mask, bool(predicate))[0])

    return collective


def _match_any(self: Any, mask: Any, value: Any) -> int:
    values, _ = _exchange(mask, value)
    return sum(1 << lane for lane, other in values.items() if other == value)


def _syncwarp(self: Any, mask: Any = 0xFFFFFFFF) -> None:
    _exchange(mask, None)


_COLLECTIVES = {
    "shfl_sync": _shuffle(lambda lane, other: other),
    "shfl_up_sync": _shuffle(lambda lane, distance: lane - distance),
    "shfl_down_sync": _shuffle(lambda lane, distance: lane + distance),
    "shfl_xor_sync": _shuffle(lambda lane, bits: lane ^ bits),
    "ballot_sync": _vote(lambda said: sum(1 << lane for lane, yes in said.items() if yes)),
    "any_sync": _vote(lambda said: any(said.values())),
    "all_sync": _vote(lambda said: all(said.values())),
    "eq_sync": _vote(lambda said: len(set(said.values())) == 1),
    "match_any_sync": _match_any,
    "syncwarp": _syncwarp,
}
