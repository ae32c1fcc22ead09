"""A histogram of every channel with a few images from each bucket, over a range not known before.

A channel's buckets are [i·w, (i+1)·w) for whole i, w being a power of two: the smallest for which
`BUCKETS` of them reach from the smallest to the largest value seen. When a value falls outside, w
is doubled and neighbours become one. So the grid, the counts and the images kept depend on the set
of images alone, and two parts can be merged on the coarser grid of both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from atlas.examples.insert import insert
from atlas.examples.ranking import NONE, Ranking

BUCKETS = 128
FINEST = -40
"""Smallest exponent of w: what a channel that never varies has."""

TOGETHER = 1024
"""Channels whose buckets move at a time: their images are sorted, in many arrays as large."""


@dataclass(frozen=True)
class Buckets:
    """Grid, counts and images of C channels.

    `low`, `high` (C,) float64 are the smallest and largest value, `exponent` (C,) is log2 w,
    `first` (C,) the i of the first bucket, `counts` (C, B) int64, `images` a ranking (k, C, B)
    by priority, lowest first.
    """

    low: Tensor
    high: Tensor
    exponent: Tensor
    first: Tensor
    counts: Tensor
    images: Ranking

    @classmethod
    def empty(cls, channels: int, k: int, device: torch.device | str = "cpu") -> Buckets:
        """No values yet."""
        return cls(
            torch.full((channels,), torch.inf, dtype=torch.float64, device=device),
            torch.full((channels,), -torch.inf, dtype=torch.float64, device=device),
            torch.full((channels,), FINEST, dtype=torch.int64, device=device),
            torch.zeros(channels, dtype=torch.int64, device=device),
            torch.zeros(channels, BUCKETS, dtype=torch.int64, device=device),
            _laid_out(Ranking.empty(k, (channels, BUCKETS), device)),
        )

    def update(self, values: Tensor, images: Tensor, where: Tensor) -> Buckets:
        """With the values (B, C) of more images (B,) and their flat map positions (B, C).

        Counts and images are changed in place: this state is used up.
        """
        wide = values.double()
        low = torch.minimum(self.low, wide.amin(0))
        high = torch.maximum(self.high, wide.amax(0))
        grown = self._moved_onto(low, high, self)
        if not grown.images.key.movedim(0, -1).is_contiguous():
            grown = replace(grown, images=_laid_out(grown.images))
        place = (_index(wide, grown.exponent) - grown.first).T.contiguous()
        grown.counts.scatter_add_(1, place, torch.ones_like(place))
        insert(grown.images, place, images, values, where)
        return grown

    def merge(self, other: Buckets) -> Buckets:
        """Both on one grid: counts added, of each bucket's images the lowest priorities."""
        low, high = torch.minimum(self.low, other.low), torch.maximum(self.high, other.high)
        one, two = self.onto(low, high), other.onto(low, high)
        return replace(one, counts=one.counts + two.counts, images=one.images.merge(two.images))

    def onto(self, low: Tensor, high: Tensor) -> Buckets:
        """A copy on the grid that reaches from `low` to `high`, which must include its own."""
        images = Ranking(*(getattr(self.images, name).clone() for name in _FIELDS))
        return self._moved_onto(low, high, replace(self, counts=self.counts.clone(), images=images))

    def _moved_onto(self, low: Tensor, high: Tensor, room: Buckets) -> Buckets:
        """As `onto`, in the memory of `room`, which has the same counts and images."""
        exponent = _exponent(low, high)
        first = _first(low, exponent)
        result = Buckets(low, high, exponent, first, room.counts, room.images)
        moved = (exponent != self.exponent) | (first != self.first)
        moved &= self.low.isfinite()
        coarser = moved & (exponent != self.exponent)
        for change, channels in ((self._shift, moved & ~coarser), (self._move, coarser)):
            for some in torch.split(channels.nonzero()[:, 0], TOGETHER):
                change(result, some)
        return result

    def _shift(self, result: Buckets, channels: Tensor) -> None:
        """Fill the buckets of some channels of `result`, which only begin elsewhere."""
        begin = (result.first - self.first)[channels, None]
        place = torch.arange(BUCKETS, device=channels.device) + begin
        inside = (place >= 0) & (place < BUCKETS)
        place = place.clamp(0, BUCKETS - 1)
        result.counts[channels] = self.counts[channels].gather(1, place) * inside
        fresh = Ranking.empty(1, (1, 1), channels.device)
        every = place.expand(self.images.k, -1, -1)
        for name in _FIELDS:
            kept = getattr(self.images, name)[:, channels].gather(2, every)
            getattr(result.images, name)[:, channels] = torch.where(
                inside, kept, getattr(fresh, name)
            )

    def _move(self, result: Buckets, channels: Tensor) -> None:
        """Fill the buckets of some channels of `result`, whose grid is another."""
        old = torch.arange(BUCKETS, device=channels.device) + self.first[channels, None]
        coarser = (result.exponent - self.exponent)[channels, None]
        place = (old >> coarser) - result.first[channels, None]
        # Old buckets that lie outside the new grid are empty.
        place = place.clamp(0, BUCKETS - 1)
        counts = torch.zeros_like(self.counts[channels])
        result.counts[channels] = counts.scatter_add_(1, place, self.counts[channels])
        k = self.images.k
        # Every image kept, (N, k · B), sorted by key and then by bucket: its rank in the bucket.
        parts = [getattr(self.images, n)[:, channels].transpose(0, 1).flatten(1) for n in _FIELDS]
        target = place[:, None, :].expand(-1, k, -1).flatten(1)
        target = torch.where(parts[1] == NONE, BUCKETS, target)
        order = parts[0].argsort(dim=1, descending=True, stable=True)
        order = order.gather(1, target.gather(1, order).argsort(dim=1, stable=True))
        target = target.gather(1, order)
        column = torch.arange(target.shape[1], device=target.device).expand_as(target)
        begins = torch.ones_like(target, dtype=torch.bool)
        begins[:, 1:] = target[:, 1:] != target[:, :-1]
        rank = column - torch.where(begins, column, 0).cummax(dim=1).values
        kept = (rank < k) & (target < BUCKETS)
        slot = torch.where(kept, rank * BUCKETS + target, k * BUCKETS)
        fresh = Ranking.empty(k, (len(channels), BUCKETS), channels.device)
        for name, part in zip(_FIELDS, parts, strict=True):
            blank = getattr(fresh, name).transpose(0, 1).flatten(1)
            room = torch.cat([blank, blank[:, :1]], dim=1)
            room = room.scatter(1, slot, part.gather(1, order))[:, :-1]
            getattr(result.images, name)[:, channels] = room.view(-1, k, BUCKETS).transpose(0, 1)


