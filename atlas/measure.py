"""What is measured of a dataset for renders: colours, spectra, patches; and their files.

Each is a pure function in `optvis`; here are the photographs that go in and the files that come
out, and how a recipe gets them back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from atlas.errors import ConfigError, DatasetError
from atlas.examples.decode import UnreadableImageError
from atlas.examples.sources import Source
from atlas.inputs import read_regular
from atlas.optvis import colour, patches, spectrum
from atlas.optvis.colour import ColourStatistics, Matrix, as_matrix
from atlas.optvis.patches import PatchBase
from atlas.optvis.spectrum import Spectrum
from atlas.store import write_atomically

SHORT_SIDE = 256
"""Larger photographs are brought to this short side, as networks see them; none is enlarged."""

SPECTRUM_SIZE = 128
"""Side of the crops a spectrum is measured over, in pixels."""

SHIPPED_SPECTRUM = Path(__file__).parent / "optvis" / "data" / "spectrum.safetensors"
"""Measured by ``atlas measure-spectrum`` over one photograph of every ImageNet class."""

_COLOURS = 1 << 20
"""Bytes of a colours file, which takes some hundred."""

Advance = Callable[[int], None]


def colours(source: Source, advance: Advance = lambda _: None) -> ColourStatistics:
    """Colour statistics of all pixels of a dataset, as they are in the files."""
    return colour.measure(np.asarray(image) for image in _readable(source, advance))


def spectrum_of(
    source: Source, size: int = SPECTRUM_SIZE, advance: Advance = lambda _: None
) -> Spectrum:
    """The spectrum of square crops: the four corners of each photograph.

    Raises:
        DatasetError: no photograph is as large as a crop.
    """
    return spectrum.measure(_corners(source, size, advance), size)


def patches_of(
    source: Source, count: int, seed: int = 0, advance: Advance = lambda _: None
) -> PatchBase:
    """A base of `count` patches of a dataset's photographs."""
    views = (np.asarray(_fitted(image)) for image in _readable(source, advance))
    return patches.measure(views, count, seed)


def write_colours(path: Path, statistics: ColourStatistics, dataset: str) -> None:
    """Keep colour statistics as JSON."""
    text = json.dumps({"dataset": dataset, **statistics.as_json()}, indent=2)
    write_atomically(path, text.encode() + b"\n")


def write_spectrum(path: Path, measured: Spectrum, dataset: str) -> None:
    """Keep a spectrum as safetensors, its symmetric half in single precision."""
    arrays = {"power": measured.power[_UPPER], "mean_square": measured.mean_square}
    about = {"kind": "spectrum", "dataset": dataset}
    write_atomically(path, save(arrays, metadata=about))


def write_patches(path: Path, base: PatchBase, dataset: str) -> None:
    """Keep a patch base as safetensors."""
    about = {"kind": "patches", "dataset": dataset}
    write_atomically(path, save({"patches": base.patches}, metadata=about))


def read_colours(path: Path) -> Matrix:
    """The matrix of a colours file (key ``matrix``).

    Raises:
        ConfigError: it cannot be read or is no colours file.
    """
    try:
        rows = json.loads(read_regular(path, _COLOURS))["matrix"]
        return as_matrix(rows)
    except OSError as error:
        raise ConfigError(f"colours {path} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError(f"{path} is no colours file; atlas measure-colours makes them") from error


def read_spectrum(path: Path | None = None) -> Spectrum:
    """A spectrum file, by default the one that ships.

    Raises:
        ConfigError: it cannot be read or is no spectrum file.
    """
    arrays = _read_arrays(path or SHIPPED_SPECTRUM, "spectrum", ("power", "mean_square"))
    upper, mean_square = arrays["power"].astype(np.float32), arrays["mean_square"]
    power = np.empty((3, 3, *upper.shape[1:]), dtype=np.float32)
    power[_UPPER] = upper
    power[_UPPER[1], _UPPER[0]] = upper
    return Spectrum(power, mean_square.astype(np.float32))


def read_patches(path: Path) -> PatchBase:
    """A patches file.

    Raises:
        ConfigError: it cannot be read or is no patches file.
    """
    patches = _read_arrays(path, "patches", ("patches",))["patches"]
    if patches.dtype != np.uint8:
        raise ConfigError(f"{path} is no patches file: its patches are {patches.dtype}, not uint8")
    return PatchBase(patches.astype(np.uint8))


_UPPER = np.triu_indices(3)


def _read_arrays(path: Path, kind: str, names: tuple[str, ...]) -> dict[str, NDArray[np.generic]]:
    try:
        with safe_open(path, "numpy") as file:
            if (file.metadata() or {}).get("kind") == kind:
                return {name: file.get_tensor(name) for name in names}
    except OSError as error:
        raise ConfigError(f"{kind} {path} cannot be read: {error.strerror or error}") from error
    except SafetensorError:
        pass
    raise ConfigError(f"{path} is no {kind} file; atlas measure-{kind} makes them")


def _readable(source: Source, advance: Advance) -> Iterator[Image.Image]:
    for index in range(len(source)):
        with suppress(UnreadableImageError):
            yield source.load(index)
        advance(index + 1)


def _fitted(image: Image.Image) -> Image.Image:
    short = min(image.size)
    if short <= SHORT_SIDE:
        return image
    width, height = (SHORT_SIDE * side // short for side in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR)


def _corners(source: Source, size: int, advance: Advance) -> Iterator[NDArray[np.uint8]]:
    found = False
    for image in _readable(source, advance):
        view = np.asarray(_fitted(image))
        height, width = view.shape[:2]
        if min(height, width) < size:
            continue
        found = True
        for top in dict.fromkeys((0, height - size)):
            for left in dict.fromkeys((0, width - size)):
                yield view[top : top + size, left : left + size]
    if not found:
        raise DatasetError(
            f"no photograph is {size} × {size} pixels or larger; give a smaller --size"
        )
