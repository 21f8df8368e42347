"""The 32 threads of a warp, which run in step and can read each other's registers.

In `warp_sum` every thread adds the number of the one whose lane differs in one bit: after the five bits, all 32 have
the sum of all, in the same order in every thread, without memory and without a barrier.
"""

from __future__ import annotations

from fast.cuda.package import cuda, device

#: How many threads a warp has.
WARP = 32
#: All of them take part.
ALL = 0xFFFFFFFF


@device
def warp_sum(x):
    """The sum of the x of all lanes, in every lane."""
    for bit in (16, 8, 4, 2, 1):
        x += cuda.shfl_xor_sync(ALL, x, bit)
    return x


@device
def larger(a, b):
    """The larger of two numbers; a nan is larger than all of them."""
    return a if a > b or a != a else b


@device
def warp_max(x):
    """The largest x of all lanes, in every lane."""
    for bit in (16, 8, 4, 2, 1):
        x = larger(x, cuda.shfl_xor_sync(ALL, x, bit))
    return x


@device
def warp_of_grid():
    """The number of this warp among those of all blocks, and of this thread in its warp."""
    thread = cuda.grid(1)
    return thread // WARP, thread % WARP


@device
def block_sum(x, room):
    """The sum of the x of all threads of a block, in every thread; room: shared, a number for each warp.

    The block is one-dimensional, of whole warps.
    """
    warp, lane = cuda.threadIdx.x // WARP, cuda.threadIdx.x % WARP
    x = warp_sum(x)
    if lane == 0:
        room[warp] = x
    cuda.syncthreads()
    total = room[0]
    for other in range(1, cuda.blockDim.x // WARP):
        total += room[other]
    cuda.syncthreads()
    return total
