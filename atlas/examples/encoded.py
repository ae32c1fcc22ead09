"""What datasets have in common whose images come as encoded bytes, and are too many to list."""

from __future__ import annotations

import io
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar, overload

from PIL import Image

from atlas.errors import DatasetError
from atlas.examples.decode import UnreadableImageError, decode, measured
from atlas.examples.sources import DigestOf, Item
from atlas.models.zoo import imagenet_words

IMAGE_COLUMNS = ("image", "img", "jpg", "png", "webp")
LABEL_COLUMNS = ("label", "labels", "fine_label", "cls", "class")


class EncodedSource(ABC):
    """Images out of the bytes of rows."""

    spec: str
    items: Sequence[Item]
    windows, portable = False, True

    @abstractmethod
    def __len__(self) -> int:
        """How many images there are, readable or not."""

    @abstractmethod
    def index_of(self, item_id: str) -> int:
        """Where the image called `item_id` stands; KeyError where there is none."""

    @abstractmethod
    def digest(self, index: int, digest_of: DigestOf) -> str:
        """A digest that changes with the pixels of image `index`."""

    @abstractmethod
    def fingerprint(self, digest_of: DigestOf) -> str:
        """A digest of every image's id and pixels; `digest_of` may remember files it has seen."""

    @abstractmethod
    def encoded(self, index: int) -> bytes:
        """The bytes of image `index`.

        Raises:
            UnreadableImageError: there are none, or the file is damaged where they should be.
            DatasetError: they cannot be had now: no network, no permission.
        """

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


K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Kept(Generic[K, V]):
    """What was used last, as far as it fits: at most `most` entries of `room` bytes together.

    The newest entry stays whatever its size, and the `least` newest do. Any thread may ask.
    """

    def __init__(self, most: int, room: int, least: int = 1) -> None:
        self._most, self._room, self._least = most, room, least
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._held = 0
        self._lock = threading.Lock()

    def get(self, key: K) -> V | None:
        """What is held under `key`, now the newest; None where nothing is."""
        with self._lock:
            if key not in self._entries:
                return None
            self._entries.move_to_end(key)
            return self._entries[key][0]

    def put(self, key: K, value: V, size: int = 0) -> None:
        """Hold a value of `size` bytes; the oldest make room for it."""
        with self._lock:
            self._held += size - self._entries.pop(key, (None, 0))[1]
            self._entries[key] = value, size
            while len(self._entries) > self._least and (
                len(self._entries) > self._most or self._held > self._room
            ):
                self._held -= self._entries.popitem(last=False)[1][1]

    def drop(self, key: K) -> None:
        """Forget what is held under `key`."""
        with self._lock:
            self._held -= self._entries.pop(key, (None, 0))[1]

    def __contains__(self, key: K) -> bool:
        with self._lock:
            return key in self._entries


def row_of(name: str, row: str, rows: int) -> int:
    """The number of a row out of an id; KeyError where there is none of `rows`."""
    if not row.isdecimal() or int(row) >= rows:
        raise KeyError(f"{name}#{row}")
    return int(row)


def in_words(label: Any, names: Sequence[str] | None) -> str:
    """A row's label as readers see it: a class number by its name, a wnid in words."""
    if names is not None and isinstance(label, int) and 0 <= label < len(names):
        label = names[label]
    name = "" if label is None else str(label)
    return imagenet_words().get(name, name)


def bytes_in(value: Any) -> bytes | None:
    """The encoded image in a row's value: plain bytes, or a struct that has them; None if none."""
    if isinstance(value, dict):
        value = value.get("bytes")
    return value if isinstance(value, bytes) and value else None
