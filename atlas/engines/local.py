"""The engine that works in this process, on one device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from atlas.failures import memory_explained
from atlas.models.network import Network
from atlas.optvis.optimize import Rendered, render_chunk
from atlas.optvis.recipe import Recipe
from atlas.optvis.subject import Render
from atlas.plan import Chunk


def run(
    network: Network, chunks: Sequence[Chunk], recipe: Recipe, device: str
) -> Iterator[list[Rendered[Render]]]:
    """Render chunk after chunk; yields each chunk's finished renders.

    Raises:
        WorkError: a chunk does not fit into memory.
    """
    for chunk in chunks:
        images, first = len(chunk.renders), chunk.renders[0].unit
        with memory_explained(
            f"rendering {images} images of {recipe.size} px together, from {first} on",
            "a smaller --size or fewer units a batch ([render] chunk) need less",
        ):
            results = render_chunk(network, chunk.renders, recipe, device)
        yield results
