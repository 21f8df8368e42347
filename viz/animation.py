"""Pictures one after the other: a GIF, for slides and pages that play no video."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING

from nn.files import full_path, written_whole

if TYPE_CHECKING:
    from PIL.Image import Image

#: Seconds for a frame: a GIF counts hundredths in 16 bits, and the last frame stays four times as long.
_LONGEST = 160


def write_gif(
    frames: Sequence[Image], path: str | Path, seconds: float = 0.5, colours: Sequence[str] | None = None
) -> Path:
    """Write pictures of one size as an animated GIF that repeats for ever; returns its path.

    seconds: how long each is shown, 160 at most; the last one stays four times as long.
    colours: those that are used beside white, 255 at most, as "#rrggbb"; every pixel gets the nearest. If left out, 63
        chosen from all frames together. They are the same for all frames, so nothing flickers.
    Raises ValueError for another ending than .gif, for no frames, for frames of several sizes, and for other seconds.
    """
    from PIL import Image  # Matplotlib brings it along

    path = gif_path("write_gif", path)
    sizes = sorted({frame.size for frame in frames})
    if len(sizes) != 1:
        raise ValueError(f"write_gif: the frames have the sizes {sizes[:3]}; give at least one, all of one size")
    if not isinstance(seconds, Real) or not 0 < seconds <= _LONGEST:
        raise ValueError(f"write_gif: seconds={seconds!r}; give a number above 0, {_LONGEST} at most")
    palette = _palette(_frequent(frames) if colours is None else colours)
    pictures = [frame.convert("RGB").quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    durations = [round(1000 * seconds)] * (len(pictures) - 1) + [round(4000 * seconds)]
    with written_whole(path) as beside:
        pictures[0].save(
            beside, "GIF", save_all=True, append_images=pictures[1:], duration=durations, loop=0, optimize=True
        )
    return path


def gif_path(name: str, path: str | Path) -> Path:
    """The path of a GIF; ValueError unless it ends in .gif. name: of the function that was called."""
    path = full_path(path)
    if path.suffix.lower() != ".gif":
        raise ValueError(f"{name}: path={str(path)!r} must end in .gif")
    return path


def _palette(colours: Sequence[str]) -> Image:
    """A picture of which only the palette matters: white, and the colours that can be told from it. (Pillow finds the
    nearest colour of small boxes of colours, not of each; so one that is nearly white would take the place of white.)
    """
    from PIL import Image, ImageColor

    parts = [ImageColor.getrgb(colour)[:3] for colour in colours]
    palette = Image.new("P", (1, 1))
    palette.putpalette([255, 255, 255, *chain(*[colour for colour in parts if min(colour) < 248])])
    return palette


def _frequent(frames: Sequence[Image]) -> list[str]:
    """63 colours of all frames together."""
    palette = _together(frames).quantize(63).getpalette() or []
    return ["#{:02x}{:02x}{:02x}".format(*palette[start : start + 3]) for start in range(0, len(palette), 3)]


def _together(frames: Sequence[Image]) -> Image:
    """The first, the last and some frames between them, one below the other."""
    from PIL import Image

    chosen = [frames[round(place * (len(frames) - 1) / 7)] for place in range(8)]
    width, height = frames[0].size
    sheet = Image.new("RGB", (width, height * len(chosen)))
    for place, frame in enumerate(chosen):
        sheet.paste(frame.convert("RGB"), (0, place * height))
    return sheet
