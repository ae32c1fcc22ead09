"""The engine that works in this process, on one device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from atlas.models.network import Network
from atlas.optvis.optimize import Rendered, render_chunk
from atlas.optvis.recipe import Recipe
from atlas.optvis.subject import Render
from atlas.plan import Chunk


def run(
    network: Network, chunks: Sequence[Chunk], recipe: Recipe, device: str
) -> Iterator[list[Rendered[Render]]]:
    """Render chunk after chunk; yields each chunk's finished renders."""
    for chunk in chunks:
        yield render_chunk(network, chunk.renders, recipe, device)
