"""Running best-k lists of every channel, as a monoid.

A list keeps the k images of largest key, ties going to the image that comes first in the dataset.
What is kept depends on the set of images alone: not on their order, nor on how they were shared
between workers; an image taken in twice stands there once.
"""

from __future__ import annotations

from dataclasses import dataclass

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

    def merge(self, other: Ranking, k: int | None = None) -> Ranking:
        """The best `k` of both (by default as many as here), each image once."""
        k = self.k if k is None else k
        key, image, value, where = (
            torch.cat([getattr(self, name), getattr(other, name)])
            for name in ("key", "image", "value", "where")
        )
        if self._before(other):
            # In the order of the dataset, and so are equals after a stable sort.
            order = key.argsort(dim=0, descending=True, stable=True)[:k]
            return Ranking(*(part.gather(0, order) for part in (key, image, value, where)))
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
        return Ranking(
            key.gather(0, order).masked_fill(twice, -torch.inf),
            image.masked_fill(twice, NONE),
            value.gather(0, order).masked_fill(twice, torch.nan),
            where.gather(0, order).masked_fill(twice, 0),
        )

    def _before(self, other: Ranking) -> bool:
        """Whether all images here come before all of `other`, which has them in order."""
        if not (self.image.numel() and other.image.numel()):
            return False
        last = torch.where(self.image == NONE, -1, self.image).max()
        ordered = (other.image[1:] > other.image[:-1]).all()
        return bool((other.image.min() > last) & ordered)


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
