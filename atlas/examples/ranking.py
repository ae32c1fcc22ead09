"""Running best-k lists of every channel and a sample of all images, as monoids.

A list keeps the k images of largest key, ties going to the image that comes first in the dataset.
What is kept depends on the set of images alone: not on their order, nor on how they were shared
between workers; an image taken in twice stands there once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

NONE = torch.iinfo(torch.int64).max
"""The image number of an empty place; it sorts behind all others."""


@dataclass(frozen=True)
class Ranking:
    """Best first: key, image, value and flat map position, each (k, …) over channels.

    `key` is what is ranked by (float64), `value` what the image showed (float32); empty places have
    key −inf and image `NONE`.
    """

    key: Tensor
    image: Tensor
    value: Tensor
    where: Tensor

    @classmethod
    def empty(cls, k: int, shape: tuple[int, ...], device: torch.device | str = "cpu") -> Ranking:
        """A list of `k` empty places for channels of `shape`."""
        size = (k, *shape)
        return cls(
            torch.full(size, -torch.inf, dtype=torch.float64, device=device),
            torch.full(size, NONE, dtype=torch.int64, device=device),
            torch.full(size, torch.nan, dtype=torch.float32, device=device),
            torch.zeros(size, dtype=torch.int32, device=device),
        )

    @property
    def k(self) -> int:
        """How many places there are."""
        return len(self.key)

    def update(self, batch: Ranking) -> Ranking:
        """With a batch (B, C) of images that come after all here, in the order of the dataset.

        As `merge`, but far faster: keys must be float32 numbers, so that a key and the place of an
        image make one whole number to sort by, and only what can enter is sorted.
        """
        if not (self.k and batch.k):
            return self
        enters = batch.key > self.key[-1]
        most = min(int(enters.sum(0).max()), self.k)
        if not most:
            return self
        code = _code(batch.key.masked_fill(~enters, -torch.inf), batch.k)
        rows = batch.k - 1 - (_best(code, most) & _LOW)
        batch = batch.at(rows).cleared(~enters.gather(0, rows))
        both = self.joined(batch)
        order = both.k - 1 - (_best(_code(both.key, both.k), self.k) & _LOW)
        return both.at(order)

    def joined(self, other: Ranking) -> Ranking:
        """The places of both, one behind the other."""
        return Ranking(*(torch.cat([getattr(self, n), getattr(other, n)]) for n in _FIELDS))

    def at(self, rows: Tensor) -> Ranking:
        """The places `rows` (m, C)."""
        return Ranking(*(getattr(self, name).gather(0, rows) for name in _FIELDS))

    def cleared(self, places: Tensor) -> Ranking:
        """With some places empty."""
        return Ranking(
            self.key.masked_fill(places, -torch.inf),
            self.image.masked_fill(places, NONE),
            self.value.masked_fill(places, torch.nan),
            self.where.masked_fill(places, 0),
        )

    def merge(self, other: Ranking, k: int | None = None) -> Ranking:
        """The best `k` of both (by default as many as here), each image once."""
        k = self.k if k is None else k
        both = self.joined(other)
        key, image, value, where = both.key, both.image, both.value, both.where
        # Two stable sorts: by image, then by key; equals stay in the order of the dataset.
        order = image.argsort(dim=0, stable=True)
        again = key.gather(0, order).argsort(dim=0, descending=True, stable=True)
        order = order.gather(0, again)
        image = image.gather(0, order)
        twice = torch.zeros_like(image, dtype=torch.bool)
        twice[1:] = (image[1:] == image[:-1]) & (image[1:] != NONE)
        if bool(twice.any()):
            keep = twice.to(torch.int8).argsort(dim=0, stable=True)
            order, image, twice = (t.gather(0, keep) for t in (order, image, twice))
        order, image, twice = order[:k], image[:k], twice[:k]
        merged = Ranking(
            key.gather(0, order), image, value.gather(0, order), where.gather(0, order)
        )
        return merged.cleared(twice)


_FIELDS = ("key", "image", "value", "where")
_LOW = (1 << 32) - 1


def _code(key: Tensor, count: int) -> Tensor:
    """Whole numbers (C, B) in the order of float32 keys (B, C), of equals the first highest."""
    bits = (key.T.float() + 0.0).contiguous().view(torch.int32)  # + 0.0: zero has two signs
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    return (ordered.long() << 32) + torch.arange(count - 1, -1, -1, device=key.device)


def _best(code: Tensor, k: int) -> Tensor:
    """The `k` highest of each row (C, B), highest first, as (k, C); on the CPU by NumPy, which is
    many times as fast at it."""
    if code.device.type != "cpu":
        return code.sort(dim=1, descending=True).values[:, :k].T
    return torch.from_numpy(np.sort(code.numpy(), axis=1)[:, : -k - 1 : -1].T.copy())


@dataclass(frozen=True)
class Sample:
    """A uniform sample of images without replacement: those of lowest `priority`, the same for all
    channels. `image` is (k,), in the order of priority; `value`, `where` (k, C) as in `Ranking`.
    """

    image: Tensor
    value: Tensor
    where: Tensor

    @classmethod
    def empty(cls, k: int, channels: int, device: torch.device | str = "cpu") -> Sample:
        """`k` empty places."""
        blank = Ranking.empty(k, (channels,), device)
        return cls(torch.full((k,), NONE, device=device), blank.value, blank.where)

    def merge(self, other: Sample) -> Sample:
        """Of both as many as here, each image once."""
        image = torch.cat([self.image, other.image])
        key = torch.where(image == NONE, torch.inf, priority(image))
        order = key.argsort(stable=True)
        image = image[order]
        new = torch.ones_like(image, dtype=torch.bool)
        new[1:] = (image[1:] != image[:-1]) | (image[1:] == NONE)
        order = order[new][: len(self.image)]

        def taken(mine: Tensor, theirs: Tensor) -> Tensor:
            return torch.cat([mine, theirs])[order]

        return Sample(
            taken(self.image, other.image),
            taken(self.value, other.value),
            taken(self.where, other.where),
        )


def priority(images: Tensor) -> Tensor:
    """A fixed pseudo-random number in [0, 1) for each image number, the same everywhere.

    SplitMix64's finalizer (Steele, Lea & Flood 2014), its upper 53 bits. The images of lowest
    priority are a uniform sample without replacement.
    """
    golden = -0x61C8864680B583EB  # 0x9E3779B97F4A7C15 as a signed 64-bit integer
    z = (images + 1) * golden
    z = (z ^ _shift(z, 30)) * -0x40A7B892E31B1A47
    z = (z ^ _shift(z, 27)) * -0x6B2FB644ECCEEE15
    z = z ^ _shift(z, 31)
    return _shift(z, 11).double() / 2**53


def _shift(z: Tensor, bits: int) -> Tensor:
    """Logical shift to the right of int64."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)
