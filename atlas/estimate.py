"""What a build is going to take, from a short calibration: time, memory and disk.

Of at most `LAYERS` of the layers that lack renders, the first missing batch is rendered for a few
steps, as it will be, and nothing of it is kept. What a step takes, and what a batch takes beside
its steps, are then looked up between these layers by what a layer costs (`cost.layer_costs`).
Photographs are passed over for a few dozen of them, and one strip of pictures is encoded. Memory is
what the process had at most meanwhile. Bytes are of finished work and cannot be read off
unfinished images: they are measured means (below).
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from atlas.config import SiteSection
from atlas.cost import layer_costs
from atlas.engines.lanes import side_by_side
from atlas.examples.ahead import BATCH
from atlas.examples.collect import collect
from atlas.examples.limited import LimitedSource
from atlas.examples.sources import Source
from atlas.failures import memory_explained
from atlas.models.network import Network
from atlas.optvis.optimize import Step, render_chunk
from atlas.optvis.recipe import Recipe
from atlas.plan import Chunk
from atlas.progress import in_bytes, in_words
from atlas.site.encode import compose, encode
from atlas.site.sheets import EXAMPLE_SIZE, RENDER_LIMIT, Format

LAYERS, STEPS, WARM = 3, 8, 3
"""Layers and steps of a calibration, and how many of these come before the clock is trusted."""

PHOTOGRAPHS = 3 * BATCH
"""Passed over, after one batch to warm up."""

MASTER = 1.9
"""Bytes of a master per pixel: PNGs of finished renders of 96 to 224 px take 1.6 to 2.7."""

TABLE = 4_500
"""Bytes of a channel's examples and statistics in the store."""

PAGES = 85_000
"""Bytes of a channel in the site, its page and its share of all others: 70,000 with ten examples
a side, 100,000 with 25."""

PAGE_SECONDS = 0.01
"""To write a channel's page."""

Clock = Callable[[], float]


@dataclass(frozen=True)
class Estimate:
    """Seconds, the most memory at a time in bytes, and bytes of disk."""

    seconds: float = 0.0
    memory: int = 0
    disk: int = 0

    def __add__(self, other: Estimate) -> Estimate:
        """One thing after the other."""
        return Estimate(
            self.seconds + other.seconds, max(self.memory, other.memory), self.disk + other.disk
        )

    def __str__(self) -> str:
        return (
            f"about {in_words(self.seconds)}, {in_bytes(self.memory)} of memory "
            f"and {in_bytes(self.disk)} of disk"
        )


@dataclass(frozen=True)
class Sample:
    """What a batch takes, per image: seconds of a step, seconds beside its steps; its pictures."""

    step: float
    beside: float
    pictures: list[NDArray[np.uint8]]


def of_build(
    network: Network,
    chunks: Sequence[Chunk],
    recipe: Recipe,
    device: str = "cpu",
    *,
    lanes: int = 1,
    source: Source | None = None,
    layers: Sequence[str] = (),
    examples: int = 0,
    site: SiteSection | None = None,
) -> Estimate:
    """What is missing of a build takes.

    Args:
        network: on `device`.
        chunks: batches of renders that are missing, `lanes` of them made at a time.
        source: the dataset, if any, and `layers` whose tables are missing.
        examples: a side.
        site: how it is made, if its pages are to be counted: those of the channels with missing
            renders.
    """
    total, pictures = of_renders(network, chunks, recipe, device, lanes=lanes)
    if source is not None:
        total += of_photographs(network, source, layers, examples, device)
    if site is not None:
        units = {render.unit for chunk in chunks for render in chunk.renders}
        images = sum(len(chunk.renders) for chunk in chunks) // max(1, len(units))
        crops = 0 if source is None else 2 * examples
        total += of_site(pictures[:images], len(units), crops, site.format, site.quality)
    return total


