"""Convolutions, which are products of matrices once windows are written out, and pooling."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from fast.cuda.gpu import Gpu
from fast.cuda.instructions.products import multiply
from fast.cuda.instructions.reductions import add_up
from micro.functional.convolution import Windows

#: How many numbers of windows are written out at a time: 256 MB in float32. Larger batches are computed in parts.
_ROOM = 1 << 26


class _Convolution(NamedTuple):
    """samples, channels, groups, outputs; rows, columns: the windows along the two dimensions of an image."""

    samples: int
    channels: int
    groups: int
    outputs: int
    rows: Windows
    columns: Windows

    @property
    def positions(self) -> int:
        """Of all windows of an image."""
        return self.rows.positions * self.columns.positions

    @property
    def inner(self) -> int:
        """How many numbers of its group a window sees."""
        return self.channels // self.groups * self.rows.kernel * self.columns.kernel

    @property
    def told(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The windows as kernels take them."""
        return _told(self.rows), _told(self.columns)

    @property
    def parts(self) -> Iterator[slice]:
        """Samples whose windows are written out together."""
        some = max(1, _ROOM // max(1, self.groups * self.inner * self.positions))
        return (slice(start, min(start + some, self.samples)) for start in range(0, self.samples, some))

    def images(self, gpu: Gpu, place: Any) -> Any:
        return gpu.array(place, self.samples, self.channels, self.rows.length, self.columns.length)

    def results(self, gpu: Gpu, place: Any) -> Any:
        return gpu.array(place, self.samples, self.outputs, self.positions)

    def matrices(self, gpu: Gpu, weight: Any, samples: int) -> Any:
        """The weights (outputs / groups, inner): a single matrix, or, of several groups, those for so many samples."""
        shape = self.groups, self.outputs // self.groups, self.inner
        if self.groups == 1:
            return gpu.array(weight, *shape)
        size = self.outputs * self.inner
        many = gpu.new(1, samples, size)
        gpu.launch("moving.spread", gpu.array(weight, 1, size), 1, many)
        return many.reshape((samples * shape[0], *shape[1:]))

    def windows(self, gpu: Gpu, samples: int) -> tuple[Any, Any]:
        """Room for what the windows of so many samples see; and the same numbers as a matrix for each group."""
        room = gpu.new(samples, self.groups * self.inner, self.positions)
        return room, room.reshape((samples * self.groups, self.inner, self.positions))

    def by_group(self, x: Any) -> Any:
        """x (samples, outputs, positions) as a matrix for each group."""
        return x.reshape((len(x) * self.groups, self.outputs // self.groups, self.positions))


def _read(gpu: Gpu, table: Any) -> _Convolution:
    samples, channels, groups, outputs, *windows = gpu.known(table, 16)
    return _Convolution(samples, channels, groups, outputs, Windows(*windows[:6]), Windows(*windows[6:]))


def _told(windows: Windows) -> tuple[int, ...]:
    return windows.positions, windows.kernel, windows.stride, windows.padding, windows.dilation


def conv2d(gpu: Gpu, table: Any, x: Any, weight: Any, bias: Any, y: Any, numbers: Any = ()) -> None:
    """y = weight times the windows of x, and bias; table: a list of samples, channels, groups, outputs and windows."""
    one = _read(gpu, table)
    images, results = one.images(gpu, x), one.results(gpu, y)
    for part in one.parts:
        some, found = images[part], results[part]
        room, seen = one.windows(gpu, len(some))
        gpu.launch("convolution.unfold", some, *one.told, room)
        multiply(gpu, one.matrices(gpu, weight, len(some)), seen, one.by_group(found))
    gpu.launch("convolution.add_to_channels", results, gpu.array(bias, one.outputs))


def conv2d_grad(
    gpu: Gpu,
    table: Any,
    x: Any,
    weight: Any,
    bias: Any,
    grad: Any,
    grad_x: Any,
    grad_weight: Any,
    grad_bias: Any,
    numbers: Any = (),
) -> None:
    """What `conv2d` passes back, each where there is a place for it."""
    one = _read(gpu, table)
    images, above, back = one.images(gpu, x), one.results(gpu, grad), one.images(gpu, grad_x)
    slopes = gpu.array(grad_weight, 1, one.outputs * one.inner)
    for part in one.parts:
        room, seen = one.windows(gpu, part.stop - part.start)
        results = one.by_group(above[part])
        if slopes.size:
            gpu.launch("convolution.unfold", images[part], *one.told, room)
            _add_slopes(gpu, results, seen, slopes, one.groups, first=part.start == 0)
        if back.size:
            multiply(gpu, one.matrices(gpu, weight, part.stop - part.start), results, seen, turned_a=True)
            gpu.launch("convolution.fold", room, *one.told, back[part])
    offsets = gpu.array(grad_bias, 1, one.outputs)
    if offsets.size:
        sums = gpu.new(one.samples * one.outputs, 1)
        add_up(gpu, above.reshape((sums.size, one.positions, 1)), 1, sums)
        add_up(gpu, sums.reshape((1, one.samples, one.outputs)), 1, offsets)


def _add_slopes(gpu: Gpu, grad: Any, seen: Any, slopes: Any, groups: int, first: bool) -> None:
    """slopes += the sum over samples of grad @ seen.T, for each group; without what is there for the `first` part."""
    matrices, rows, columns = len(grad), grad.shape[1], seen.shape[1]
    each = gpu.new(matrices, rows, columns)
    multiply(gpu, grad, seen, each, turned_b=True)
    target = slopes if first else gpu.new(1, slopes.size)
    add_up(gpu, each.reshape((1, matrices // groups, slopes.size)), 1, target)
    if not first:
        flat = slopes.reshape(slopes.size)
        gpu.launch("elementwise.add", flat, target.reshape(slopes.size), flat)


# ----------------------------------------------------------------------------------------------------------------------
# Pooling: p images, it makes no difference which sample and channel they are of.


def _pooling(gpu: Gpu, table: Any) -> tuple[Windows, Windows]:
    numbers = gpu.known(table, 12)
    return Windows(*numbers[:6]), Windows(*numbers[6:])


def max_pool(gpu: Gpu, p: int, table: Any, x: Any, y: Any, places: Any, numbers: Any = ()) -> None:
    """y = the largest of each window, and where it stands; table: a list of the windows."""
    rows, columns = _pooling(gpu, table)
    shape = p, rows.positions, columns.positions
    found = gpu.array(y, *shape), gpu.short(places, *shape)
    gpu.launch(
        "convolution.max_pool", gpu.array(x, p, rows.length, columns.length), _told(rows), _told(columns), *found
    )


def max_pool_grad(
    gpu: Gpu, p: int, small: int, large: int, grad: Any, places: Any, grad_x: Any, table: Any, numbers: Any = ()
) -> None:
    """grad_x = the sum of grad over the windows whose largest stood there; small, large: the sizes of y and x."""
    rows, columns = _pooling(gpu, table)
    shape = p, rows.positions, columns.positions
    given = gpu.array(grad, *shape), gpu.short(places, *shape), _told(rows), _told(columns)
    gpu.launch("convolution.max_pool_grad", *given, gpu.array(grad_x, p, rows.length, columns.length))


def avg_pool(
    gpu: Gpu,
    p: int,
    height: int,
    width: int,
    rows: int,
    columns: int,
    row_table: Any,
    column_table: Any,
    x: Any,
    y: Any,
    numbers: Any = (),
) -> None:
    """y (rows, columns) = the means of parts of x (height, width), whose bounds are in the tables."""
    bounds = gpu.whole(row_table, 3, rows), gpu.whole(column_table, 3, columns)
    gpu.launch("convolution.avg_pool", gpu.array(x, p, height, width), *bounds, gpu.array(y, p, rows, columns))


def avg_pool_grad(
    gpu: Gpu,
    p: int,
    height: int,
    width: int,
    rows: int,
    columns: int,
    row_table: Any,
    column_table: Any,
    grad_x: Any,
    grad: Any,
    numbers: Any = (),
) -> None:
    """What `avg_pool` passes back: the gradient of x, for that of y."""
    bounds = gpu.whole(row_table, 3, rows), gpu.whole(column_table, 3, columns)
    arrays = gpu.array(grad, p, rows, columns), *bounds, gpu.array(grad_x, p, height, width)
    gpu.launch("convolution.avg_pool_grad", *arrays)
