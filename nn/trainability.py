"""Trainability maps: which learning rates train a network, and which do not; a million trainings make a picture.

Every pixel is a training run of the same small network from the same weights on the same data; only the learning rates
of its two layers differ. The edge between the runs that learn and those that do not is no line but a fractal, however
far one zooms in. Source: Sohl-Dickstein 2024, "The boundary of neural network trainability is fractal",
arXiv:2402.06184.
"""

from __future__ import annotations

import json
import math
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file
from tqdm.auto import tqdm

from nn.data import check_count
from nn.engine import Engine, Tensor, check_engine, on_cpu
from nn.executors import compute
from nn.files import checksum, full_path, read_safetensors, written_whole
from nn.landscape import Box, check_resolution

FORMAT = "twograd trainability tile 1"
#: The window with which the paper begins, on both axes.
WINDOW: Box = ((1e-3, 1e6), (1e-3, 1e6))
#: Inputs, and hidden units.
WIDTH = 16
#: Samples, unless a condition says otherwise: as many as the network has weights.
SAMPLES = WIDTH * WIDTH + WIDTH
#: Pixels along the sides of a tile, by device: some seconds of work, so that little is lost when a map is interrupted;
#: but as many as keep a GPU busy.
SIDES = {"cpu": 32, "cuda": 256}


class Condition(NamedTuple):
    """What is trained.

    activation: "tanh", "relu" or "identity".
    samples: how many there are; 272 unless given.
    batch: of how many the gradient is taken; of all unless given.
    offset: whether the horizontal axis is a number added to all weights of the input layer before the training, and
        the vertical one the learning rate of both layers. Else they are the rates of the input and the output layer.
    """

    activation: str
    samples: int = SAMPLES
    batch: int | None = None
    offset: bool = False


#: The six conditions of the paper, by name.
CONDITIONS = {
    "tanh": Condition("tanh"),
    "relu": Condition("relu"),
    "identity": Condition("identity", samples=WIDTH),
    "minibatch": Condition("tanh", batch=16),
    "single": Condition("tanh", samples=1),
    "offset": Condition("tanh", offset=True),
}


class BoxCount(NamedTuple):
    """How many boxes of each size are needed to cover a set of pixels.

    sizes, counts (K,): the side of a box in pixels, and the number of boxes that hold something.
    dimension: by which power of 1 / size the counts grow: the slope of the straight line that fits their logarithms
        best. 1 for a line, 2 for an area.
    error: the standard error of that slope. It says how well the counts lie on a line, not what finer pixels would add.
    """

    sizes: np.ndarray
    counts: np.ndarray
    dimension: float
    error: float


@dataclass(frozen=True, eq=False)
class TrainabilityMap:
    """What `trainability_map` has computed; `viz.trainability_map` draws it.

    values (len(ys), len(xs)): of each run, minus the sum of v over its steps if it converged, else the sum of 1 / v.
        v is the loss divided by that of the first step, 1e6 at most; converged is a run whose last 20 v are below 1 in
        the mean. On either side of zero, the nearest to it are the fastest.
    xs, ys: the settings of the columns and of the rows, which grow from row to row.
    condition, window, steps, seed: what was asked for.
    """

    values: np.ndarray
    xs: np.ndarray
    ys: np.ndarray
    condition: str
    window: Box
    steps: int
    seed: int

    @property
    def converged(self) -> np.ndarray:
        """Of each run, whether it did."""
        return self.values < 0

    @property
    def labels(self) -> tuple[str, str]:
        """What the two axes are."""
        if CONDITIONS[self.condition].offset:
            return "offset of the input weights", "learning rate"
        return "learning rate of the input layer", "learning rate of the output layer"

    def boundary(self) -> np.ndarray:
        """(len(ys) - 1, len(xs) - 1): whether four neighbours, two by two, are not all of one kind."""
        kinds = self.converged
        count = sum(corner.astype(int) for corner in (kinds[1:, 1:], kinds[:-1, 1:], kinds[1:, :-1], kinds[:-1, :-1]))
        return np.isin(count, (1, 2, 3))

    def dimension(self) -> BoxCount:
        """The dimension of the boundary, by box counting."""
        return box_count(self.boundary())

    def equalised(self) -> np.ndarray:
        """The values as ranks, for a picture in which all colours are used equally often, each sign by itself.

        Runs that converged have 0.25 (the fastest) to 1, the others -0.25 (those that diverged fastest) to -1, as in
        the paper's code.
        """
        picture = np.empty(self.values.shape)
        for kind, sign in ((self.converged, 1.0), (~self.converged, -1.0)):
            sizes = np.abs(self.values[kind])
            picture[kind] = sign * (0.25 + 0.75 * np.searchsorted(np.sort(sizes), sizes) / max(1, sizes.size - 1))
        return picture


