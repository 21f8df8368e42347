"""Kernels at work in Numba's simulator, with a record of what their threads read, write and do: for lesson 26.

The simulator runs the Python source of a kernel, one Python thread for each thread of a block, one block after the
other. It comes with Numba and needs no GPU. It knows nothing of warps and of time; what is said of them here follows
from two rules of the hardware. 32 neighbouring threads of a block are a warp, and all of a warp do the same at once:
so the n-th reads that its threads make of an array are one request.

The simulator is chosen when Numba is imported, so NUMBA_ENABLE_CUDASIM=1 must be set before this module is.
"""

import sys
import threading
from collections import Counter, defaultdict

import numpy as np
from numba import cuda

from fast.cuda import simulator

#: Threads of a warp; banks of shared memory, each of which gives out one number of 4 bytes at a time.
WARP = BANKS = 32
#: What memory hands out at once, in bytes.
SECTOR = 32


class Watched:
    """An array, or what a kernel takes for one, that notes who reads and writes which of its numbers.

    It has one or two dimensions.

    accesses: (thread, place of the number in reading order, whether it was written), those of each thread in the order
        of time. Threads are the simulator's, with a `blockIdx`, and a `thread_id` in the block.
    """

    def __init__(self, array):
        self.array, self.shape, self.ndim, self.size, self.dtype = (
            array,
            array.shape,
            array.ndim,
            array.size,
            array.dtype,
        )
        self.accesses = []

    def __getitem__(self, place):
        self._note(place, False)
        return self.array[place]

    def __setitem__(self, place, number):
        self._note(place, True)
        self.array[place] = number

    def _note(self, place, written):
        flat = place if self.ndim == 1 else place[0] * self.shape[1] + place[1]
        self.accesses.append((threading.current_thread(), int(flat), written))

    def counts(self, written=False):
        """How often each number was read, or written."""
        places = [place for _, place, wrote in self.accesses if wrote == written]
        return np.bincount(places, minlength=self.size).reshape(self.shape)

    def requests(self, written=False, width=1):
        """What each warp reads, or writes, at a time: lists of (thread, place).

        width: how many numbers are one access, where a kernel uses `load4` or `store4`; the simulator takes them one
            after the other.
        """
        done, found = Counter(), defaultdict(list)
        warps = {thread: (*thread.blockIdx, thread.thread_id // WARP) for thread, _, _ in self.accesses}
        for thread, place, wrote in self.accesses:
            if wrote == written:
                found[warps[thread], done[thread] // width].append((thread.thread_id, place))
                done[thread] += 1
        return list(found.values())


class Shared(list):
    """All arrays of shared memory that kernels have declared since it was cleared, each of them watched."""

    def hand_out(self, array):
        self.append(Watched(array))
        return self[-1]


#: The arrays of shared memory of the last launch, block by block.
shared = Shared()
simulator.hand_out = shared.hand_out
simulator.bridge()


def launch(kernel, grid, block, *arguments):
    """Run a kernel, and return its shared arrays."""
    shared.clear()
    cuda.jit(kernel)[grid, block](*arguments)
    return list(shared)


def sectors(request, size=4):
    """How many pieces of 32 bytes of memory a request takes, for numbers of `size` bytes."""
    return len({place * size // SECTOR for _, place in request})


def wavefronts(request, width=1):
    """How often shared memory has to be asked for a request, for numbers of 4 bytes: once, if no two are in one bank.

    Threads that read the same number share it. Of accesses of 4 numbers, a quarter of a warp is served at a time.
    """
    banks = defaultdict(set)
    for thread, place in request:
        banks[thread * width // WARP, place // width % (BANKS // width)].add(place // width)
    most = Counter()
    for (group, _), words in banks.items():
        most[group] = max(most[group], len(words))
    return most.total()


def lines_of(kernel, grid, block, *arguments):
    """Run a kernel, and return for each thread of its one block the lines that it goes through, counted from `def`."""
    taken = defaultdict(list)

    def follow(frame, event, _):
        if frame.f_code is not kernel.__code__:
            return None
        if event == "line":
            taken[threading.current_thread().thread_id].append(frame.f_lineno - kernel.__code__.co_firstlineno)
        return follow

    before = threading.gettrace()
    threading.settrace(follow)
    try:
        cuda.jit(kernel)[grid, block](*arguments)
    finally:
        threading.settrace(before)
    return [taken[thread] for thread in sorted(taken)]


def in_step(lines):
    """The lines that the threads of a warp execute, step by step: (steps, threads), -1 where a thread must wait.

    All that stand at the same line execute it together; where they stand at different ones, those go on that have come
    least far, so that the others are met again behind the branch or the loop.
    """
    position, steps = [0] * len(lines), []
    while any(position[i] < len(own) for i, own in enumerate(lines)):
        here = [own[position[i]] if position[i] < len(own) else sys.maxsize for i, own in enumerate(lines)]
        line = min(here)
        steps.append([line if at == line else -1 for at in here])
        position = [place + (at == line) for place, at in zip(position, here, strict=True)]
    return np.array(steps)
