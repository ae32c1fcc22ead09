"""Datasets as one interface: images in a fixed order, each with a stable id and a label."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from atlas.errors import DatasetError
from atlas.models.zoo import imagenet_words

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".gif", ".tif", ".tiff"})
MAX_PIXELS = 64_000_000
"""Larger images are skipped: a decompression bomb would take the machine's memory."""

MAX_ASPECT = 50
"""Narrower images are skipped: bringing their short side to size would make them enormous."""

DigestOf = Callable[[Path], str]


class UnreadableImageError(Exception):
    """One image that cannot be used; the message says why. The pass goes on without it."""


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


class Source(Protocol):
    """A dataset: images in a fixed order that can be read in any."""

    spec: str
    items: tuple[Item, ...]

    def __len__(self) -> int:
        """How many images there are, readable or not."""

    def load(self, index: int) -> Image.Image:
        """Image `index`, upright, RGB, at its own size; `UnreadableImageError` if it cannot be."""

    def size(self, index: int) -> tuple[int, int]:
        """Width and height of image `index` in pixels, without decoding it."""

    def digest(self, index: int, digest_of: DigestOf) -> str:
        """A digest that changes with the pixels of image `index`."""

    def fingerprint(self, digest_of: DigestOf) -> str:
        """A digest of every image's id and pixels; `digest_of` may remember files it has seen."""


class FolderSource:
    """``folder:PATH``: images in class folders (ImageFolder layout), or flat, in sorted order."""

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
                and p.is_file()
                and not any(part.startswith(".") for part in p.relative_to(self.root).parts)
            )
        )
        if not self.files:
            raise DatasetError(f"dataset folder {self.root} holds no images")
        self.items = tuple(self._item(p) for p in self.files)

    def _item(self, path: Path) -> Item:
        inside = path.relative_to(self.root)
        folder = inside.parts[0] if len(inside.parts) > 1 else ""
        return Item(inside.as_posix(), imagenet_words().get(folder, folder))

    def __len__(self) -> int:
        return len(self.files)

    def load(self, index: int) -> Image.Image:
        """Image `index`, upright, RGB, at its own size.

        Raises:
            UnreadableImageError: corrupt, truncated, or larger than `MAX_PIXELS`.
        """
        return read_image(self.files[index])

    def size(self, index: int) -> tuple[int, int]:
        """Width and height of image `index`, upright, in pixels, from its header alone.

        Raises:
            DatasetError: it can no longer be read.
        """
        try:
            with Image.open(self.files[index]) as image:
                width, height = image.size
                turned = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        except OSError as error:
            raise DatasetError(f"{self.files[index]} can no longer be read") from error
        return (height, width) if turned else (width, height)

    def digest(self, index: int, digest_of: DigestOf) -> str:
        """The digest of the file."""
        return digest_of(self.files[index])

    def fingerprint(self, digest_of: DigestOf) -> str:
        """A digest of every image's id and bytes; `digest_of` may remember files it has seen."""
        total = hashlib.sha256()
        for index, item in enumerate(self.items):
            total.update(f"{item.id}\0{self.digest(index, digest_of)}\n".encode())
        return total.hexdigest()


def read_image(path: Path) -> Image.Image:
    """An image file as upright RGB; transparency lies on white.

    Raises:
        UnreadableImageError: it cannot be decoded whole, or is larger than `MAX_PIXELS`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata; the pixels decide
            with Image.open(path) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise UnreadableImageError(
                        f"{image.width} × {image.height} pixels is too large"
                    )
                if max(image.size) > MAX_ASPECT * min(image.size):
                    raise UnreadableImageError(
                        f"{image.width} × {image.height} pixels is too narrow"
                    )
                image.load()
                upright = ImageOps.exif_transpose(image)
    except UnidentifiedImageError as error:
        raise UnreadableImageError("not an image") from error
    except Image.DecompressionBombError as error:
        raise UnreadableImageError("too large") from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, MemoryError) as error:
        raise UnreadableImageError(
            str(error).splitlines()[0] if str(error) else "damaged"
        ) from error
    if "A" in upright.getbands() or "transparency" in upright.info:
        upright = upright.convert("RGBA")
        white = Image.new("RGBA", upright.size, "white")
        return Image.alpha_composite(white, upright).convert("RGB")
    if upright.mode.startswith("I"):  # 16-bit greys; Pillow would clip instead of scale
        upright = upright.point(lambda v: v / 257).convert("L")
    return upright.convert("RGB")


def open_source(spec: str) -> Source:
    """The dataset a ``--dataset`` value names.

    Raises:
        DatasetError: an unknown kind, a folder that does not exist, or one without images.
    """
    kind, colon, rest = spec.partition(":")
    if spec == "sample":
        from atlas.examples.sample import SampleSource

        return SampleSource()
    if not colon or not rest:
        raise DatasetError(f"dataset {spec!r} should be written folder:PATH, or sample")
    if kind != "folder":
        raise DatasetError(
            f"unknown kind of dataset {kind!r} in {spec!r}; write folder:PATH, or sample"
        )
    return FolderSource(rest)