_FIELDS = ("key", "image", "value", "where")


def _first(low: Tensor, exponent: Tensor) -> Tensor:
    return torch.where(low.isfinite(), _index(low, exponent), 0)


def _index(values: Tensor, exponent: Tensor) -> Tensor:
    """Which bucket (…, C) values fall into: exact, since w is a power of two."""
    return torch.ldexp(values, -exponent).floor().to(torch.int64)


def _exponent(low: Tensor, high: Tensor) -> Tensor:
    """The smallest exponent whose buckets reach from `low` to `high`."""
    seen = low.isfinite()
    low, high = torch.where(seen, low, 0), torch.where(seen, high, 0)
    exponent = torch.full_like(low, FINEST, dtype=torch.int64)
    span = (high - low) / BUCKETS
    guess = torch.where(span > 0, span.clamp(min=2.0**FINEST).log2().floor() - 1, FINEST)
    exponent = torch.maximum(exponent, guess.to(torch.int64))
    for _ in range(4):
        short = _index(high, exponent) - _index(low, exponent) >= BUCKETS
        exponent = exponent + short.to(torch.int64)
    # Far from zero the finest buckets would have numbers beyond what a float holds exactly.
    reach = torch.maximum(low.abs(), high.abs()).clamp(min=1e-300).log2().ceil().to(torch.int64)
    return torch.maximum(exponent, reach - 50)


def _laid_out(ranking: Ranking) -> Ranking:
    """The same ranking (k, C, B), with the places of a bucket beside each other in memory."""
    return Ranking(
        *(getattr(ranking, name).movedim(0, -1).contiguous().movedim(-1, 0) for name in _FIELDS)
    )