def trainability_map(
    condition: str = "tanh",
    resolution: int = 64,
    window: Box = WINDOW,
    steps: int = 500,
    *,
    engine: Engine,
    seed: int = 0,
    device: str = "cpu",
    dtype: str = "float64",
    executor: Executor | None = None,
    tiles: str | Path | None = None,
    progress: bool = False,
) -> TrainabilityMap:
    """Train one small network for every pixel of a square, each with other learning rates.

    A network of 16 inputs, 16 hidden units and one output, without biases, learns random targets of random samples by
    gradient descent. All numbers are drawn from N(0, 1), once: every pixel begins with the same weights.

    condition: "tanh" unless given: 272 samples, all of them in every step. "relu" and "identity" (16 samples) have
        another activation; "minibatch" takes the gradient of 16 random samples, the same for all pixels; "single" has
        one sample. In these the horizontal axis is the learning rate of the input layer, the vertical one that of the
        output layer. In "offset" the horizontal one is a number that is added to all weights of the input layer before
        the training, the vertical one the rate of both layers.
    resolution: pixels along each side, 64 unless given.
    window: ((x from, x to), (y from, y to)), 0.001 to a million on both axes unless given. The axes are logarithmic;
        pixels are even parts of the window, and each is trained at its centre. To zoom is to give a smaller window.
    steps: of every run, 500 unless given.
    engine: `fast`; or `micro`, which takes some thousand times as long.
    seed: of the random numbers; 0 unless given.
    device: "cpu" unless given; "cuda" for the first GPU, where each pixel has a thread: `fast` alone computes there.
        RuntimeError where there is none.
    dtype: of all numbers, "float64" unless given. On a GPU it may be "float32", which GPUs compute faster; it decides
        otherwise about some pixels near the boundary.
    executor: computes the tiles, of 32 x 32 pixels, or 256 x 256 for a GPU, elsewhere; see `nn.executors`. Here, one
        after the other, unless given. With device="cuda" each worker needs a GPU.
    tiles: a folder that keeps the tiles that are done. Given again, they are read and not computed, so that a map goes
        on after whatever ended it. ValueError where a tile in it is damaged, or belongs to another map.
    progress: whether to show a bar; False unless given.

    Near the boundary a run is chaotic: the last digit of a tanh decides. Two correct computations, on other processors
    say, differ in a fraction of the pixels there.
    """
    plan = _check(condition, resolution, window, steps, seed, engine, device, dtype)
    folder = None if tiles is None else _check_folder(tiles)
    values, missing = np.empty((plan.resolution, plan.resolution)), []
    for tile in plan.tiles():
        path = folder and folder / tile.name
        if path and path.exists():
            values[tile.place] = _read(path, tile)
        else:
            missing.append(tile)
    total = len(plan.tiles())
    with tqdm(total=total, initial=total - len(missing), desc="map", unit="tile", disable=not progress) as bar:
        for number, part in compute(_train, missing, executor, engine):
            values[missing[number].place] = part
            if folder:
                _write(folder / missing[number].name, missing[number], part)
            bar.update()
    xs, ys = plan.axes()
    return TrainabilityMap(values, xs, ys, plan.condition, plan.window, plan.steps, plan.seed)


