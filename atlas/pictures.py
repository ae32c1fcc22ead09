"""Pictures: finished renders as a notebook user meets them, and the batches they are made in."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from atlas.engines.lanes import lanes_for, side_by_side
from atlas.errors import AtlasError, OutputError
from atlas.models.network import Network
from atlas.optvis.achieved import Achieved
from atlas.optvis.optimize import Rendered, optimize
from atlas.optvis.recipe import Recipe
from atlas.optvis.subject import AnySubject, Render
from atlas.plan import CHUNK_IMAGES
from atlas.store import write_atomically

RECIPE_KEY = "channel-atlas"
"""The text chunk of a saved PNG that holds its recipe, as JSON."""

_GAP = 4


@dataclass(frozen=True, repr=False)
class Picture:
    """One finished image. In a notebook it shows itself.

    Attributes:
        rendered: pixels and what was achieved (`optvis.optimize.Rendered`).
        recipe: everything that decided the pixels, as plain data.
    """

    rendered: Rendered[AnySubject]
    recipe: Mapping[str, object]

    @property
    def image(self) -> NDArray[np.uint8]:
        """(S, S, 3) uint8 RGB."""
        return self.rendered.image

    @property
    def activation(self) -> float:
        """The score of just these pixels."""
        return self.rendered.activation

    @property
    def achieved(self) -> Achieved:
        """Robust activation, saturation, share of high frequencies, diversity."""
        return self.rendered.achieved

    @property
    def never_started(self) -> bool:
        """Whether no gradient ever reached the image: it then says nothing."""
        return self.rendered.never_started

    @property
    def render(self) -> AnySubject:
        """Which image this is: unit or objective, kind or role, number, seed."""
        return self.rendered.render

    @property
    def seed(self) -> int:
        """The image's own seed."""
        return self.rendered.render.seed

    @property
    def name(self) -> str:
        """Objective and kind in words: ``mixed4c:447 positive``."""
        subject = self.rendered.render
        if isinstance(subject, Render):
            return f"{subject.unit} {subject.kind}"
        return str(subject.objective)

    @property
    def strip(self) -> dict[int, NDArray[np.uint8]]:
        """The image at each checkpoint, by step."""
        return dict(self.rendered.strip)

    def to_pil(self) -> Image.Image:
        """The image for Pillow."""
        return Image.fromarray(self.image)

    def film_strip(self) -> Image.Image:
        """Its checkpoints side by side, in order; the finished image where there are none."""
        return sheet(list(self.strip.values()) or [self.image])

    def save(self, path: str | Path) -> Path:
        """Write an image file; a PNG carries the recipe in its text (key ``channel-atlas``).

        Raises:
            OutputError: the place cannot be written to, or the suffix names no image format.
        """
        return save_image(self.to_pil(), Path(path), self.recipe)

    def _repr_png_(self) -> bytes:
        return png(self.to_pil(), self.recipe)

    def __repr__(self) -> str:
        flag = ", never started" if self.never_started else ""
        return f"<{self.name}, activation {self.activation:.4g}, {self.image.shape[1]} px{flag}>"


class Pictures(Sequence[Picture]):
    """Finished images in the order asked for. In a notebook they show as a contact sheet.

    Of a single one, its image, activation, recipe and so on are there directly.
    """

    def __init__(self, pictures: Sequence[Picture]) -> None:
        self._pictures = tuple(pictures)

    def __len__(self) -> int:
        return len(self._pictures)

    @overload
    def __getitem__(self, index: int) -> Picture: ...
    @overload
    def __getitem__(self, index: slice) -> Pictures: ...
    def __getitem__(self, index: int | slice) -> Picture | Pictures:
        if isinstance(index, slice):
            return Pictures(self._pictures[index])
        return self._pictures[index]

    def __iter__(self) -> Iterator[Picture]:
        return iter(self._pictures)

    @property
    def only(self) -> Picture:
        """The picture, where there is just one.

        Raises:
            AtlasError: there are several.
        """
        if len(self) != 1:
            raise AtlasError(f"these are {len(self)} pictures; take one of them, as in pictures[0]")
        return self._pictures[0]

    @property
    def image(self) -> NDArray[np.uint8]:
        """Of the only picture: (S, S, 3) uint8 RGB."""
        return self.only.image

    @property
    def activation(self) -> float:
        """Of the only picture: its score."""
        return self.only.activation

    @property
    def achieved(self) -> Achieved:
        """Of the only picture: robust activation, saturation and so on."""
        return self.only.achieved

    @property
    def recipe(self) -> Mapping[str, object]:
        """Of the only picture: everything that decided its pixels."""
        return self.only.recipe

    @property
    def never_started(self) -> bool:
        """Of the only picture: whether no gradient ever reached it."""
        return self.only.never_started

    @property
    def strip(self) -> dict[int, NDArray[np.uint8]]:
        """Of the only picture: the image at each checkpoint."""
        return self.only.strip

    def film_strip(self) -> Image.Image:
        """Of the only picture: its checkpoints side by side."""
        return self.only.film_strip()

    def sheet(self, columns: int | None = None) -> Image.Image:
        """All of them on one contact sheet."""
        return sheet([picture.image for picture in self], columns)

    def to_pil(self) -> Image.Image:
        """The image, or of several the contact sheet."""
        return self.sheet()

    def save(self, path: str | Path) -> Path:
        """Write the image, or of several the contact sheet; a PNG carries the recipes.

        Raises:
            OutputError: the place cannot be written to, or the suffix names no image format.
        """
        if len(self) == 1:
            return self.only.save(path)
        recipes = {"pictures": [dict(picture.recipe) for picture in self]}
        return save_image(self.sheet(), Path(path), recipes)

    def _repr_png_(self) -> bytes:
        return png(self.sheet())

    def __repr__(self) -> str:
        return f"[{', '.join(map(repr, self))}]"