def of_renders(
    network: Network,
    chunks: Sequence[Chunk],
    recipe: Recipe,
    device: str = "cpu",
    clock: Clock = time.perf_counter,
    lanes: int = 1,
) -> tuple[Estimate, list[NDArray[np.uint8]]]:
    """What these batches take, and a few unfinished pictures of them. A recipe that stops early
    takes less."""
    if not chunks:
        return Estimate(), []
    first: dict[str, Chunk] = {}
    for chunk in chunks:
        first.setdefault(chunk.layer, chunk)
    costs = layer_costs(network, list(first), device)
    samples = {}
    for layer in calibrated(costs):
        alike = side_by_side(
            lambda chunk, _: calibrate(network, chunk, recipe, device, clock),
            [first[layer]] * lanes,
            lanes,
        )
        samples[layer] = max(alike, key=lambda sample: sample.step)
    seconds = 0.0
    for chunk in chunks:
        cost, images = costs[chunk.layer], len(chunk.renders)
        seconds += images * recipe.steps * _between(costs, samples, cost, "step")
        seconds += images * _between(costs, samples, cost, "beside")
    images = sum(len(chunk.renders) for chunk in chunks)
    disk = round(images * recipe.size**2 * MASTER)
    pictures = next(iter(samples.values())).pictures
    return Estimate(seconds / lanes, peak_memory(device), disk), pictures


def of_photographs(
    network: Network,
    source: Source,
    layers: Sequence[str],
    k: int,
    device: str = "cpu",
    clock: Clock = time.perf_counter,
) -> Estimate:
    """What a pass over all of `source` for the tables of these layers takes."""
    if not layers or not len(source):
        return Estimate()
    collect(network, LimitedSource(source, min(BATCH, len(source))), layers, k, device=device)
    some = LimitedSource(source, min(PHOTOGRAPHS, len(source)))
    start = clock()
    collect(network, some, layers, k, device=device)
    each = (clock() - start) / len(some)
    channels = sum(layer.channels for layer in network.layers if layer.name in layers)
    return Estimate(each * len(source), peak_memory(device), channels * TABLE)


def of_site(
    pictures: Sequence[NDArray[np.uint8]],
    units: int,
    examples: int,
    format: Format,
    quality: int,
    clock: Clock = time.perf_counter,
) -> Estimate:
    """What the pages of so many channels take, the renders of each being as many as `pictures`.

    Args:
        pictures: (S, S, 3) uint8.
        examples: crops of a channel, on both sides.
    """
    if not pictures:
        return Estimate(units * PAGE_SECONDS, 0, units * PAGES)
    tile = min(RENDER_LIMIT, pictures[0].shape[0])
    strip = compose(pictures, tile)
    start = clock()
    encode(strip, format, quality)
    each = (clock() - start) / (strip.width * strip.height)
    pixels = strip.width * strip.height + examples * EXAMPLE_SIZE**2
    return Estimate(units * (pixels * each + PAGE_SECONDS), 0, units * PAGES)


def calibrated(costs: Mapping[str, int]) -> list[str]:
    """At most `LAYERS` layers, from the cheapest to the dearest; of two or more both of them."""
    ordered = sorted(costs, key=lambda layer: costs[layer])
    places = np.linspace(0, len(ordered) - 1, min(LAYERS, len(ordered)))
    return [ordered[round(place)] for place in places]


def calibrate(
    network: Network,
    chunk: Chunk,
    recipe: Recipe,
    device: str = "cpu",
    clock: Clock = time.perf_counter,
) -> Sample:
    """Render a batch for a few steps; of a recipe with no more than that, the whole of it.

    Raises:
        WorkError: it does not fit into memory.
    """
    images, marks = len(chunk.renders), []

    def mark(_: Step) -> None:
        if device == "cuda":
            torch.cuda.synchronize()
        marks.append(clock())

    short = replace(recipe, steps=min(STEPS, recipe.steps), stop=0.0)
    start = clock()
    with memory_explained(
        f"calibrating with {images} images of {recipe.size} px", "fewer units a batch need less"
    ):
        results = render_chunk(network, chunk.renders, short, device, observe=mark)
    total = clock() - start
    pictures = [result.image for result in results]
    if len(marks) <= WARM:
        return Sample(0.0, total / images, pictures)
    step = statistics.median(np.diff(marks[WARM - 1 :]).tolist())
    return Sample(step / images, max(0.0, total - short.steps * step) / images, pictures)


def peak_memory(device: str = "cpu") -> int:
    """The most bytes of memory this process has had so far, on a GPU of the GPU's."""
    if device == "cuda":
        return int(torch.cuda.max_memory_allocated())
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most) * (1 if sys.platform == "darwin" else 1024)


def _between(
    costs: Mapping[str, int], samples: Mapping[str, Sample], cost: int, what: str
) -> float:
    """A layer's seconds by its cost, linear between the layers that were measured."""
    known = sorted((costs[layer], getattr(sample, what)) for layer, sample in samples.items())
    return float(np.interp(cost, [c for c, _ in known], [value for _, value in known]))