def box_count(pixels: Any) -> BoxCount:
    """Cover the pixels that are set with boxes of 1, 2, 4, ... pixels, up to a quarter of the shorter side.

    pixels: truth values, (height, width), at least 15 x 15. The boxes lie on a grid that begins at the first pixel;
        those at the far edges may reach beyond.

    Where no pixel is set, the dimension is nan.
    """
    pixels = np.asarray(pixels)
    if pixels.ndim != 2 or min(pixels.shape) < 15 or pixels.dtype != bool:
        raise ValueError(
            f"box_count: pixels have shape {pixels.shape} and type {pixels.dtype}; give truth values, 15 x 15 or more"
        )
    sizes = 2 ** np.arange(int(math.log2((min(pixels.shape) + 1) / 4)) + 1)
    counts = np.array([_boxes(pixels, size) for size in sizes.tolist()])
    if counts[0] == 0:
        return BoxCount(sizes, counts, math.nan, math.nan)
    x, y = -np.log(sizes), np.log(counts)
    x = x - x.mean()
    slope = float(x @ y / (x @ x))
    rest = y - y.mean() - slope * x
    return BoxCount(sizes, counts, slope, math.sqrt(float(rest @ rest) / (len(x) - 2) / float(x @ x)))


def _boxes(pixels: np.ndarray, size: int) -> int:
    """How many boxes of a size hold a pixel that is set."""
    rows, columns = (np.arange(0, length, size) for length in pixels.shape)
    return int(np.logical_or.reduceat(np.logical_or.reduceat(pixels, rows, axis=0), columns, axis=1).sum())


# ----------------------------------------------------------------------------------------------------------------------
# Tiles.


@dataclass(frozen=True)
class _Plan:
    """A map that is to be computed; the engine by name, for a module cannot be sent to another process."""

    condition: str
    resolution: int
    window: Box
    steps: int
    seed: int
    engine: str
    device: str
    dtype: str

    @property
    def side(self) -> int:
        """Pixels along the sides of its tiles."""
        return SIDES[self.device]

    def axes(self) -> tuple[np.ndarray, np.ndarray]:
        """The settings at the centres of the columns, and of the rows."""
        share = (np.arange(self.resolution) + 0.5) / self.resolution
        (left, right), (low, high) = np.log(self.window)
        return np.exp(left + share * (right - left)), np.exp(low + share * (high - low))

    def tiles(self) -> list[_Tile]:
        starts = range(0, self.resolution, self.side)
        return [_Tile(self, row, column) for row in starts for column in starts]


@dataclass(frozen=True)
class _Tile:
    """The part of a map that begins at a row and a column."""

    plan: _Plan
    row: int
    column: int

    @property
    def place(self) -> tuple[slice, slice]:
        """Its pixels in the map; at the far edges fewer than the slices say."""
        side = self.plan.side
        return slice(self.row, self.row + side), slice(self.column, self.column + side)

    @property
    def name(self) -> str:
        return f"tile_{self.row:05}_{self.column:05}.safetensors"

    def words(self) -> str:
        """All that it is; of the plan without what older files do not say, where that is as it was then."""
        said = asdict(self)
        for name, usual in {"device": "cpu", "dtype": "float64"}.items():
            if said["plan"][name] == usual:
                del said["plan"][name]
        return json.dumps(said)


def _train(tile: _Tile) -> np.ndarray:
    """The values of a tile's pixels."""
    plan = tile.plan
    condition, engine = CONDITIONS[plan.condition], import_module(plan.engine)
    xs, ys = plan.axes()
    across, up = np.meshgrid(xs[tile.place[1]], ys[tile.place[0]])
    pairs = np.stack([up if condition.offset else across, up], axis=-1).reshape(-1, 2)
    batches = _draw_batches(condition, plan)

    def there(array: np.ndarray) -> Tensor:
        return engine.tensor(array, plan.dtype, device=plan.device)

    results = engine.functional.train_two_layers(
        *(there(array) for array in (*draw(condition, plan.seed), pairs)),
        steps=plan.steps,
        activation=condition.activation,
        offsets=there(across.ravel()) if condition.offset else None,
        batches=None if batches is None else engine.tensor(batches, device=plan.device),
    )
    sums, inverses, lasts = (np.asarray(on_cpu(result)) for result in results)
    return np.where(lasts < 1, -sums, inverses).reshape(across.shape)


