"""The engine that works in this process, on one device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from atlas.failures import memory_explained, out_of_memory
from atlas.models.network import Network
from atlas.optvis.optimize import Rendered, render_chunk
from atlas.optvis.recipe import Recipe
from atlas.optvis.subject import Render
from atlas.plan import Chunk


def run(
    network: Network, chunks: Sequence[Chunk], recipe: Recipe, device: str
) -> Iterator[list[Rendered[Render]]]:
    """Render chunk after chunk; yields each chunk's finished renders.

    A chunk that does not fit into memory is rendered in halves, as are all after it that are as
    large. (Pixels then differ by rounding from those of a machine on which it fits.)

    Raises:
        WorkError: not even one image, or one diverse set, fits into memory.
    """
    most = max((len(chunk.renders) for chunk in chunks), default=0)
    for chunk in chunks:
        waiting, finished = [tuple(chunk.renders)], []
        while waiting:
            renders = waiting.pop(0)
            halves = halved(renders)
            if len(renders) > most and halves:
                waiting[:0] = halves
                continue
            images = f"{len(renders)} image{'s'[: len(renders) > 1]} of {recipe.size} px"
            with memory_explained(
                f"rendering {images} at a time, {renders[0].unit}",
                "a smaller --size needs less",
            ):
                try:
                    finished += render_chunk(network, renders, recipe, device)
                except (MemoryError, RuntimeError) as error:
                    if not (halves and out_of_memory(error)):
                        raise
                    most, waiting[:0] = max(map(len, halves)), halves
            if device == "cuda" and most < len(chunk.renders):
                torch.cuda.empty_cache()
        yield finished


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
