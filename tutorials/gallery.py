"""The gallery of the README: a picture of each kind that viz draws, from small trainings.

`make gallery` runs it. Where a lesson draws such a picture anyway, the README shows that one; here are the others.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from sklearn.datasets import load_digits, make_moons
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import train_test_split

import fast
import micro
import nn
import viz


def graphs(folder: Path) -> None:
    """Graphs of networks, folded, on both engines, and training in words."""
    x, y = moons(100)
    model = nn.MLP([2, 16, 16, 1], "relu", engine=micro, seed=1)
    loss = nn.hinge_loss(model(micro.tensor(x)), micro.tensor(y))
    loss.backward()
    viz.render(viz.graph(loss, fold="layer"), folder / "folded.svg")

    losses = []
    for engine in (micro, fast):
        model = nn.MLP([2, 3, 1], "tanh", engine=engine, seed=1, dtype="float64")
        losses.append(nn.mse_loss(model(engine.tensor(x[:4])), engine.tensor(y[:4])))
        losses[-1].backward()
    viz.render(viz.side_by_side(*losses), folder / "engines.svg")
    viz.render(viz.concept_map(), folder / "concept_map.svg")


def landscapes(folder: Path) -> None:
    """The loss of a network over planes through its weights, and what it has learned after each epoch."""
    data = moons(100)
    model = nn.MLP([2, 16, 1], "tanh", engine=fast, seed=0)
    snapshots = nn.Snapshots(stride=3)
    nn.fit(model, data, nn.mse_loss, nn.SGD(model.parameters(), lr=0.2, momentum=0.5), 30, 20, callbacks=[snapshots])

    plane = nn.loss_plane(model, data, nn.mse_loss, nn.random_directions(model, seed=3), resolution=41)
    ax = viz.loss_surface(*plane)
    ax.set(title="The loss around the trained weights", zlabel="loss")
    save(ax, folder / "surface.png", 5.5, 4.5)

    path = nn.path_directions(model, list(snapshots.states.values()))
    plane = nn.loss_plane(model, data, nn.mse_loss, path.directions, path.box(), resolution=41)
    ax = viz.descent_paths(*plane, {"weights, every third epoch": path.coordinates}, bar=True)
    first, second = path.shares
    ax.set(title="The path of a training", xlabel=f"first direction, {first:.0%} of the path")
    ax.set(ylabel=f"second direction, {second:.0%}")
    save(ax, folder / "path.png", 5.5, 4.5)

    viz.boundary_gif(nn.predictors(model, snapshots.states), *data, folder / "boundary.gif", seconds=0.6)


def layers(folder: Path) -> None:
    """What is inside a network: outputs and gradients of its layers, and the size of its updates."""
    x, y = digits()[::2]
    deep = nn.MLP([64, *[32] * 5, 10], "tanh", engine=fast, seed=0)
    record = nn.record_activations(deep, x, y, nn.cross_entropy)
    outputs = {name: array for name, array in record.outputs.items() if "Tanh" in name}
    ax = viz.layer_histograms(outputs)
    ax.set_title("Outputs of five tanh layers")
    save(ax, folder / "outputs.svg", 6, 4)

    ax = viz.layer_histograms({name: record.gradients[name] for name in outputs}, magnitude=True)
    ax.set_title("The gradients that reach them")
    save(ax, folder / "gradients.svg", 6, 4)

    ratios, recorder = nn.UpdateRatios(), nn.RecordActivations(x[:100])
    watching = [ratios, recorder]
    nn.fit(deep, (x, y), nn.cross_entropy, nn.Adam(deep.parameters(), lr=0.001), 10, 32, callbacks=watching)
    ax = viz.update_ratios(ratios.ratios)
    ax.set_title("Updates, compared with weights")
    save(ax, folder / "update_ratios.svg", 7.5, 4)

    ax = viz.layer_quantiles({epoch: record.outputs["9 Tanh"] for epoch, record in recorder.records.items()})
    ax.set_title("Outputs of the last tanh layer")
    save(ax, folder / "quantiles.svg", 6, 4)


def judgement(folder: Path) -> None:
    """How good a trained network is."""
    x_train, x_test, y_train, y_test = digits()
    model = nn.MLP([64, 32, 10], "relu", engine=fast, seed=0)
    nn.fit(model, (x_train, y_train), nn.cross_entropy, nn.Adam(model.parameters(), lr=0.01), 8, 32)
    answers = nn.predict(model, x_test).argmax(axis=1)
    ax = viz.confusion_matrix(confusion_matrix(y_test, answers))
    ax.set_title(f"{len(y_test)} digits never seen, {np.mean(answers == y_test):.1%} right")
    save(ax, folder / "confusion.svg", 6.5, 5.5)

    model = nn.MLP([2, 64, 64, 1], "relu", engine=fast, seed=0)
    optimizer = nn.Adam(model.parameters(), lr=0.003)
    few, many = moons(40, noise=0.35), moons(400, noise=0.35, seed=1)
    loss = nn.binary_cross_entropy_with_logits
    few, many = [(x, (y + 1) / 2) for x, y in (few, many)]
    history = nn.fit(model, few, loss, optimizer, 150, validation=many)
    ax = viz.early_stopping_curve(history)
    ax.set_title("Forty noisy samples are learned by heart")
    save(ax, folder / "early_stopping.svg", 7.5, 4)


def program(folder: Path) -> None:
    """A compiled training step below the roofs of this machine."""
    model = nn.MLP([784, 256, 128, 10], engine=fast, seed=0)
    step = fast.compile_step(lambda x, y: nn.cross_entropy(model(x), y), nn.Adam(model.parameters()))
    random = np.random.default_rng(0)
    measured = step.measure(random.standard_normal((256, 784)), random.integers(10, size=256))
    save(viz.roofline(measured, fast.measure_peaks()), folder / "roofline.svg", 6.4, 4.4)


def moons(count: int, noise: float = 0.1, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Points (count, 2) and their sides (count, 1), -1 or 1."""
    points, side = make_moons(count, noise=noise, random_state=seed)
    return points, (2.0 * side - 1).reshape(-1, 1)


def digits() -> list[np.ndarray]:
    """600 handwritten digits (N, 64) to train on and 1,197 others, and their classes."""
    images, classes = load_digits(return_X_y=True)
    return train_test_split(images / 16, classes, train_size=600, random_state=0, stratify=classes)


def save(ax: matplotlib.axes.Axes, path: Path, width: float, height: float) -> None:
    """The same picture makes the same file. A PNG has 256 colours, and so a third of the bytes."""
    ax.figure.set_size_inches(width, height)
    ax.figure.savefig(path, **{"metadata": {"Date": None}} if path.suffix == ".svg" else {"dpi": 120})
    if path.suffix == ".png":
        Image.open(path).convert("RGB").quantize(dither=Image.Dither.NONE).save(path, optimize=True)
    plt.close(ax.figure)


def main() -> None:
    """Draw all, and tell what was made."""
    parser = argparse.ArgumentParser(description="The gallery of the README.")
    parser.add_argument("--figures", type=Path, default=Path("out/gallery"), help="folder for the pictures")
    folder = parser.parse_args().figures
    folder.mkdir(parents=True, exist_ok=True)
    matplotlib.rcParams["svg.hashsalt"] = "twograd"
    for draw in (graphs, landscapes, layers, judgement, program):
        started = time.perf_counter()
        draw(folder)
        print(f"{draw.__name__}: {time.perf_counter() - started:.1f} s")
    for path in sorted(folder.iterdir()):
        print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
