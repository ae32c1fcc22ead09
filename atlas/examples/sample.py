"""The ``sample`` dataset: windows of photographs that ship inside scikit-image and scikit-learn.

Both packages carry a few photographs in their wheels, so an atlas can be built without a dataset
and without a network connection. The packages themselves are never imported.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from atlas.errors import DatasetError
from atlas.examples.decode import UnreadableImageError, decode
from atlas.examples.sources import DigestOf, Item

SCALES = tuple(Fraction(s) for s in ("1", "3/4", "3/5", "1/2", "2/5", "1/3", "1/4"))
"""Sides of the windows, as parts of the photograph's short side."""

STRIDE = 3
"""Neighbouring windows lie at most one `STRIDE`-th of their side apart, up to rounding."""

MIN_SIDE = 96
"""Smaller windows, in pixels, are left out: enlarged to the network's input they are mere blur."""

Box = tuple[int, int, int, int]
"""A window (x0, y0, x1, y1) in its photograph's pixels, x1 and y1 exclusive."""

_SEE_SKIMAGE = "see scikit-image's documentation"


class Credit(NamedTuple):
    """Whose a photograph is, as the package that ships it documents it."""

    photo: str
    title: str
    author: str
    licence: str
    origin: str


@dataclass(frozen=True)
class Photograph:
    """A photograph to look for: `file` lies in the folder of `package`, `label` is for captions."""

    package: str
    file: str
    label: str
    credit: Credit

    @property
    def name(self) -> str:
        """What the photograph is called in ids."""
        return self.credit.photo


PHOTOGRAPHS = (
    Photograph(
        "skimage",
        "data/astronaut.png",
        "woman, astronaut suit",
        Credit(
            "astronaut",
            "Color image of the astronaut Eileen Collins",
            "NASA Great Images database",
            "no known copyright restrictions, released into the public domain",
            "https://flic.kr/p/r9qvLn",
        ),
    ),
    Photograph(
        "skimage",
        "data/chelsea.png",
        "cat",
        Credit("chelsea", "Chelsea the cat", "Stefan van der Walt", "CC0", _SEE_SKIMAGE),
    ),
    Photograph(
        "skimage",
        "data/coffee.png",
        "coffee cup",
        Credit(
            "coffee",
            "Coffee cup",
            "Rachel Michetti, courtesy of Pikolo Espresso Bar",
            "CC0",
            _SEE_SKIMAGE,
        ),
    ),
    Photograph(
        "skimage",
        "data/rocket.jpg",
        "rocket on its launch pad",
        Credit(
            "rocket",
            "Launch photo of DSCOVR on Falcon 9 by SpaceX",
            "SpaceX",
            "released in the public domain",
            "https://www.flickr.com/photos/spacexphotos/16511594820/in/photostream/",
        ),
    ),
    Photograph(
        "sklearn",
        "datasets/images/china.jpg",
        "temple",
        Credit(
            "china",
            "china.jpg",
            "danielbuechele",
            "CC BY 2.0",
            "https://www.flickr.com/photos/danielbuechele/6061409035/sizes/z/in/photostream/",
        ),
    ),
    Photograph(
        "sklearn",
        "datasets/images/flower.jpg",
        "flower",
        Credit(
            "flower",
            "flower.jpg",
            "danielbuechele (so scikit-learn's README, whose link leads to the page of vultilion)",
            "CC BY 2.0",
            "https://www.flickr.com/photos/vultilion/6056698931/sizes/z/in/photostream/",
        ),
    ),
)


