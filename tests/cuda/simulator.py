"""What Numba's CUDA simulator lacks, added to it.

The simulator runs the Python source of a kernel, one Python thread for each thread of a block. It is chosen when Numba
is imported, for the whole process: where NUMBA_ENABLE_CUDASIM=1 is set. In such a process, before kernels are defined:

    import simulator
    simulator.bridge()

After that the simulator knows warp collectives (`shfl_*_sync`, votes, `syncwarp`), `alignment=` of shared and local
arrays, more than one shared array on a line, and the options of `jit` that only a compiler needs. Shared and local
memory begins with nan in every block, so that what nobody has written is seen in the results.

It remains slow (34 us for a multiplication), and blind to types: float32 stays float32 where a compiler would compute
in float64. Kernels must refer to the module as `cuda`.
"""

import contextlib
import functools
import sys
import threading

import numpy as np

#: Seconds that a thread waits for the others of its warp; only those of a kernel that is wrong wait so long.
PATIENCE = 60
_OPTIONS_OF_COMPILERS = ("max_registers", "launch_bounds", "lineinfo", "forceinline", "lto", "extensions")


def bridge() -> None:
    """Add what is lacking. Raises RuntimeError in a process without the simulator."""
    from numba import config, cuda

    if not config.ENABLE_CUDASIM:
        raise RuntimeError("the simulator is chosen when Numba is imported: set NUMBA_ENABLE_CUDASIM=1 before that")
    from numba.cuda.simulator import kernel, kernelapi

    if hasattr(kernelapi.FakeCUDAModule, "shfl_sync"):
        return
    _bridge_arrays(kernel, kernelapi)
    kernel.swapped_cuda_module = _pretended_everywhere
    for name, collective in _COLLECTIVES.items():
        setattr(kernelapi.FakeCUDAModule, name, collective)
    cuda.jit = _without_compiler_options(cuda.jit)


def _without_compiler_options(jit):
    @functools.wraps(jit)
    def simulated(*arguments, **options):
        return jit(*arguments, **{name: value for name, value in options.items() if name not in _OPTIONS_OF_COMPILERS})

    return simulated


_pretending = False


@contextlib.contextmanager
def _pretended_everywhere(function, pretended):
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
def _words_for(cuda, modules):
    """The words of all modules that mean `cuda`; looked for again when there are more modules than before."""
    everything = [vars(module) for name, module in sys.modules.items() if module and not name.startswith("numba")]
    return [(words, word) for words in everything for word, value in list(words.items()) if value is cuda]


# ----------------------------------------------------------------------------------------------------------------------
# Arrays.


def _bridge_arrays(kernel, kernelapi) -> None:
    def dtype_of(kind):
        return np.dtype(kernelapi.numpy_support.as_dtype(kind) if isinstance(kind, kernelapi.types.Type) else kind)

    def shared_array(self, shape, dtype, alignment=None):
        if shape == 0:  # dynamic shared memory, whose size a launch decides
            dtype = dtype_of(dtype)
            return np.frombuffer(self._dynshared.data, dtype, self._dynshared.nbytes // dtype.itemsize)
        caller = sys._getframe(1)
        place = caller.f_code, caller.f_lasti  # the call itself; the simulator would take its line
        return self._allocations.setdefault(place, _poisoned(shape, dtype_of(dtype)))

    def local_array(self, shape, dtype, alignment=None):
        return _poisoned(shape, dtype_of(dtype))

    run = kernel.BlockManager.run

    def run_block(self, grid_point, *arguments):
        shared = kernel._get_kernel_context().shared
        shared._allocations.clear()  # the simulator would let a block find what the one before has left
        shared._dynshared.view(np.uint8).fill(0xFF)
        return run(self, grid_point, *arguments)

    kernelapi.FakeCUDAShared.array = shared_array
    kernelapi.FakeCUDALocal.array = local_array
    kernel.BlockManager.run = run_block


def _poisoned(shape, dtype) -> np.ndarray:
    """An array of nan, or of whole numbers that are far from any index."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return np.full(shape, limits.min or limits.max, dtype)
    return np.full(shape, np.nan, dtype)


# ----------------------------------------------------------------------------------------------------------------------
# Warps.

_lock = threading.Lock()


def _exchange(mask, value):
    """(the values of a warp's lanes that the mask names, by lane; the lane that asks). Waits until all are there."""
    thread = threading.current_thread()
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


def _shuffle(partner):
    """A shuffle that takes the value of the lane `partner(lane, argument)`, or its own where there is none."""

    def collective(self, mask, value, argument):
        values, lane = _exchange(mask, value)
        return values.get(partner(lane, int(argument)), value)

    return collective


def _vote(result):
    def collective(self, mask, predicate):
        return result(_exchange(mask, bool(predicate))[0])

    return collective


def _match_any(self, mask, value):
    values, _ = _exchange(mask, value)
    return sum(1 << lane for lane, other in values.items() if other == value)


def _syncwarp(self, mask=0xFFFFFFFF):
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
