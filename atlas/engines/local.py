"""The engine that works in this process, on one device."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence

import torch

from atlas import interrupt
from atlas.engines import Finished
from atlas.engines.lanes import side_by_side
from atlas.examples.collect import passing
from atlas.examples.sources import Source
from atlas.examples.state import State
from atlas.examples.view import Viewing
from atlas.examples.workers import decoding
from atlas.failures import memory_explained, out_of_memory
from atlas.models.network import Network
from atlas.optvis.optimize import render_chunk
from atlas.optvis.recipe import Recipe
from atlas.optvis.subject import Render
from atlas.plan import Chunk


class LocalEngine:
    """See the module and `Engine`.

    Args:
        network: on `device`.
        lanes: chunks of renders at a time (`lanes`).
    """

    def __init__(self, network: Network, device: str, lanes: int = 1) -> None:
        self._network, self._device, self._lanes = network, device, lanes
        self._renderer = Renderer(network, device)

    def render(self, chunks: Sequence[Chunk], recipe: Recipe) -> Iterator[Finished]:
        """See `Engine`."""
        # The last layers cost most: where several lanes finish together, they had better begin.
        yield from side_by_side(
            lambda chunk, check: self._renderer(chunk, recipe, check),
            chunks if self._lanes == 1 else reversed(chunks),
            self._lanes,
            begins=lambda: not interrupt.asked(),
            apart=self._device == "cuda",  # images are encoded and written meanwhile
        )

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


class Renderer:
    """Renders chunks. One that does not fit into memory is rendered in halves, as are all after it
    that are as large. (Pixels then differ by rounding from those of a machine on which it fits.)

    Args:
        network: on `device`.
    """

    def __init__(self, network: Network, device: str) -> None:
        self._network, self._device = network, device
        self._most = sys.maxsize

    def __call__(
        self, chunk: Chunk, recipe: Recipe, check: Callable[[], None] | None = None
    ) -> Finished:
        """Render a chunk.

        Args:
            check: called before every step.

        Raises:
            WorkError: not even one image, or one diverse set, fits into memory.
        """
        waiting, finished = [tuple(chunk.renders)], Finished()
        while waiting:
            renders = waiting.pop(0)
            halves = halved(renders)
            if len(renders) > self._most and halves:
                waiting[:0] = halves
                continue
            images = f"{len(renders)} image{'s'[: len(renders) > 1]} of {recipe.size} px"
            with memory_explained(
                f"rendering {images} at a time, {renders[0].unit}", "a smaller --size needs less"
            ):
                try:
                    finished += render_chunk(
                        self._network, renders, recipe, self._device, None, check
                    )
                except (MemoryError, RuntimeError) as error:
                    if not (halves and out_of_memory(error)):
                        raise
                    self._most, waiting[:0] = max(map(len, halves)), halves
        if self._device == "cuda" and self._most < len(chunk.renders):
            torch.cuda.empty_cache()
        return finished


def halved(renders: Sequence[Render]) -> list[tuple[Render, ...]]:
    """Two runs of about half the renders each, diverse sets left whole; none where that is one."""
    whole: list[list[Render]] = []
    for render in renders:
        last = whole[-1][-1] if whole else None
        if last is not None and render.role == last.role == "diverse" and render.unit == last.unit:
            whole[-1].append(render)
        else:
            whole.append([render])
    if len(whole) < 2:
        return []
    starts = [sum(map(len, whole[:n])) for n in range(1, len(whole))]
    cut = min(starts, key=lambda start: abs(start - len(renders) / 2))
    return [tuple(renders[:cut]), tuple(renders[cut:])]