class SampleSource:
    """``sample``: overlapping square windows, at several scales, of the photographs found.

    The order is fixed: photograph, scale from large to small, y, x. A photograph that the
    installed version of its package lacks is left out.

    Raises:
        DatasetError: a package is not installed, or neither holds any of the photographs.
    """

    spec = "sample"
    windows, portable = True, False

    def __init__(self) -> None:
        folders = {p: _package_folder(p) for p in dict.fromkeys(p.package for p in PHOTOGRAPHS)}
        found = [(p, folders[p.package] / p.file) for p in PHOTOGRAPHS]
        found = [(photo, path) for photo, path in found if path.is_file()]
        if not found:
            raise DatasetError(
                "the installed scikit-image and scikit-learn hold none of the sample photographs; "
                "try other versions of them"
            )
        self.files = {photo.name: path for photo, path in found}
        self.credits = tuple(photo.credit for photo, _ in found)
        self._places: list[tuple[str, Box]] = []
        items = []
        for photo, path in found:
            for box in windows(*_size(path)):
                self._places.append((photo.name, box))
                place = f"s{box[2] - box[0]}-y{box[1]}-x{box[0]}"
                items.append(Item(f"{photo.name}/{place}", photo.label, photo.name, box))
        self.items: Sequence[Item] = tuple(items)
        self._index = {item.id: index for index, item in enumerate(self.items)}
        self._decoded: dict[str, Image.Image] = {}

    def __len__(self) -> int:
        return len(self.items)

    def index_of(self, item_id: str) -> int:
        """Where the window called ``PHOTOGRAPH/PLACE`` stands."""
        return self._index[item_id]

    def load(self, index: int) -> Image.Image:
        """Window `index`, RGB, at its own size; its photograph is decoded once and kept.

        Raises:
            UnreadableImageError: the photograph cannot be decoded, or is no longer as large.
        """
        name, box = self._places[index]
        photo = self._decoded.get(name)
        if photo is None:  # two threads may both decode it: the same pixels, so no lock
            photo = self._decoded[name] = decode(self.files[name])
        if box[2] > photo.width or box[3] > photo.height:
            raise UnreadableImageError("the photograph has changed its size")
        return photo.crop(box)

    def encoded(self, index: int) -> bytes:
        """Window `index` as PNG."""
        buffer = io.BytesIO()
        self.load(index).save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()

    def size(self, index: int) -> tuple[int, int]:
        """Width and height of window `index` in pixels."""
        x0, y0, x1, y1 = self._places[index][1]
        return (x1 - x0, y1 - y0)

    def digest(self, index: int, digest_of: DigestOf) -> str:
        """A digest of the photograph's file and the window's place in it."""
        name, box = self._places[index]
        return _window_digest(digest_of(self.files[name]), box)

    def fingerprint(self, digest_of: DigestOf) -> str:
        """A digest of every window's id and digest; each file is digested once."""
        digests = {name: digest_of(path) for name, path in self.files.items()}
        total = hashlib.sha256()
        for item, (name, box) in zip(self.items, self._places, strict=True):
            total.update(f"{item.id}\0{_window_digest(digests[name], box)}\n".encode())
        return total.hexdigest()


def windows(width: int, height: int) -> Iterator[Box]:
    """The windows of a photograph of the given size, in the order scale (large to small), y, x."""
    for scale in SCALES:
        side = int(scale * min(width, height))
        if side < MIN_SIDE:
            return
        for y in _offsets(height, side):
            for x in _offsets(width, side):
                yield (x, y, x + side, y + side)


def _window_digest(file_digest: str, box: Box) -> str:
    return hashlib.sha256(f"{file_digest}\0{box}".encode()).hexdigest()


def _offsets(length: int, side: int) -> list[int]:
    """Evenly spread offsets of windows along an edge, the first and last at its ends."""
    room = length - side
    gaps = -(-room * STRIDE // side)  # rounded up
    return [round(Fraction(k * room, gaps)) for k in range(gaps + 1)] if gaps else [0]


def _package_folder(package: str) -> Path:
    """The folder an installed package lies in, without importing it."""
    spec = importlib.util.find_spec(package)
    places = spec.submodule_search_locations if spec else None
    if not places:
        raise DatasetError("the sample dataset needs its extra: pip install channel-atlas[sample]")
    return Path(next(iter(places)))


def _size(path: Path) -> tuple[int, int]:
    """Width and height of an image file in pixels, from its header alone."""
    try:
        with Image.open(path) as image:
            return image.size
    except OSError as error:
        raise DatasetError(f"{path} cannot be read; install its package again") from error
