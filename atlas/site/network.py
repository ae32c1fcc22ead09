"""The drawing of the network on the index page: one block a layer, its size to scale.

Height is the side of the layer's map (spatial resolution), width its number of channels, the
shades its branches. The template turns a `Block` into an SVG of 1,024 × 112 units a column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from atlas.site.text import short, slug
from atlas.units import Layer

SIDES: dict[str, int] = {
    "conv2d0": 112, "conv2d1": 56, "conv2d2": 56, "mixed3a": 28, "mixed3b": 28,
    "mixed4a": 14, "mixed4b": 14, "mixed4c": 14, "mixed4d": 14, "mixed4e": 14,
    "mixed5a": 7, "mixed5b": 7,
}  # fmt: skip
"""Side of each map of GoogLeNet for a 224-px photograph (Szegedy et al. 2015, table 1)."""

COLUMN_WIDTH, COLUMN_HEIGHT = 1024, 112


@dataclass(frozen=True)
class Part:
    """The rectangle of one branch inside a block, in the column's units."""

    branch: str
    x: float
    width: float


@dataclass(frozen=True)
class Block:
    """A layer in the drawing; `page` is None when this atlas has no channel of it."""

    layer: Layer
    label: str
    page: str | None
    shown: int
    side: int | None
    y: float
    height: float
    parts: tuple[Part, ...]


def draw(layers: Sequence[Layer], shown: dict[str, int], view: int = 224) -> list[Block]:
    """Blocks for all layers; `shown` counts the channels this atlas has of each.

    `view` is the side in pixels of the photographs as the network sees them.
    """
    known = all(layer.name in SIDES for layer in layers)
    widest = max((layer.channels for layer in layers), default=1)
    blocks = []
    for layer in layers:
        side = max(1, SIDES[layer.name] * view // 224) if known else None
        height = float(SIDES[layer.name] if known else COLUMN_HEIGHT / 2)
        scale = COLUMN_WIDTH / max(widest, COLUMN_WIDTH if known else 1)
        left = (COLUMN_WIDTH - layer.channels * scale) / 2
        parts = tuple(
            Part(b.name, round(left + b.start * scale, 1), round((b.stop - b.start) * scale, 1))
            for b in layer.branches
        )
        amount = shown.get(layer.name, 0)
        page = f"{slug(layer.name)}/index.html" if amount else None
        top = (COLUMN_HEIGHT - height) / 2
        blocks.append(Block(layer, short(layer.name), page, amount, side, top, height, parts))
    return blocks
