"""Config → recipe: presets, and the files a recipe's arrays come from."""

from __future__ import annotations

import hashlib
import io
import os
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atlas import measure
from atlas.config import RECIPE_KEYS, RenderSection
from atlas.errors import ObjectiveError, RecipeError
from atlas.examples.decode import MAX_BYTES, UnreadableImageError, decode
from atlas.inputs import read_regular
from atlas.optvis.colour import as_matrix
from atlas.optvis.leaves import Photo
from atlas.optvis.recipe import Recipe, from_preset
from atlas.optvis.regularizer import parse_regularizers
from atlas.optvis.syntax import Readers

_VECTOR = 64 << 20
"""Bytes of a direction: 8 million channels."""


def recipe_of(render: RenderSection) -> Recipe:
    """The recipe of a config's ``[render]``, its files read.

    Raises:
        RecipeError, ConfigError: a value is out of range, or a file cannot be read.
    """
    more: dict[str, object] = {
        "parameterization": render.parameterization,
        "decay": render.decay,
        "decorrelate": render.decorrelate,
        "optimizer": render.optimizer,
        "learning_rate": render.learning_rate,
        "diversity": render.diversity,
        "stop": render.stop,
    }
    if render.settle is not None:
        more["settle"] = render.settle
    if render.precision is not None:
        more["precision"] = render.precision
    if render.colours is not None:
        more["colours"] = measure.read_colours(render.colours)
    if render.parameterization == "maco":
        more["spectrum"] = measure.read_spectrum(render.spectrum)
    if render.start is not None:
        more["start"] = read_photo(str(render.start))
    names = render.regularize
    if names is not None and any(r.name == "patches" for r in parse_regularizers(names)[1]):
        if render.patches is None:
            raise RecipeError(
                "regularizer patches needs patches of photographs: give --patches FILE "
                "(atlas measure-patches makes it)"
            )
        more["patches"] = measure.read_patches(render.patches)
    return from_preset(render.preset, render.size, render.steps, regularize=names, **more)


def with_files(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a recipe as a caller gives them, with the files among them read.

    Raises:
        ObjectiveError, ConfigError, RecipeError: a file cannot be read; a matrix is none.
    """
    found = dict(fields)
    if found.get("parameterization") == "maco":
        found.setdefault("spectrum", None)
        found["spectrum"] = found["spectrum"] or measure.read_spectrum()
    read: dict[str, Callable[[Path], Any]] = {
        "start": lambda path: read_photo(str(path)),
        "colours": measure.read_colours,
        "spectrum": measure.read_spectrum,
        "patches": measure.read_patches,
    }
    for name, reader in read.items():
        if isinstance(found.get(name), str | os.PathLike):
            found[name] = reader(Path(found[name]))
    if "colours" in found:
        found["colours"] = as_matrix(found["colours"])
    return found


def options_of(render: RenderSection) -> str:
    """The options beyond size, steps and seed that ask ``atlas show`` for the same recipe."""
    usual, parts = RenderSection(), []
    if render.preset == "distill":
        parts.append("--preset distill")
    for name in RECIPE_KEYS:
        value = getattr(render, name)
        if value == getattr(usual, name):
            continue
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            parts.append(option if value else f"--no-{name}")
        elif isinstance(value, tuple):
            parts.append(f"{option} {shlex.quote(','.join(value) or 'none')}")
        else:
            # Of a file its name: a site says nothing of the folders it was made in.
            text = value.name if isinstance(value, Path) else str(value)
            parts.append(f"{option} {shlex.quote(text)}")
    return " ".join(parts)


def readers(folder: Path | None = None) -> Readers:
    """Readers of the files that objectives name; relative names start from `folder`."""

    def place(name: str) -> Path:
        return Path(name) if folder is None else folder / name

    return Readers(lambda name: _vector(place(name)), lambda name: read_photo(str(place(name))))


def read_photo(name: str) -> Photo:
    """A photograph's central square, at its own size.

    Raises:
        ObjectiveError: it cannot be read.
    """
    path = Path(name)
    try:
        image = decode(io.BytesIO(data := read_regular(path, MAX_BYTES)))
    except OSError as error:
        raise ObjectiveError(f"photograph {name} cannot be read: {error.strerror}") from error
    except UnreadableImageError as error:
        raise ObjectiveError(f"photograph {name} cannot be used: {error}") from error
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    return Photo(path.name, hashlib.sha256(data).hexdigest(), np.asarray(square))


def _vector(path: Path) -> NDArray[np.floating]:
    try:
        vector = np.load(io.BytesIO(read_regular(path, _VECTOR)), allow_pickle=False)
    except OSError as error:
        raise ObjectiveError(f"direction {path} cannot be read: {error.strerror}") from error
    except (ValueError, EOFError) as error:
        raise ObjectiveError(f"direction {path} is no .npy file of numbers") from error
    if not isinstance(vector, np.ndarray) or vector.ndim != 1 or vector.dtype.kind not in "fiu":
        raise ObjectiveError(f"direction {path} should be one row of numbers")
    return vector.astype(np.float64)
