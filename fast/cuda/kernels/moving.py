"""Numbers moved, repeated, compared and rounded, where they are not computed.

A thread takes an element of what is written, and goes on by as many as there are threads. Neighbouring threads write
neighbours; what they read lies side by side too, unless a list of places says otherwise.
"""

from __future__ import annotations

from fast.cuda.arguments import Batches, Count, LabelRows, Labels, Matrix, Number, Stack, Vector
from fast.cuda.package import cuda

# ----------------------------------------------------------------------------------------------------------------------
# From place to place: x, y (N,).


def copy(x: Vector, y: Vector):
    """y[i] = x[i]."""
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = x[i]


def fill(number: Number, y: Vector):
    """y[i] = number."""
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = number


def scale(x: Vector, factor: Vector, times: Number, y: Vector):
    """y[i] = x[i] * times * factor[0]: a factor that another kernel has computed need not leave the GPU."""
    product = times * factor[0]
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = x[i] * product


def floats(x: Labels, y: Vector):
    """y[i] = x[i], a whole number."""
    number = y.dtype.type
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = number(x[i])


def spread(x: Matrix, count: Number, y: Stack):
    """y[a, r, b] = x[a, b] / count for all r; x (A, B), y (A, R, B)."""
    width = y.shape[2]
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        line, b = i // width, i % width
        a, r = line // y.shape[1], line % y.shape[1]
        y[a, r, b] = x[a, b] / count


def compare(a: Vector, b: Vector, relation: Count, y: Vector):
    """y[i] = 1 where a relation holds between a[i] and b[i], else 0.

    The relations are ==, !=, <, <=, >, >=; and between truth values, of which all but 0 is true, &, | and ^. All
    threads ask for the same one, so none waits for another.
    """
    number = y.dtype.type
    zero = number(0)
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        one, other = a[i], b[i]
        if relation < 2:
            found = (one == other) == (relation == 0)
        elif relation < 4:
            found = one < other or (relation == 3 and one == other)
        elif relation < 6:
            found = one > other or (relation == 5 and one == other)
        elif relation == 6:
            found = one != zero and other != zero
        elif relation == 7:
            found = one != zero or other != zero
        else:
            found = (one != zero) != (other != zero)
        y[i] = number(1) if found else zero


# ----------------------------------------------------------------------------------------------------------------------
# By lists of places: places (N,), which are numbers of elements of the array that is not (N,).


def select(places: Labels, x: Vector, filling: Number, y: Vector):
    """y[i] = x[places[i]], or `filling` where the place is -1."""
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        place = places[i]
        y[i] = x[place] if place >= 0 else filling


def put(places: Labels, x: Vector, y: Vector):
    """y[places[i]] = x[i]; no two places are the same."""
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        y[places[i]] = x[i]


def put_more(places: Labels, x: Vector, y: Vector):
    """y[places[i]] += x[i]; no two places are the same."""
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        y[places[i]] += x[i]


def put_sums(places: Labels, x: Vector, y: Vector):
    """y[places[i]] += x[i], where the place is not -1; several may be the same.

    So the additions are atomic: done by memory itself, one after the other, in an order that differs from run to run
    where places are the same, and with it the last digit of their sums.
    """
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        place = places[i]
        if place >= 0:
            cuda.atomic.add(y, place, x[i])


# ----------------------------------------------------------------------------------------------------------------------
# The rows of a batch, out of tables that hold all samples: order (batches, B), y (rows, columns).


def take_rows(order: Batches, batch: Count, table: Matrix, first: Count, y: Matrix):
    """y[i, j] = table[order[batch, i], first + j]."""
    for place in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        i, j = place // y.shape[1], place % y.shape[1]
        y[i, j] = table[order[batch, i], first + j]


def take_whole(order: Batches, batch: Count, table: LabelRows, first: Count, y: LabelRows):
    """The same for whole numbers."""
    for place in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        i, j = place // y.shape[1], place % y.shape[1]
        y[i, j] = table[order[batch, i], first + j]
