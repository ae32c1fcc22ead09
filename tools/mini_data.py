"""Labelled images for `train_mini.py`: class folders or parquet files, decoded into one array."""

from __future__ import annotations

import glob
import importlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from torch import Tensor

from atlas.errors import DatasetError
from atlas.examples.decode import UnreadableImageError
from atlas.examples.sources import FolderSource, open_source
from atlas.models.zoo import imagenet_words

PIXELS = 64
"""Side of the images in memory; Tiny ImageNet's own."""

NAMES_FILE = "wnid_names.json"

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Images:
    """A dataset in memory.

    `pixels` are bytes (N, 64, 64, 3), `labels` int64 (N,) into `classes`; `words` are the classes
    in words; `skipped` counts images that could not be decoded.
    """

    pixels: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    words: tuple[str, ...]
    skipped: int = 0

    def __len__(self) -> int:
        return len(self.pixels)


def read_images(
    spec: str, *, limit: int | None = None, seed: int = 0, names: Path | None = None
) -> Images:
    """Decode the images that `spec` names.

    Args:
        spec: ``folder:PATH`` (a class is a first-level folder, sorted) or ``parquet:GLOB`` (columns
            ``image`` with encoded bytes and ``label``, as Hugging Face `datasets` writes them).
        limit: only so many, drawn by `seed` from the whole.
        names: JSON object from class to words; by default `wnid_names.json` beside the data.

    Raises:
        DatasetError: unknown kind, no such files, no classes, or nothing readable.
    """
    kind, _, rest = spec.partition(":")
    if kind == "parquet" and rest:
        return _read_parquet(rest, limit, seed, names)
    if kind != "folder" or not rest:
        raise DatasetError(f"dataset {spec!r} should be written folder:PATH or parquet:GLOB")
    return _read_folder(spec, limit, seed, names)


def align(images: Images, classes: Sequence[str]) -> Images:
    """The same images, labelled by their class's place in `classes`.

    Raises:
        DatasetError: images of a class that is not among them.
    """
    if images.classes == tuple(classes):
        return images
    place = {name: i for i, name in enumerate(classes)}
    used = sorted(set(images.labels.tolist()))
    strange = [images.classes[i] for i in used if images.classes[i] not in place]
    if strange:
        raise DatasetError(
            f"the validation images have {len(strange)} classes that the network does not, "
            f"first {strange[0]!r}"
        )
    table = torch.tensor([place.get(name, -1) for name in images.classes])
    return Images(
        images.pixels, table[images.labels], tuple(classes), tuple(classes), images.skipped
    )


def _read_folder(spec: str, limit: int | None, seed: int, names: Path | None) -> Images:
    source = open_source(spec)
    folders = [item.id.partition("/")[0] if "/" in item.id else "" for item in source.items]
    classes = tuple(sorted(set(folders)))
    if "" in classes:
        raise DatasetError(f"{spec}: images outside of class folders cannot be learned from")
    place = {name: i for i, name in enumerate(classes)}
    root = source.root if isinstance(source, FolderSource) else Path(spec)
    chosen = _chosen(len(source), limit, seed)

    def decode() -> Iterator[tuple[Pixels | None, int]]:
        for index in chosen:
            try:
                yield _square(source.load(index)), place[folders[index]]
            except UnreadableImageError:
                yield None, -1

    words = _words(classes, names, (root, root.parent))
    return _collect(decode(), len(chosen), classes, words, spec)


def _read_parquet(pattern: str, limit: int | None, seed: int, names: Path | None) -> Images:
    try:
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise DatasetError("parquet: datasets need pyarrow; pip install pyarrow") from error
    paths = [Path(p) for p in sorted(glob.glob(pattern, recursive=True))]
    if not paths:
        raise DatasetError(f"no parquet file matches {pattern}")
    files = [_open_parquet(parquet, path) for path in paths]
    classes = _parquet_classes(files, paths, names)
    total = sum(file.metadata.num_rows for file in files)
    chosen = _chosen(total, limit, seed)

    def decode() -> Iterator[tuple[Pixels | None, int]]:
        start = 0
        for path, file in zip(paths, files, strict=True):
            for group in range(file.num_row_groups):
                stop = start + file.metadata.row_group(group).num_rows
                low, high = np.searchsorted(chosen, (start, stop))
                if high > low:
                    rows = _rows(file, group, path).take(chosen[low:high] - start).to_pylist()
                    for row in rows:
                        yield _cell(row["image"]), _label(row["label"], len(classes), path)
                start = stop

    words = _words(classes, names, (paths[0].parent,))
    return _collect(decode(), len(chosen), classes, words, f"parquet:{pattern}")


