"""One forward pass over a batch of photographs: what it shows in every channel of every layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from atlas.examples.scan import scan
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
        self._rectified: Tensor | None = None

    def see(self, name: str, taps: Tensor) -> None:
        """The next layer, before its ReLU."""
        at = slice(*self._columns.layers[name])
        height, width = taps.shape[2:]
        self.maps[name] = height, width
        found = scan(taps)
        self._rectified = taps if found.rectified else None
        score = found.positive / (height * width)
        negative = (found.positive - found.total) / (height * width)  # ReLU(−a) = ReLU(a) − a
        values = (found.high, found.low, score, negative)
        for mine, value in zip(self.values, values, strict=True):
            mine[:, at] = value
        self.where[0][:, at], self.where[1][:, at] = found.high_at, found.low_at
        self.sums[0, at], self.sums[1, at] = found.total.sum(0), found.squares.sum(0)

    def relu(self, below: Tensor) -> Tensor:
        """The rectifier the network is given: it works in place, which a layer may be since it was
        seen, if it was not even then."""
        return below if below is self._rectified else below.relu_()
