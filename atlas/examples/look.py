"""One forward pass over a batch of photographs: what it shows in every channel of every layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from atlas.models.network import Network

SLAB = 4_000_000
"""Bytes of a layer that are looked at together: they stay in the processor's caches."""


@dataclass(frozen=True)
class Columns:
    """Where the channels of each layer stand among all: layer → (start, stop)."""

    layers: Mapping[str, tuple[int, int]]

    @classmethod
    def of(cls, widths: Mapping[str, int]) -> Columns:
        """Columns for layers of so many channels, in this order."""
        places, start = {}, 0
        for name, width in widths.items():
            places[name] = (start, start + width)
            start += width
        return cls(places)

    @property
    def total(self) -> int:
        """Channels of all layers."""
        return max((stop for _, stop in self.layers.values()), default=0)


@dataclass(frozen=True)
class Look:
    """What B images showed in all C channels, each (B, C) but `images` (B,).

    `high`, `low` are maximum and minimum over the map, `*_at` their flat positions; `score` is the
    mean over the map of ReLU(a), `negative` of ReLU(−a). `sums` are, by the chunk the images
    belong to, Σ a and Σ a² over all positions of all images, (2, C) float64, `seen` how many
    images each chunk has.
    """

    images: Tensor
    high: Tensor
    high_at: Tensor
    low: Tensor
    low_at: Tensor
    score: Tensor
    negative: Tensor
    sums: Mapping[int, Tensor]
    seen: Mapping[int, int]

    @classmethod
    def joined(cls, looks: Sequence[Look]) -> Look:
        """Several batches as one; sums of a chunk are added in their order."""
        sums: dict[int, Tensor] = {}
        seen: Counter[int] = Counter()
        for look in looks:
            sums = added(sums, look.sums)
            seen.update(look.seen)
        names = ("images", "high", "high_at", "low", "low_at", "score", "negative")
        parts = {name: torch.cat([getattr(look, name) for look in looks]) for name in names}
        return cls(**parts, sums=sums, seen=dict(seen))


def added(mine: Mapping[int, Tensor], more: Mapping[int, Tensor]) -> dict[int, Tensor]:
    """Sums by chunk, those of a chunk that both have added."""
    return {**mine, **{c: mine[c] + v if c in mine else v for c, v in more.items()}}


def look_at(
    network: Network, x: Tensor, images: Tensor, chunk: int, columns: Columns
) -> tuple[Look, Mapping[str, tuple[int, int]]]:
    """What a batch of a chunk shows in every channel, and the size of each layer's map.

    Args:
        x: (B, 3, H, W), RGB in [0, 1].
        images: (B,) their numbers.
    """
    watch = _Watch(columns, len(x), x.device)
    for name, taps in network.walk(x, tuple(columns.layers), watch.relu):
        watch.see(name, taps)
    watch.close()
    high, low, score, negative = watch.values
    high_at, low_at = watch.where
    sums, seen = {chunk: watch.sums}, {chunk: len(x)}
    return Look(images, high, high_at, low, low_at, score, negative, sums, seen), watch.maps


class _Watch:
    """Fills in a `Look` while a forward pass goes on."""

    def __init__(self, columns: Columns, batch: int, device: torch.device) -> None:
        self._columns = columns
        wide = (batch, columns.total)
        self.values = tuple(torch.empty(wide, device=device) for _ in range(4))
        self.where = tuple(torch.empty(wide, dtype=torch.int32, device=device) for _ in range(2))
        self.sums = torch.zeros(2, columns.total, dtype=torch.float64, device=device)
        self.maps: dict[str, tuple[int, int]] = {}
        self._waiting: tuple[Tensor, slice, Tensor] | None = None

    def see(self, name: str, taps: Tensor) -> None:
        """The next layer, before its ReLU."""
        self.close()
        at = slice(*self._columns.layers[name])
        self.maps[name] = (taps.shape[2], taps.shape[3])
        # Networks keep channels last: with them side by side everything here is vectorized, and
        # goes over a few images again and again while they are near the processor.
        maps = taps.permute(0, 2, 3, 1).contiguous()
        few = max(1, SLAB // (maps[:1].numel() * maps.element_size()))
        squares, total = torch.empty_like(maps[:few]), torch.empty_like(self.values[0][:, at])
        rows = maps.new_empty((len(maps), 2, *maps.shape[1::2]))  # extremes of each row of a map
        for start in range(0, len(maps), few):
            part, slab = slice(start, start + few), maps[start : start + few]
            torch.amax(slab, 2, out=rows[part, 0])
            torch.amin(slab, 2, out=rows[part, 1])
            torch.sum(slab, (1, 2), out=total[part])
            square = torch.mul(slab, slab, out=squares[: len(slab)]).sum((1, 2))
            self.sums[1, at] += square.sum(0, dtype=torch.float64)
        self.sums[0, at] = total.sum(0, dtype=torch.float64)
        extremes, where = _where_first(maps, rows)
        for side in range(2):
            self.values[side][:, at], self.where[side][:, at] = extremes[:, side], where[:, side]
        self._waiting = (taps, at, total)

    def relu(self, below: Tensor) -> Tensor:
        """The rectifier the network is given: it works in place, which a layer may be since it was
        seen, and lets the scores be read off what the network makes for itself."""
        rectified = below.relu_()
        if self._waiting is not None and below is self._waiting[0]:
            self._score(rectified)
        return rectified

    def close(self) -> None:
        """Score a layer that the network did not go on from."""
        if self._waiting is not None:
            self._score(self._waiting[0].relu())

    def _score(self, rectified: Tensor) -> None:
        assert self._waiting is not None
        _, at, total = self._waiting
        positive = rectified.permute(0, 2, 3, 1).sum((1, 2))
        positions = rectified.shape[2] * rectified.shape[3]
        self.values[2][:, at] = positive / positions
        self.values[3][:, at] = (positive - total) / positions  # ReLU(−a) = ReLU(a) − a
        self._waiting = None


def _where_first(maps: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Largest and smallest value (B, 2, C) of maps (B, H, W, C), and the flat position, int32, at
    which each comes first.

    PyTorch finds a value across channels in a tenth of the time that it takes to say where it was:
    so `rows` has the largest and smallest of each row of a map, (B, 2, H, C), and places are looked
    for among those and in one row alone.
    """
    extremes = torch.stack([rows[:, 0].amax(1), rows[:, 1].amin(1)], 1)
    row = _first(rows, extremes)
    width = maps.shape[2]
    there = maps.gather(1, row.long()[:, :, None].expand(-1, -1, width, -1))
    return extremes, row * width + _first(there, extremes)


def _first(values: Tensor, value: Tensor) -> Tensor:
    """The first n at which `values` (B, 2, N, C), which are used up, are `value` (B, 2, C); int32.

    Of places with a weight that falls from N to 1 it is the heaviest: in the dtype of the values,
    in which whole numbers this small are exact, all of it is vectorized.
    """
    count = values.shape[2]
    weights = torch.arange(count, 0, -1, dtype=values.dtype, device=values.device)
    heaviest = values.eq_(value[:, :, None]).mul_(weights[:, None]).amax(2)
    return (count - heaviest).to(torch.int32)
