"""A training that is killed at random moments and goes on from its checkpoint. Not a test by itself.

python tests/killed_training.py ENGINE FOLDER KILLS: prints a digest of the weights of a run that was left alone, a
digest of those of one that was killed so many times, and at which of its steps each life began. Lives are forked
from here, which saves them the imports; so no kernel may run on several threads.
"""

import gc
import hashlib
import importlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np

import nn

X = np.random.default_rng(0).normal(size=(46, 3))
Y = np.sign(X[:, :1] * X[:, 1:2])
WEIGHTS = np.linspace(0.5, 1.5, len(X))


def parts(engine):
    """Everything that remembers something: batch norm, dropout, Adam, a schedule, early stopping, norms."""
    make = {"engine": engine, "seed": np.random.default_rng(1)}
    model = nn.Sequential(
        *(nn.Linear(3, 4, **make), nn.BatchNorm1d(4, engine=engine), nn.Tanh()),
        *(nn.Dropout(0.2, seed=5), nn.Linear(4, 1, **make)),
    )
    optimizer = nn.AdamW(model.parameters(), lr=0.01)
    cycle = nn.OneCycleLR(optimizer, 0.05, total_steps=6 * epochs(engine))
    callbacks = [nn.Schedule(cycle, every="step"), nn.EarlyStopping("loss", 3), nn.ClipGradNorm(1.0)]
    return model, optimizer, callbacks


def epochs(engine):
    return 40 if engine.__name__ == "fast" else 4


def train(engine, path=None, first=None):
    """The weights at the end; `first` is called before the first step, with the number of those that are done."""
    model, optimizer, callbacks = parts(engine)
    if path is not None:
        callbacks.append(nn.Checkpoint(path, every=1, unit="step"))
    if first is not None:
        callbacks.append(Beginning(first))
    history = nn.fit(
        *(model, (X, Y), nn.hinge_loss, optimizer, epochs(engine), 4),
        accumulate=2,
        sample_weight=WEIGHTS,
        penalty=lambda parameters: 1e-3 * nn.l1_penalty(parameters),
        callbacks=callbacks,
        seed=7,
        resume=path if path is not None and path.exists() else None,
    )
    return digest(model, history)


class Beginning(nn.Callback):
    def __init__(self, tell):
        self.tell = tell

    def on_train_begin(self, run):
        self.tell(len(run.history.step_loss))


def digest(model, history):
    """A digest of all weights and losses, to the bit, and the words in which training ended."""
    numbers = [*model.state_dict().values(), np.array(history.step_loss), np.array(history.loss)]
    return hashlib.sha256(b"".join(array.tobytes() for array in numbers)).hexdigest(), history.stopped


def main(engine, folder, kills):
    alone = train(engine)  # which loads the kernels, too
    started = time.perf_counter()
    train(engine, folder / "warm.safetensors")
    duration, moments = time.perf_counter() - started, random.Random(3)
    path, notes = folder / "run.safetensors", folder / "notes"
    notes.touch()
    gc.collect()
    gc.freeze()  # or each life might begin with a collection that copies all memory, longer than the life itself
    for life in range(kills + 1):
        child = os.fork()
        if child == 0:
            end = train(engine, path, first=lambda done: notes.open("a").write(f"{done}\n"))
            (folder / "end").write_text(json.dumps(end))
            os._exit(0)
        if life < kills:
            while len(notes.read_text().split()) <= life and not (folder / "end").exists():
                time.sleep(1e-4)
            time.sleep(moments.uniform(0, 3) * duration / kills)
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    print(json.dumps([alone, json.loads((folder / "end").read_text()), list(map(int, notes.read_text().split()))]))


if __name__ == "__main__":
    main(importlib.import_module(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
