"""``parquet:GLOB``: images in parquet files as Hugging Face lays them out.

A column holds encoded images (struct of ``bytes`` and ``path``, or plain bytes), another class
numbers; their names stand in the file's metadata under ``huggingface``.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from atlas.errors import DatasetError
from atlas.examples.decode import UnreadableImageError
from atlas.examples.encoded import (
    IMAGE_COLUMNS,
    LABEL_COLUMNS,
    EncodedSource,
    LazyItems,
    bytes_in,
    in_words,
    row_of,
)
from atlas.examples.footer import Columns, Footer
from atlas.examples.rows import Rows
from atlas.examples.sources import DigestOf, Item


class ParquetSource(EncodedSource):
    """Images of parquet files in sorted order of the files, then of their rows."""

    def __init__(self, pattern: str) -> None:
        self.spec = f"parquet:{pattern}"
        names = sorted(glob.glob(pattern, recursive=True))
        self.files = tuple(Path(name) for name in names if Path(name).is_file())
        if not self.files:
            raise DatasetError(f"no parquet file matches {pattern}")
        root = Path(os.path.commonpath([path.absolute().parent for path in self.files]))
        self._names = [path.absolute().relative_to(root).as_posix() for path in self.files]
        self._numbers = {name: number for number, name in enumerate(self._names)}
        self._rows = Rows([str(path) for path in self.files], _columns)
        if not len(self._rows):
            raise DatasetError(f"the parquet files of {pattern} hold no rows")
        self._classes = [_label_names(footer) for footer in self._rows.footers]
        self._digests: dict[int, str] = {}
        self.items = LazyItems(len(self), self._item)

    def __len__(self) -> int:
        return len(self._rows)

    def index_of(self, item_id: str) -> int:
        """Where ``FILE#ROW`` stands."""
        name, _, row = item_id.rpartition("#")
        number = self._numbers[name]
        rows = sum(group.rows for group in self._rows.footers[number].groups)
        return self._rows.starts[number] + row_of(name, row, rows)

    def digest(self, index: int, digest_of: DigestOf) -> str:
        """The digest of the file and the row."""
        number, row = self._rows.place(index)
        if number not in self._digests:
            self._digests[number] = digest_of(self.files[number])
        return f"{self._digests[number]}#{row}"

    def fingerprint(self, digest_of: DigestOf) -> str:
        """A digest of all files, by name and bytes."""
        total = hashlib.sha256()
        for name, path in zip(self._names, self.files, strict=True):
            total.update(f"{name}\0{digest_of(path)}\n".encode())
        return total.hexdigest()

    def encoded(self, index: int) -> bytes:
        """The bytes of image `index`; `UnreadableImageError` where there are none."""
        data = bytes_in(self._rows.image(index))
        if data is None:
            raise UnreadableImageError("the row holds no image")
        return data

    def _item(self, index: int) -> Item:
        number, row = self._rows.place(index)
        label = in_words(self._rows.label(index), self._classes[number])
        return Item(f"{self._names[number]}#{row}", label)


def _columns(file: str, names: Sequence[str]) -> Columns:
    image = next((name for name in IMAGE_COLUMNS if name in names), None)
    if image is None:
        raise DatasetError(
            f"{file} has no column of images; it has {', '.join(names)}, "
            f"one of {', '.join(IMAGE_COLUMNS)} is needed"
        )
    return image, next((name for name in LABEL_COLUMNS if name in names), None)


def _label_names(footer: Footer) -> list[str] | None:
    """Names of the classes, out of what Hugging Face writes into the metadata."""
    try:
        features = json.loads(footer.metadata[b"huggingface"])["info"]["features"]
        return [str(name) for name in features[footer.columns[1]]["names"]]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