def make(
    network: Network,
    subjects: Sequence[AnySubject],
    recipe: Recipe,
    device: str = "cpu",
    checkpoints: Collection[int] = (),
) -> Pictures:
    """Make pictures of subjects, in batches of those that look at the same layers."""
    model = {"model": network.name, "weights": network.weights_sha256}
    shared = recipe.as_json() | model
    made: dict[int, Picture] = {}

    def optimized(
        rows: list[int], check: Callable[[], None]
    ) -> list[tuple[int, Rendered[AnySubject]]]:
        members = [subjects[row] for row in rows]
        results = optimize(network, members, recipe, device, checkpoints=checkpoints, check=check)
        return list(zip(rows, results, strict=True))

    cut = batches(subjects, CHUNK_IMAGES[device])
    for results in side_by_side(optimized, cut, lanes_for(len(cut), device)):
        for row, result in results:
            made[row] = Picture(result, shared | result.render.as_json())
    return Pictures([made[row] for row in range(len(subjects))])


def batches(subjects: Sequence[AnySubject], most: int) -> list[list[int]]:
    """Rows cut into batches of about `most`, by the layers looked at; sets stay whole."""
    together: dict[object, list[int]] = {}
    for row, subject in enumerate(subjects):
        alone = subject.role == "single"
        together.setdefault(row if alone else (subject.role, subject.group), []).append(row)
    by_layers: dict[object, list[list[int]]] = {}
    for rows in together.values():
        layers = tuple(dict.fromkeys(la for row in rows for la in subjects[row].objective.layers))
        open_batches = by_layers.setdefault(layers, [])
        if open_batches and len(open_batches[-1]) + len(rows) <= most:
            open_batches[-1].extend(rows)
        else:
            open_batches.append(list(rows))
    return [rows for found in by_layers.values() for rows in found]


def sheet(images: Sequence[NDArray[np.uint8]], columns: int | None = None) -> Image.Image:
    """Images of one size (S, S, 3) on white, four pixels apart, in rows."""
    columns = columns or min(len(images), max(6, math.ceil(math.sqrt(len(images)))))
    side = images[0].shape[0]
    rows = math.ceil(len(images) / columns)
    size = (columns * (side + _GAP) - _GAP, rows * (side + _GAP) - _GAP)
    canvas = Image.new("RGB", size, "white")
    for number, image in enumerate(images):
        row, column = divmod(number, columns)
        canvas.paste(Image.fromarray(image), (column * (side + _GAP), row * (side + _GAP)))
    return canvas


def png(image: Image.Image, recipe: Mapping[str, object] | None = None) -> bytes:
    """An image as PNG, with its recipe in the text."""
    text = PngImagePlugin.PngInfo()
    if recipe is not None:
        text.add_itxt(RECIPE_KEY, json.dumps(recipe, sort_keys=True))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=text)
    return buffer.getvalue()


def save_image(image: Image.Image, path: Path, recipe: Mapping[str, object]) -> Path:
    """Write an image in the format of its suffix, PNG where there is none."""
    if not path.suffix:
        path = path.with_suffix(".png")
    if path.suffix.lower() == ".png":
        write_atomically(path, png(image, recipe))
        return path
    kind = Image.registered_extensions().get(path.suffix.lower())
    buffer = io.BytesIO()
    try:
        if kind is None:
            raise KeyError(path.suffix)
        image.save(buffer, kind, quality=95)
    except (KeyError, OSError) as error:
        raise OutputError(f"cannot write {path}: {path.suffix} is no image format") from error
    write_atomically(path, buffer.getvalue())
    return path
