"""Datasets as one interface: images in a fixed order, each with a stable id and a label."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from PIL import Image

from atlas.errors import DatasetError
from atlas.examples.decode import UnreadableImageError, decode, measured
from atlas.inputs import leads_out
from atlas.models.zoo import imagenet_words

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".gif", ".tif", ".tiff"})

DigestOf = Callable[[Path], str]


@dataclass(frozen=True)
class Item:
    """One image of a dataset: `id` is its path inside the dataset, `label` its class in words.

    A window cut out of a larger photograph names the `photo` and its place in it, `box`
    (x0, y0, x1, y1) in the photograph's pixels; examples of a channel then never show the same
    place twice.
    """

    id: str
    label: str
    photo: str | None = None
    box: tuple[int, int, int, int] | None = None


KNOWN = "folder:PATH, parquet:GLOB, hf:NAME[:CONFIG][:SPLIT] or sample"
"""How datasets are written."""


class Source(Protocol):
    """A dataset: images in a fixed order that can be read in any."""

    spec: str
    items: Sequence[Item]
    windows: bool
    """Whether items are windows of larger photographs, some of the same."""
    portable: bool
    """Whether images come as files or bytes that another process can decode."""

    def __len__(self) -> int:
        """How many images there are, readable or not."""

    def index_of(self, item_id: str) -> int:
        """Where the image called `item_id` stands; KeyError where there is none."""

    def load(self, index: int) -> Image.Image:
        """Image `index`, upright, RGB, at its own size; `UnreadableImageError` if it cannot be."""

    def encoded(self, index: int) -> Path | bytes:
        """File or bytes of image `index`, for another process to decode where the source is
        `portable`. `UnreadableImageError` where there are none."""

    def size(self, index: int) -> tuple[int, int]:
        """Width and height of image `index` in pixels, without decoding it."""

    def digest(self, index: int, digest_of: DigestOf) -> str:
        """A digest that changes with the pixels of image `index`."""

    def fingerprint(self, digest_of: DigestOf) -> str:
        """A digest of every image's id and pixels; `digest_of` may remember files it has seen."""


_LINKED = "a link out of the dataset's folder"


class FolderSource:
    """``folder:PATH``: images in class folders (ImageFolder layout), or flat, in sorted order.

    A symbolic link may lead to a file of the folder. One that leads elsewhere is an image that
    cannot be read: a dataset got from others could have the site show whatever its user may read.
    """

    windows, portable = False, True

    def __init__(self, path: str | Path) -> None:
        self.root = Path(path)
        self.spec = f"folder:{path}"
        if not self.root.is_dir():
            raise DatasetError(f"dataset folder {self.root} does not exist")
        self.files = tuple(
            sorted(
                p
                for p in self.root.rglob("*")
                if p.suffix.lower() in SUFFIXES
                and not p.is_dir()  # a link to nowhere is an image that cannot be read
                and not any(part.startswith(".") for part in p.relative_to(self.root).parts)
            )
        )
        if not self.files:
            raise DatasetError(f"dataset folder {self.root} holds no images")
        self._away = {p for p in self.files if p.is_symlink() and leads_out(p, self.root)}
        self.items: Sequence[Item] = tuple(self._item(p) for p in self.files)
        self._index = {item.id: index for index, item in enumerate(self.items)}

    def _item(self, path: Path) -> Item:
        inside = PurePosixPath(as_text(path.relative_to(self.root)))
        folder = inside.parts[0] if len(inside.parts) > 1 else ""
        return Item(inside.as_posix(), imagenet_words().get(folder, folder))

    def __len__(self) -> int:
        return len(self.files)

    def index_of(self, item_id: str) -> int:
        """Where a path inside the folder stands."""
        return self._index[item_id]

    def encoded(self, index: int) -> Path:
        """The file.

        Raises:
            UnreadableImageError: it leads out of the folder.
        """
        if self.files[index] in self._away:
            raise UnreadableImageError(_LINKED)
        return self.files[index]

    def load(self, index: int) -> Image.Image:
        """Image `index`, upright, RGB, at its own size.

        Raises:
            UnreadableImageError: corrupt, truncated, larger than `MAX_PIXELS`, or elsewhere.
        """
        return decode(self.encoded(index))

    def size(self, index: int) -> tuple[int, int]:
        """Width and height of image `index`, upright, in pixels, from its header alone.

        Raises:
            DatasetError: it can no longer be read.
        """
        try:
            return measured(self.encoded(index))
        except (OSError, UnreadableImageError) as error:
            raise DatasetError(f"{self.files[index]} can no longer be read") from error

    def digest(self, index: int, digest_of: DigestOf) -> str:
        """The digest of the file, or that there is none that can be read."""
        path = self.files[index]
        if path in self._away:
            return _LINKED
        try:
            return digest_of(path) if path.is_file() else "not a file"
        except OSError:
            return "not readable"

    def fingerprint(self, digest_of: DigestOf) -> str:
        """A digest of every image's id and bytes; `digest_of` may remember files it has seen."""
        total = hashlib.sha256()
        for index, item in enumerate(self.items):
            total.update(f"{item.id}\0{self.digest(index, digest_of)}\n".encode())
        return total.hexdigest()


def is_still(source: Source, fingerprint: str, digest_of: DigestOf) -> bool:
    """Whether a dataset is as it was when its fingerprint was taken."""
    try:
        return source.fingerprint(digest_of) == fingerprint
    except OSError:
        return False


def as_text(path: Path) -> str:
    """A path in characters that can be written anywhere, whatever bytes the system has for it."""
    return path.as_posix().encode("utf-8", "backslashreplace").decode()


def open_source(spec: str, limit: int | None = None) -> Source:
    """The dataset a ``--dataset`` value names, or `limit` of its images, evenly spaced.

    Raises:
        DatasetError: an unknown kind, a folder that does not exist, or one without images.
    """
    whole = _open(spec)
    if limit is None or limit >= len(whole):
        return whole
    from atlas.examples.limited import LimitedSource

    return LimitedSource(whole, limit)


def _open(spec: str) -> Source:
    kind, colon, rest = spec.partition(":")
    if spec == "sample":
        from atlas.examples.sample import SampleSource

        return SampleSource()
    if not colon or not rest or kind not in ("folder", "parquet", "hf"):
        raise DatasetError(f"dataset {spec!r} should be written {KNOWN}")
    if kind == "parquet":
        from atlas.examples.parquet import ParquetSource

        return ParquetSource(rest)
    if kind == "hf":
        from atlas.examples.hub import HubSource

        return HubSource(rest)
    return FolderSource(rest)
