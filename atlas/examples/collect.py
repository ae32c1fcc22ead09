"""One pass over a dataset: every channel's examples and statistics (`state`, `table`).

An image counts once for a channel, with the maximum (for the top) and the minimum (for the
bottom) of the channel's pre-ReLU map. All channels of all layers are followed at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atlas.errors import DatasetError
from atlas.examples.ahead import batches
from atlas.examples.crop import crop_boxes
from atlas.examples.distinct import choose, overlaps
from atlas.examples.receptive import ReceptiveField, theoretical
from atlas.examples.sources import Source
from atlas.examples.state import Columns, Look, State
from atlas.examples.table import ExampleTable, Listed, table_of
from atlas.examples.view import Viewing
from atlas.models.network import Network

VERSION = 3
"""Version of the examples stage: raised whenever the same input would give other tables."""

BATCH = 16
CHUNK, MOST_CHUNKS = 64, 512
"""Fewest images of a chunk, and most chunks of a dataset."""

TOGETHER = 16
"""Batches that are looked at before lists are brought up to date: sorting once is cheaper."""


@dataclass(frozen=True)
class Collected:
    """What a pass found: a table a layer, and the images it had to skip as (id, reason)."""

    tables: dict[str, ExampleTable]
    skipped: tuple[tuple[str, str], ...]


def collect(
    network: Network,
    source: Source,
    layers: Sequence[str],
    k: int = 10,
    viewing: Viewing | None = None,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> Collected:
    """Pass over `source` once and find the examples of every channel of `layers`.

    Args:
        network: on `device`.
        k: how many examples a side, each from another image.
        viewing: how photographs become network input; by default as the network was trained.
        progress: called with the number of images done.

    Raises:
        DatasetError: not one image could be read.
    """
    viewing = viewing or Viewing(*network.view)
    whole = State.empty(columns_of(network, layers).total, places(source, k), device)
    for state in passing(network, source, layers, whole, viewing, device, progress=progress):
        whole = state
    fields = {layer: theoretical(network.path(layer)) for layer in layers}
    return finish(source, columns_of(network, layers), fields, whole, k, viewing)


def columns_of(network: Network, layers: Sequence[str]) -> Columns:
    """Where the channels of some layers stand in a state."""
    widths = {layer.name: layer.channels for layer in network.layers}
    return Columns.of({name: widths[name] for name in layers})


def places(source: Source, k: int) -> int:
    """Places that lists need: of windows all, to be thinned out at the end."""
    return len(source) if source.windows else k


def chunks(source: Source, part: tuple[int, int] = (1, 1)) -> list[range]:
    """The dataset in fixed chunks of images; part i of n of them, together all.

    Chunks depend on the dataset's size alone, so that any sharing of the work covers the same.
    """
    most = 8 if source.windows else MOST_CHUNKS  # windows are all kept: their lists are long
    size = CHUNK * math.ceil(len(source) / (CHUNK * most))
    every = [range(i, min(i + size, len(source))) for i in range(0, len(source), size)]
    index, count = part
    return every[len(every) * (index - 1) // count : len(every) * index // count]


def passing(
    network: Network,
    source: Source,
    layers: Sequence[str],
    state: State,
    viewing: Viewing,
    device: torch.device | str = "cpu",
    part: tuple[int, int] = (1, 1),
    progress: Callable[[int], None] | None = None,
    workers: int = 0,
) -> Iterator[State]:
    """Go on with a pass from `state`, which is used up; yields the state now and then, always with
    whole chunks. `progress` is told after each batch how many images are done; `workers` are the
    processes that decode (`workers`)."""
    columns = columns_of(network, layers)
    todo = [chunk for chunk in chunks(source, part) if chunk.start not in state.seen]
    scratch: dict[str, Tensor] = {}
    done = state.images + len(state.skipped)
    looks: list[Look] = []
    labels: list[str] = []
    skipped: dict[int, dict[int, str]] = {}
    maps: Mapping[str, tuple[int, int]] = {}
    for batch in batches(source, viewing, todo, BATCH, workers):
        start = batch.chunk.start
        skipped[start] = skipped.get(start, {}) | batch.skipped
        if batch.numbers:
            x = torch.from_numpy(np.stack(batch.views)).to(device).permute(0, 3, 1, 2)
            x = x.to(torch.float32).div(255).contiguous()
            images = torch.tensor(batch.numbers, device=device)
            labels += [source.items[number].label for number in batch.numbers]
            with torch.inference_mode():
                look, maps = _look(network, x, images, start, columns, scratch)
            looks.append(look)
        done += len(batch.numbers) + len(batch.skipped)
        if progress is not None:
            progress(done)
        # Chunks that are small share an update, but none lies in two that hold others too: so
        # sums are added in the same order wherever a pass begins.
        more = math.ceil(len(batch.chunk) / BATCH) if batch.last else 1
        ends = batch.last and batch.chunk is todo[-1]
        if ends or len(looks) + more > TOGETHER:
            if looks:
                with torch.inference_mode():
                    state = state.updated(Look.joined(looks), labels, maps)
            looks, labels = [], []
            for chunk, reasons in skipped.items():
                state = state.without(chunk, reasons)
            skipped = {}
            if batch.last:
                yield state


def _look(
    network: Network,
    x: Tensor,
    images: Tensor,
    chunk: int,
    columns: Columns,
    scratch: dict[str, Tensor],
) -> tuple[Look, Mapping[str, tuple[int, int]]]:
    """What a batch of a chunk shows in every channel, and the size of each layer's map.

    `scratch` holds room for rectified maps from batch to batch: making it anew takes longer than
    filling it.
    """
    wide = (len(x), columns.total)
    high, low, score, negative = (torch.empty(wide, device=x.device) for _ in range(4))
    high_at, low_at = (torch.empty(wide, dtype=torch.int32, device=x.device) for _ in range(2))
    sums = torch.empty(2, columns.total, dtype=torch.float64, device=x.device)
    maps = {}
    for name, taps in network.walk(x, tuple(columns.layers)):
        at = slice(*columns.layers[name])
        maps[name] = (taps.shape[2], taps.shape[3])
        flat = taps.flatten(2)
        high[:, at], where = _extreme(flat, torch.Tensor.amax, torch.Tensor.argmax)
        high_at[:, at] = where.to(torch.int32)
        low[:, at], where = _extreme(flat, torch.Tensor.amin, torch.Tensor.argmin)
        low_at[:, at] = where.to(torch.int32)
        by_image = flat.sum(2)
        sums[0, at] = by_image.sum(0, dtype=torch.float64)
        sums[1, at] = torch.linalg.vector_norm(flat, dim=2).double().square().sum(0)
        rectified = scratch.setdefault(name, torch.empty_like(flat))
        if len(rectified) != len(flat):
            rectified = torch.empty_like(flat)
        positive = torch.clamp(flat, min=0, out=rectified).sum(2)
        score[:, at] = positive / flat.shape[2]
        negative[:, at] = (positive - by_image) / flat.shape[2]  # ReLU(−a) = ReLU(a) − a
    count = {chunk: len(x)}
    return Look(images, high, high_at, low, low_at, score, negative, {chunk: sums}, count), maps


def _extreme(
    flat: Tensor, best: Callable[..., Tensor], best_at: Callable[..., Tensor]
) -> tuple[Tensor, Tensor]:
    """Largest or smallest value (B, C) of maps (B, C, N), and where it comes first.

    Values are compared far faster than positions are followed: so first of every stretch of the
    map, then of the stretches, then inside the one that won.
    """
    size = flat.shape[2]
    length = next((n for n in range(128, 63, -1) if size % n == 0 and size >= 4 * n), size)
    parts = flat.reshape(*flat.shape[:2], -1, length)
    of_part = best(parts, 3)
    part = best_at(of_part, 2)
    value = of_part.gather(2, part[:, :, None])[:, :, 0]
    inside = parts.gather(2, part[:, :, None, None].expand(-1, -1, 1, length))[:, :, 0]
    return value, part * length + best_at(inside, 2)


def finish(
    source: Source,
    columns: Columns,
    fields: Mapping[str, ReceptiveField],
    state: State,
    k: int,
    viewing: Viewing,
) -> Collected:
    """The tables of a state that covers the dataset, or of as much of it as there is.

    Of windows, no two are chosen for a channel whose crops by the layer's field show the same.

    Raises:
        DatasetError: not one image could be read.
    """
    names = {number: source.items[number].id for number in sorted(state.skipped)}
    if not state.images:
        number, reason = min(state.skipped.items())
        raise DatasetError(
            f"none of the {len(source)} images of {source.spec} can be read "
            f"(first: {names[number]}: {reason})"
        )
    tables = {}
    for name, (start, stop) in columns.layers.items():
        at = slice(start, stop)
        top, bottom = Listed.of(state.top, at), Listed.of(state.bottom, at)
        if source.windows:
            top, bottom = _thin(source, fields[name], viewing, k)(top, bottom, state.maps[name][1])
        tables[name] = table_of(state, name, at, top, bottom)
    return Collected(tables, tuple((names[n], state.skipped[n]) for n in names))


Thin = Callable[[Listed, Listed, int], tuple[Listed, Listed]]


def _thin(source: Source, field: ReceptiveField, viewing: Viewing, k: int) -> Thin:
    """Chooses a layer's examples so that no two of a channel show the same place (`distinct`)."""
    names = sorted({item.photo or item.id for item in source.items})
    number = {name: i for i, name in enumerate(names)}
    photo = np.array([number[item.photo or item.id] for item in source.items])
    size = np.array([source.size(i) for i in range(len(source))])
    corner = np.array([(item.box or (0, 0))[:2] for item in source.items])

    def places(ranking: Listed, width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        boxes = crop_boxes(field, ranking.positions(width), size[ranking.image], viewing)
        return boxes + np.tile(corner[ranking.image], 2), photo[ranking.image]

    def thin(top: Listed, bottom: Listed, width: int) -> tuple[Listed, Listed]:
        boxes, photos = places(top, width)
        chosen = choose(boxes, photos, k)
        low_boxes, low_photos = places(bottom, width)
        blocked = np.zeros(low_photos.shape, bool)
        rows = np.arange(len(boxes))
        for rank in range(k):
            at = chosen[:, rank]
            near = overlaps(
                low_boxes, low_photos, boxes[rows, at][:, None], photos[rows, at][:, None]
            )
            blocked |= near & (at >= 0)[:, None]
        return top.take(chosen), bottom.take(choose(low_boxes, low_photos, k, blocked))

    return thin
