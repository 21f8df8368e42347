"""Self-contained pages: one HTML file that fetches nothing, light or dark as its reader's system is."""

from __future__ import annotations

import html
from pathlib import Path

from nn.files import full_path, written_whole

#: What every page shares. Pictures keep their light paper in the dark too: their colours were chosen on it.
_STYLE = """
:root { color-scheme: light dark;
  --ink: #1f2937; --paper: #ffffff; --pale: #f3f4f6; --line: #9ca3af; --focus: #1d4ed8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e5e7eb; --paper: #111827; --pale: #1f2937; --line: #6b7280; --focus: #93c5fd; }
}
* { box-sizing: border-box; }
body { margin: 0; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 Helvetica, Arial, sans-serif; }
h1 { font-size: 1.25rem; margin: 0 0 .75rem; }
button, select, input { font: inherit; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
figure { margin: 0; background: #ffffff; color: #1f2937; overflow: auto; }
"""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
<script>{script}</script>
</body>
</html>
"""


def page(title: str, body: str, style: str = "", script: str = "") -> str:
    """The text of a page that fetches nothing, and is not allowed to.

    title: any text. body: HTML, in which texts from outside have been escaped. style, script: added to the page.
    """
    return _PAGE.format(title=html.escape(title), body=body, style=_STYLE + style, script=script)


def write_page(name: str, text: str, path: str | Path) -> Path:
    """Write the text of a page to a file, whole or not at all; returns its path.

    name: of the function that asks, for its errors: ValueError unless the path ends in .html (or .htm).
    """
    path = full_path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"{name}: path={str(path)!r} must end in .html")
    with written_whole(path) as beside:
        beside.write_text(text, encoding="utf-8")
    return path
