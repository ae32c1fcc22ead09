"""One forward pass over a batch of photographs: what it shows in every channel of every layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from atlas.models.network import Network


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
        self.sums = torch.empty(2, columns.total, dtype=torch.float64, device=device)
        self.maps: dict[str, tuple[int, int]] = {}
        self._waiting: tuple[Tensor, slice, Tensor] | None = None

    def see(self, name: str, taps: Tensor) -> None:
        """The next layer, before its ReLU."""
        self.close()
        at = slice(*self._columns.layers[name])
        self.maps[name] = (taps.shape[2], taps.shape[3])
        # Networks keep channels last; everything here goes over the positions of one channel, for
        # which a copy with those side by side pays: a look at all layers takes a third less time.
        flat = taps.flatten(2).contiguous()
        for side, (value, place) in enumerate(_extremes(flat)):
            self.values[side][:, at] = value
            self.where[side][:, at] = place.to(torch.int32)
        total = flat.sum(2)
        self.sums[0, at] = total.sum(0, dtype=torch.float64)
        self.sums[1, at] = torch.linalg.vector_norm(flat, dim=2).double().square().sum(0)
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
        positive = rectified.flatten(2).sum(2)
        positions = rectified.shape[2] * rectified.shape[3]
        self.values[2][:, at] = positive / positions
        self.values[3][:, at] = (positive - total) / positions  # ReLU(−a) = ReLU(a) − a
        self._waiting = None


def _extremes(flat: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Largest and smallest value (B, C) of maps (B, C, N), each with where it comes first.

    On the CPU by NumPy, which follows positions on one core faster than PyTorch does on two; the
    other is free to decode what comes next.
    """
    if flat.device.type != "cpu":
        high, low = flat.max(2), flat.min(2)
        return (high.values, high.indices), (low.values, low.indices)
    array = flat.numpy()
    at = torch.from_numpy(np.stack([array.argmax(2), array.argmin(2)], axis=2))
    values = flat.gather(2, at)
    return (values[:, :, 0], at[:, :, 0]), (values[:, :, 1], at[:, :, 1])
