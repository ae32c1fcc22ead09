"""What datasets have in common whose images come as encoded bytes, and are too many to list."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import overload

from PIL import Image

from atlas.errors import DatasetError
from atlas.examples.decode import UnreadableImageError, decode, measured
from atlas.examples.sources import Item


class EncodedSource(ABC):
    """Images out of the bytes of rows."""

    spec: str

    @abstractmethod
    def encoded(self, index: int) -> bytes:
        """The bytes of image `index`; `UnreadableImageError` where there are none."""

    def load(self, index: int) -> Image.Image:
        """Image `index`, upright, RGB, at its own size.

        Raises:
            UnreadableImageError: it cannot be decoded, or is too large.
        """
        return decode(io.BytesIO(self.encoded(index)))

    def size(self, index: int) -> tuple[int, int]:
        """Width and height of image `index`, upright, in pixels.

        Raises:
            DatasetError: it can no longer be read.
        """
        try:
            return measured(io.BytesIO(self.encoded(index)))
        except (OSError, UnreadableImageError) as error:
            raise DatasetError(f"{self.spec} row {index} can no longer be read") from error


class LazyItems(Sequence[Item]):
    """`total` items, the i-th of which is ``make(i)``."""

    def __init__(self, total: int, make: Callable[[int], Item]) -> None:
        self._total, self._make = total, make

    def __len__(self) -> int:
        return self._total

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | Sequence[Item]:
        if isinstance(index, slice):
            return [self._make(i) for i in range(*index.indices(self._total))]
        if not -self._total <= index < self._total:
            raise IndexError(index)
        return self._make(index % self._total)
