"""The report of `gpu.py`: what was measured, as JSON and as a page of tables, both whole on disk at any moment."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

#: What a part can be, and how the page says so where it is not "done".
STATES = {
    "waiting": "Not begun.",
    "running": "Interrupted; what is above is not all.",
    "done": "",
    "failed": "**Failed**",
    "stopped": "**Stopped**",
}


@dataclass
class Part:
    """What one part has measured.

    name: by which it is asked for. title: what it measures, in a sentence.
    state: of `STATES`. seconds: that it took. error: why it failed, or was stopped.
    rows: figures by the names of their columns; of a column that a row lacks, its cell is empty.
    """

    name: str
    title: str
    state: str = "waiting"
    seconds: float = 0.0
    error: str = ""
    rows: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Report:
    """machine: what it was measured on, in words by their names: "gpu", "driver", "date", versions of packages."""

    machine: dict[str, Any]
    parts: list[Part]

    @property
    def passed(self) -> bool:
        """Whether all parts are done."""
        return all(part.state == "done" for part in self.parts)

    def save(self, folder: Path) -> list[Path]:
        """Write both files, each beside itself and then in its place, so that there is always a whole one."""
        folder.mkdir(parents=True, exist_ok=True)
        texts = {".json": json.dumps(asdict(self), indent=1) + "\n", ".md": self.page()}
        written = []
        for ending, text in texts.items():
            path = folder / (self.name + ending)
            beside = path.with_name(f".{path.name}.new")
            beside.write_text(text)
            os.replace(beside, path)
            written.append(path)
        return written

    @property
    def name(self) -> str:
        """Of the files: the GPU and the date, "nvidia-h200-2026-11-28-1420"."""
        day, _, minute = self.machine["date"][:16].replace(":", "").partition("T")
        return re.sub(r"[^a-z0-9]+", "-", f"{self.machine['gpu']} {day} {minute}".lower()).strip("-")

    def page(self) -> str:
        """All of it as Markdown."""
        facts = [f"- {name}: {figure(value)}" for name, value in self.machine.items() if name != "gpu"]
        lines = [f"# {self.machine['gpu']}", "", *facts]
        for part in self.parts:
            lines += ["", f"## {part.name}: {part.title}", "", *table(part.rows)]
            said = STATES[part.state] + (f": {part.error}" if part.error else "")
            if said:
                lines += ["", said] if part.rows else [said]
        return "\n".join(lines) + "\n"


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Lines of Markdown, numbers to the right; columns in the order in which rows first have them."""
    if not rows:
        return []
    columns = list(dict.fromkeys(name for row in rows for name in row))
    right = {name for name in columns if all(isinstance(row.get(name, 0), int | float) for row in rows)}
    return [
        f"| {' | '.join(columns)} |",
        f"|{'|'.join('---:' if name in right else '---' for name in columns)}|",
        *[f"| {' | '.join(figure(row.get(name)) for name in columns)} |" for row in rows],
    ]


def figure(value: Any) -> str:
    """A value of a table: whole numbers as they are, others with three digits."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value).replace("|", "\\|").replace("\n", " ")
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if 100 <= abs(value) < 1e15 else f"{value:.3g}"
