"""Tables in CSV files."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nn.files import full_path

#: Cells that stand for a number that is missing, in small letters.
MISSING = ("", "na", "n/a", "nan", "null", "none", "?")


class Table(NamedTuple):
    """What `read_csv` gives: `names, X, y = read_csv(...)`.

    names: of the features, from the header.
    X: the features, float64 (N, F).
    y: the targets (N,), or (N, T) if several were asked for; None without.
    """

    names: list[str]
    X: np.ndarray
    y: np.ndarray | None


def read_csv(
    path: str | Path,
    target: str | Sequence[str] | None = None,
    *,
    columns: Sequence[str] | None = None,
    missing: str = "refuse",
    delimiter: str = ",",
) -> Table:
    """Read a table whose first line names its columns.

    target: the name of the column that is to be predicted, or a list of names. A column of whole numbers becomes int64,
        as class labels are (for a loss such as `mse_loss` write y.astype(float)); one that holds text stays text,
        which scikit-learn's LabelEncoder turns into labels.
    columns: the names of the features in the order wanted; left out, all columns but the target, in their order.
    missing: what to do about empty cells, NA, nan and ?: "refuse", the default, or "keep" them as nan in X, for
        scikit-learn's SimpleImputer to fill.
    delimiter: what stands between two cells.

    Raises ValueError, with the line and the column, for text among the features, for missing and infinite numbers and
    for lines of another length.
    """
    if missing not in ("refuse", "keep"):
        raise ValueError(f'read_csv: {missing=}; use "refuse" or "keep"')
    path = full_path(path)
    header, lines, rows = _read(path, delimiter)
    targets = [] if target is None else [target] if isinstance(target, str) else list(target)
    names = [name for name in header if name not in targets] if columns is None else list(columns)
    unknown = [name for name in [*targets, *names] if name not in header]
    if unknown:
        raise ValueError(f"{path} has no column {unknown[0]!r}; its columns are {', '.join(header)}")
    if not names:
        raise ValueError(f"{path} has no column beside the target; there must be features to predict it from")
    cells = dict(zip(header, zip(*rows, strict=True), strict=True))
    features = [_numbers(path, name, cells[name], lines) for name in names]
    gaps = [] if missing == "keep" else _gaps(names, features, lines)
    gaps += [(line, name) for name in targets for line, cell in zip(lines, cells[name], strict=True) if _is_gap(cell)]
    if gaps:
        shown = ", ".join(f"line {line} column {name!r}" for line, name in sorted(gaps)[:5])
        raise ValueError(
            f"{path}: {len(gaps)} numbers are missing: {shown}{' and others' if len(gaps) > 5 else ''}; fill them, "
            "drop the lines, or, for features, give missing='keep' and fill them with scikit-learn's SimpleImputer"
        )
    answers = [_target(cells[name]) for name in targets]
    y = None if target is None else answers[0] if isinstance(target, str) else np.stack(answers, axis=1)
    return Table(names, np.stack(features, axis=1), y)


def _read(path: Path, delimiter: str) -> tuple[list[str], list[int], list[list[str]]]:
    """The header, and for each row that is not empty its line in the file and its cells."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            numbered = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is no CSV file in UTF-8: {error}") from None
    if len(numbered) < 2:
        raise ValueError(f"{path} has no rows; give a header, and at least one row below it")
    (_, header), *body = numbered
    _check_header(path, header, delimiter)
    for line, row in body:
        if len(row) != len(header):
            raise ValueError(f"{path}, line {line}: {len(row)} cells, where the header has {len(header)}")
    return header, [line for line, _ in body], [row for _, row in body]


def _check_header(path: Path, header: list[str], delimiter: str) -> None:
    if all(_is_number(name) for name in header):
        raise ValueError(f"{path} begins with numbers, {', '.join(header):.60}; its first line must name the columns")
    other = next((mark for mark in ";\t|" if len(header) == 1 and mark in header[0]), None)
    if other:
        raise ValueError(f"{path} has a single column, {header[0]:.60}; try delimiter={other!r}, not {delimiter!r}")
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{path} has two columns called {twice!r}; each needs a name of its own")


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell)) and "_" not in cell  # Python reads 1_000 as a number
    except ValueError:
        return False


def _is_gap(cell: str) -> bool:
    return cell.lower() in MISSING


def _numbers(path: Path, name: str, cells: Sequence[str], lines: Sequence[int]) -> np.ndarray:
    """A column as numbers, missing ones as nan."""
    for line, cell in zip(lines, cells, strict=True):
        if not _is_gap(cell) and not _is_number(cell):
            raise ValueError(
                f"{path}, line {line}: column {name!r} holds {cell!r:.40}, which is no finite number; encode text "
                "first (scikit-learn has OneHotEncoder and OrdinalEncoder), or leave the column out with columns="
            )
    return np.array([math.nan if _is_gap(cell) else float(cell) for cell in cells])


def _gaps(names: Sequence[str], columns: Sequence[np.ndarray], lines: Sequence[int]) -> list[tuple[int, str]]:
    """Line and column of what is missing among the features."""
    return [
        (lines[place], name)
        for name, column in zip(names, columns, strict=True)
        for place in np.flatnonzero(np.isnan(column)).tolist()
    ]


def _target(cells: Sequence[str]) -> np.ndarray:
    """A column as whole numbers where all are, else as numbers, else as text."""
    if not all(_is_number(cell) for cell in cells):
        return np.array(cells)
    numbers = np.array([float(cell) for cell in cells])
    whole = all(cell.lstrip("+-").isdigit() for cell in cells) and np.abs(numbers).max() < 2**53
    return numbers.astype(np.int64) if whole else numbers
