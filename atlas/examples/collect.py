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

from atlas.errors import DatasetError
from atlas.examples.ahead import BATCH, WIDE, batches
from atlas.examples.crop import crop_boxes
from atlas.examples.distinct import choose, overlaps
from atlas.examples.look import Columns, Look
from atlas.examples.looking import beside, looks, shared
from atlas.examples.receptive import ReceptiveField, theoretical
from atlas.examples.sources import Source
from atlas.examples.state import State
from atlas.examples.table import ExampleTable, Listed, table_of
from atlas.examples.view import Viewing
from atlas.examples.workers import Workers
from atlas.models.network import Network

VERSION = 6
"""Version of the examples stage: raised whenever the same input would give other tables."""

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
    todo = chunks(source)
    for state in passing(network, source, layers, whole, viewing, todo, device, progress):
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
    todo: Sequence[range],
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
    workers: Workers | None = None,
) -> Iterator[State]:
    """Go on with a pass from `state`, which is used up; yields the state now and then, always with
    whole chunks.

    Args:
        todo: the chunks to pass over; those that `state` covers are passed by.
        progress: told after each batch how many images are done.
        workers: processes that decode; by default threads of this one do.
    """
    columns = columns_of(network, layers)
    todo = [chunk for chunk in todo if chunk.start not in state.seen]
    done = state.images + len(state.skipped)
    seen: list[list[Look]] = []
    labels: list[str] = []
    skipped: dict[int, dict[int, str]] = {}
    maps: Mapping[str, tuple[int, int]] = {}
    # Sums stay to the end. Each in a block of its own would lie between larger ones that come and
    # go, and memory would grow with every image: the heap would be in pieces.
    room = torch.empty(len(todo), *state.best.shape, dtype=torch.float64, device=device)
    homes = {chunk.start: home for chunk, home in zip(todo, room, strict=True)}
    size = BATCH if shared(device) else WIDE
    every = batches(source, viewing, todo, size, workers)
    for batch, pieces in looks(network, every, columns, viewing.crop, device):
        start = batch.chunk.start
        skipped[start] = skipped.get(start, {}) | batch.skipped
        labels += [source.items[number].label for number in batch.numbers]
        seen.append([look for look, _ in pieces])
        maps = pieces[0][1] if pieces else maps
        done += len(batch.numbers) + len(batch.skipped)
        if progress is not None:
            progress(done)
        # Chunks that are small share an update, but none lies in two that hold others too: so
        # sums are added in the same order wherever a pass begins.
        more = math.ceil(len(batch.chunk) / size) if batch.last else 1
        ends = batch.last and batch.chunk is todo[-1]
        if ends or len(seen) + more > TOGETHER:
            if labels:
                with beside():
                    look = Look.joined([look for batch in seen for look in batch])
                    state = state.updated(look, labels, maps)
                    for chunk in look.sums:
                        state.sums[chunk] = homes[chunk].copy_(state.sums[chunk])
            seen, labels = [], []
            for chunk, reasons in skipped.items():
                state = state.without(chunk, reasons)
            skipped = {}
            if batch.last:
                yield state


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
