"""A part of a dataset: so many of its images, evenly spaced.

Class folders come one after the other, so that the first images of a dataset are of few classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from atlas.examples.encoded import LazyItems
from atlas.examples.sources import DigestOf, Item, Source


class LimitedSource:
    """`limit` images of a larger source; ids and files are the source's own."""

    def __init__(self, whole: Source, limit: int) -> None:
        self._whole, self._limit = whole, limit
        self.spec = whole.spec
        self.windows, self.portable = whole.windows, whole.portable
        self.items: Sequence[Item] = LazyItems(limit, lambda index: whole.items[self._at(index)])

    def __len__(self) -> int:
        return self._limit

    def _at(self, index: int) -> int:
        return index * len(self._whole) // self._limit

    def index_of(self, item_id: str) -> int:
        """Where the image called `item_id` stands; KeyError where it is not of this part."""
        at = self._whole.index_of(item_id)
        index = -(-at * self._limit // len(self._whole))
        if index >= self._limit or self._at(index) != at:
            raise KeyError(item_id)
        return index

    def load(self, index: int) -> Image.Image:
        """Image `index`, as `Source` has it."""
        return self._whole.load(self._at(index))

    def encoded(self, index: int) -> Path | bytes:
        """File or bytes of image `index`, as `Source` has it."""
        return self._whole.encoded(self._at(index))

    def size(self, index: int) -> tuple[int, int]:
        """Width and height of image `index` in pixels."""
        return self._whole.size(self._at(index))

    def digest(self, index: int, digest_of: DigestOf) -> str:
        """A digest that changes with the pixels of image `index`."""
        return self._whole.digest(self._at(index), digest_of)

    def fingerprint(self, digest_of: DigestOf) -> str:
        """The whole's, and how many of it."""
        return f"{self._whole.fingerprint(digest_of)}/{self._limit}"