def draw(condition: Condition, seed: int) -> list[np.ndarray]:
    """Samples (N, 16), targets (N,), weights (16, 16) and (16,), all from N(0, 1).

    The factor that the paper puts in front of the first product stands in front of the samples, which is the same.
    """
    random = np.random.default_rng(seed)
    weight0, weight1 = random.normal(size=(WIDTH, WIDTH)), random.normal(size=WIDTH)
    x, y = random.normal(size=(condition.samples, WIDTH)), random.normal(size=condition.samples)
    return [x * math.sqrt((1 if condition.activation == "identity" else 2) / WIDTH), y, weight0, weight1]


def _draw_batches(condition: Condition, plan: _Plan) -> np.ndarray | None:
    """For each step the numbers of the samples of its batch, (steps, B); None where all samples are used."""
    if condition.batch is None:
        return None
    return np.random.default_rng([plan.seed, 1]).integers(0, condition.samples, (plan.steps, condition.batch))


def _write(path: Path, tile: _Tile, values: np.ndarray) -> None:
    arrays, words = {"values": np.ascontiguousarray(values)}, tile.words()
    with written_whole(path) as beside:
        save_file(arrays, beside, {"format": FORMAT, "tile": words, "checksum": checksum(words, arrays)})


def _read(path: Path, tile: _Tile) -> np.ndarray:
    """The values in a file, once it is sure that it is whole and holds this tile."""
    try:
        metadata, arrays = read_safetensors(path)
    except SafetensorError as error:
        raise _refusal(path, f"is not a whole file ({error})") from None
    words = metadata.get("tile", "")
    if metadata.get("format") != FORMAT:
        raise _refusal(path, "is no tile of a map")
    if metadata.get("checksum") != checksum(words, arrays):
        raise _refusal(path, "is damaged: its checksum is not that of its content")
    if words != tile.words():
        raise _refusal(path, f"is a tile of another map: {words} there, {tile.words()} here")
    return arrays["values"]


def _refusal(path: Path, reason: str) -> ValueError:
    return ValueError(f"trainability_map: {str(path)!r} {reason}; delete it, or give another folder as tiles")


# ----------------------------------------------------------------------------------------------------------------------
# Checks.


def _check(
    condition: Any, resolution: Any, window: Any, steps: Any, seed: Any, engine: Any, device: Any, dtype: Any
) -> _Plan:
    name = "trainability_map"
    if not isinstance(condition, str) or condition not in CONDITIONS:
        raise ValueError(f"{name}: condition={condition!r:.80} is unknown; use {', '.join(map(repr, CONDITIONS))}")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"{name}: seed={seed!r:.80}; give a whole number of 0 or more")
    pixels, count = check_resolution(name, resolution), check_count(f"{name}: steps", steps)
    check_engine(engine).zeros(1, device=device)  # which says where that cannot be
    allowed = ("float64", "float32") if device == "cuda" else ("float64",)
    if dtype not in allowed:
        said = " or ".join(map(repr, allowed))
        raise ValueError(f"{name}: dtype={dtype!r:.80} with device={device!r}; use {said} there")
    return _Plan(condition, pixels, _check_window(window), count, int(seed), engine.__name__, device, dtype)


def _check_window(window: Any) -> Box:
    try:
        ends = np.array(window, dtype=float)
    except (TypeError, ValueError):
        ends = np.empty(0)
    if (
        ends.shape != (2, 2)
        or not np.isfinite(ends).all()
        or not (ends[:, 0] > 0).all()
        or not (np.diff(ends) > 0).all()
    ):
        raise ValueError(
            f"trainability_map: window={window!r:.80}; give ((x from, x to), (y from, y to)), above 0 and growing"
        )
    (left, right), (low, high) = ends.tolist()
    return (left, right), (low, high)


def _check_folder(tiles: Any) -> Path:
    if not isinstance(tiles, str | Path):
        raise TypeError(f'trainability_map: tiles={tiles!r:.80}; give the name of a folder, such as "out/map"')
    folder = full_path(tiles)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"trainability_map: tiles={str(tiles)!r} is a file; give a folder, such as out/map")
    return folder