def _open_parquet(parquet: Any, path: Path) -> Any:
    try:
        file = parquet.ParquetFile(path)
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        raise DatasetError(f"{path} is not a readable parquet file") from error
    missing = {"image", "label"} - set(file.schema_arrow.names)
    if missing:
        raise DatasetError(f"{path} lacks the column {' and '.join(sorted(missing))}")
    return file


def _rows(file: Any, group: int, path: Path) -> Any:
    try:
        return file.read_row_group(group, columns=["image", "label"])
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} is damaged: part {group} cannot be read") from error


def _label(value: object, classes: int, path: Path) -> int:
    if not isinstance(value, int) or not 0 <= value < classes:
        raise DatasetError(f"{path} holds the label {value!r}; it should be in 0–{classes - 1}")
    return value


def _cell(value: object) -> Pixels | None:
    """An ``image`` cell, a struct with ``bytes`` or the bytes alone, decoded."""
    data = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(data, bytes):
        return None
    try:
        with Image.open(io.BytesIO(data)) as image:
            return _square(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


def _parquet_classes(
    files: Sequence[Any], paths: Sequence[Path], names: Path | None
) -> tuple[str, ...]:
    """Class names from the file's own metadata, else from the names file, else numbers."""
    metadata = files[0].schema_arrow.metadata or {}
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        return tuple(map(str, features["label"]["names"]))
    except (ValueError, KeyError, TypeError):
        pass
    beside = names or paths[0].parent / NAMES_FILE
    if beside.exists():
        return tuple(_read_names(beside))
    highest = -1
    for path, file in zip(paths, files, strict=True):
        for group in range(file.num_row_groups):
            labels = _rows(file, group, path)["label"].to_pylist()
            highest = max(highest, *(n for n in labels if isinstance(n, int)), -1)
    return tuple(str(i) for i in range(highest + 1))


def _words(classes: Sequence[str], names: Path | None, beside: Sequence[Path]) -> tuple[str, ...]:
    """Classes in words: the names file, else ImageNet's words for wnids, else as they are."""
    known = dict(imagenet_words())
    found = names or next((p / NAMES_FILE for p in beside if (p / NAMES_FILE).exists()), None)
    if found is not None:
        known |= _read_names(found)
    return tuple(known.get(name, name) for name in classes)


def _read_names(path: Path) -> dict[str, str]:
    try:
        names = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise DatasetError(f"{path} is not JSON") from error
    if not isinstance(names, dict):
        raise DatasetError(f"{path} should be a JSON object from class to words")
    return {str(key): str(value) for key, value in names.items()}


def _chosen(total: int, limit: int | None, seed: int) -> npt.NDArray[np.int64]:
    """Indices to read, ascending: all, or `limit` of them drawn by `seed`."""
    if limit is None or limit >= total:
        return np.arange(total)
    return np.sort(np.random.default_rng(seed).permutation(total)[:limit])


def _square(image: Image.Image) -> Pixels:
    """The central square at 64 pixels, (64, 64, 3)."""
    rgb = image.convert("RGB")
    if rgb.size != (PIXELS, PIXELS):
        rgb = ImageOps.fit(rgb, (PIXELS, PIXELS), Image.Resampling.BICUBIC)
    return np.asarray(rgb)


def _collect(
    decoded: Iterator[tuple[Pixels | None, int]],
    count: int,
    classes: tuple[str, ...],
    words: tuple[str, ...],
    spec: str,
) -> Images:
    if len(classes) < 2:
        raise DatasetError(f"{spec} has {len(classes)} class; a classifier needs two or more")
    pixels = np.empty((count, PIXELS, PIXELS, 3), np.uint8)
    labels = np.empty(count, np.int64)
    kept = 0
    for image, label in decoded:
        if image is not None:
            pixels[kept], labels[kept] = image, label
            kept += 1
    if not kept:
        raise DatasetError(f"none of the {count} images of {spec} could be decoded")
    arrays = torch.from_numpy(pixels[:kept]), torch.from_numpy(labels[:kept])
    return Images(*arrays, classes, words, count - kept)
