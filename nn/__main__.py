"""`python -m nn predict model.safetensors data.csv`: the predictions of a saved model for the rows of a table."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from nn.data import read_csv
from nn.files import full_path, written_whole
from nn.saving import Saved, load

# `nn` is handed its engine. A command has nobody to hand it one but the person who types it, so here, and only here, a
# name becomes a module. It is one of a fixed list, and never read from a file: importing a module runs it.
ENGINES = ("fast", "micro")


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says; an error ends the program with status 1 and one line that says why."""
    parser = argparse.ArgumentParser(prog="python -m nn", description="Use a model that nn.save has written.")
    commands = parser.add_subparsers(required=True, metavar="command")
    command = commands.add_parser("predict", help="predict for each row of a table", description=predict.__doc__)
    command.add_argument("model", type=Path, help="a file that nn.save has written")
    command.add_argument("data", type=Path, help="a CSV file whose first line names its columns")
    command.add_argument("-o", "--output", type=Path, help="the CSV file to write; left out, the terminal")
    command.add_argument("--engine", choices=ENGINES, default="fast", help="what computes; fast, unless given")
    options = parser.parse_args(arguments)
    try:
        predict(options.model, options.data, options.output, import_module(options.engine))
    except (OSError, ValueError, TypeError) as error:
        sys.exit(f"python -m nn predict: {error}")


def predict(model: Path, data: Path, output: Path | None, engine: Any) -> None:
    """Write one line for each row of the data: for a classifier the class and the probability of each, else the
    outputs of the model. Where the model knows the names of its features, these columns are taken from the data, in
    whichever order; where it does not, all columns in theirs.
    """
    if output is not None and full_path(output).resolve() in {full_path(path).resolve() for path in (model, data)}:
        raise ValueError(f"{output} would be overwritten; give -o another name")
    saved = load(model, engine=engine)
    table = list(_predictions(saved, read_csv(data, columns=saved.names).X))
    if output is None:
        _write(sys.stdout, table)
        return
    with written_whole(output) as beside, open(beside, "w", encoding="utf-8", newline="") as file:
        _write(file, table)


def _predictions(saved: Saved, x: np.ndarray) -> Iterator[list[Any]]:
    """The header, and a row for each sample."""
    if saved.classes is not None:
        probabilities = saved.probabilities(x)
        yield ["class", *[f"P({name})" for name in saved.classes]]
        for row in probabilities:
            yield [saved.classes[row.argmax()], *row]
        return
    answers = saved.predict(x)
    columns = answers.reshape(len(answers), -1)
    count = columns.shape[1]
    yield ["prediction"] if count == 1 else [f"prediction_{number}" for number in range(count)]
    yield from map(list, columns)


def _write(file: TextIO, table: Sequence[Sequence[Any]]) -> None:
    csv.writer(file, lineterminator="\n").writerows(table)


if __name__ == "__main__":
    main()
