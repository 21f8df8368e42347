"""From DOT text to a picture: by the `dot` program where there is one, else by the Graphviz in pygraphviz's wheel."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from nn.files import full_path, written_whole

FORMATS = ("svg", "png", "pdf")

_ADVICE = (
    "drawing needs Graphviz: `pip install pygraphviz` brings it along, or install the program `dot` "
    "(Debian and Ubuntu: apt install graphviz; Fedora: dnf install graphviz; macOS: brew install graphviz; "
    "Windows: winget install graphviz)"
)


def render(graph: Any, path: str | Path) -> Path:
    """Draw `graph`, a `graphviz.Digraph`, into a file; returns its path.

    path: ends in .svg, .png or .pdf, which chooses the format. Folders are made where needed.
    Raises TypeError for what is no drawing, ValueError for another ending, and RuntimeError where there is no Graphviz
    at all or it refuses; the DOT text then lies beside the path, with the ending .dot, so that nothing is lost.
    """
    if not hasattr(graph, "source"):
        raise TypeError(f"render: {type(graph).__name__} is not a drawing; give viz.graph(...) of it")
    path = full_path(path)
    kind = path.suffix[1:].lower()
    if kind not in FORMATS:
        raise ValueError(f"render: {str(path)!r} must end in .svg, .png or .pdf")
    try:
        picture = draw(graph.source, kind)
    except RuntimeError as error:
        text = path.with_suffix(".dot")
        with written_whole(text) as beside:
            beside.write_text(graph.source, encoding="utf-8")
        raise RuntimeError(f"{error}; the DOT text was saved as {text}") from None
    with written_whole(path) as beside:
        beside.write_bytes(picture)
    return path


def draw(source: str, kind: str) -> bytes:
    """DOT text as a picture of format "svg", "png" or "pdf". RuntimeError where Graphviz is missing or refuses."""
    if shutil.which("dot"):
        result = subprocess.run(["dot", f"-T{kind}"], input=source.encode(), capture_output=True)
        if result.returncode:
            raise RuntimeError(f"dot could not draw the graph: {result.stderr.decode(errors='replace').strip()}")
        return result.stdout
    try:
        import pygraphviz
    except ImportError:
        raise RuntimeError(_ADVICE) from None
    try:
        return pygraphviz.AGraph(string=source).draw(format=kind, prog="dot")
    except Exception as error:  # of several kinds, none of them documented
        raise RuntimeError(f"Graphviz could not draw the graph: {error}") from None
