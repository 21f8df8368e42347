"""A trainability map of any size, tile by tile: `make map` runs it, and lesson 24 explains it.

Interrupt it when you like: what is done is kept in a folder beside the picture, and next time it goes on from there.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import fast
import nn
import viz
from nn.trainability import CONDITIONS, WINDOW


def main() -> None:
    parser = argparse.ArgumentParser(description="A trainability map, as a picture; goes on where it was interrupted.")
    parser.add_argument("--condition", choices=CONDITIONS, default="tanh", help="what is trained; tanh, unless given")
    parser.add_argument("--resolution", type=int, default=256, help="pixels along each side; 256, unless given")
    parser.add_argument("--steps", type=int, default=500, help="of each run; 500, unless given")
    parser.add_argument("--x", type=float, nargs=2, default=WINDOW[0], help="from and to, on the horizontal axis")
    parser.add_argument("--y", type=float, nargs=2, default=WINDOW[1], help="from and to, on the vertical axis")
    parser.add_argument("--picture", type=Path, default=Path("out/map.png"), help="what to write; out/map.png")
    options = parser.parse_args()
    found = nn.trainability_map(
        *(options.condition, options.resolution, (options.x, options.y), options.steps),
        engine=fast,
        tiles=options.picture.with_suffix(""),
        progress=True,
    )
    ax = viz.trainability_map(found)
    ax.set_title(f"{found.condition}: {found.converged.mean():.0%} of {found.values.size:,} trainings converged")
    ax.figure.set_size_inches(10, 9)
    ax.figure.savefig(options.picture, dpi=150)
    boxes = found.dimension()
    print(f"{options.picture}: by box counting the boundary has dimension {boxes.dimension:.2f} ± {boxes.error:.2f}")


if __name__ == "__main__":
    main()
