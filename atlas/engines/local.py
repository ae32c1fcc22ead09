"""The engine that works in this process, on one device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from atlas import interrupt
from atlas.engines import Finished
from atlas.examples.collect import passing
from atlas.examples.sources import Source
from atlas.examples.state import State
from atlas.examples.view import Viewing
from atlas.examples.workers import decoding
from atlas.failures import memory_explained
from atlas.models.network import Network
from atlas.optvis.optimize import render_chunk
from atlas.optvis.recipe import Recipe
from atlas.plan import Chunk


class LocalEngine:
    """See the module and `Engine`.

    Args:
        network: on `device`.
    """

    def __init__(self, network: Network, device: str) -> None:
        self._network, self._device = network, device

    def render(self, chunks: Sequence[Chunk], recipe: Recipe) -> Iterator[Finished]:
        """See `Engine`."""
        for chunk in chunks:
            yield render_one(self._network, chunk, recipe, self._device)
            if interrupt.asked():
                return

    def look(
        self,
        source: Source,
        layers: Sequence[str],
        state: State,
        viewing: Viewing,
        k: int,  # noqa: ARG002 (lists of `state` have their places)
        todo: Sequence[range],
        advance: Callable[[int], None],
    ) -> Iterator[State]:
        """See `Engine`."""
        left = sum(len(chunk) for chunk in todo) - state.images
        with decoding(left) as workers:
            yield from passing(
                *(self._network, source, layers, state, viewing, todo, self._device),
                advance,
                workers,
            )


def render_one(network: Network, chunk: Chunk, recipe: Recipe, device: str) -> Finished:
    """Render a chunk.

    Raises:
        WorkError: it does not fit into memory.
    """
    images, first = len(chunk.renders), chunk.renders[0].unit
    with memory_explained(
        f"rendering {images} images of {recipe.size} px together, from {first} on",
        "a smaller --size or fewer units a batch ([render] chunk) need less",
    ):
        return render_chunk(network, chunk.renders, recipe, device)
