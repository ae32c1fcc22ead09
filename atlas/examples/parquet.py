"""``parquet:GLOB``: images in parquet files as Hugging Face lays them out.

A column holds encoded images (struct of ``bytes`` and ``path``, or plain bytes), another class
numbers; their names stand in the file's metadata under ``huggingface``. Rows are read a row group
at a time, so that a pass reads every byte once and any image can be had again.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from atlas.errors import DatasetError
from atlas.examples.decode import UnreadableImageError
from atlas.examples.encoded import EncodedSource, LazyItems
from atlas.examples.sources import DigestOf, Item
from atlas.models.zoo import imagenet_words

IMAGE_COLUMNS = ("image", "img", "jpg", "png", "webp")
LABEL_COLUMNS = ("label", "labels", "fine_label", "cls", "class")

_GROUPS_KEPT = 4
"""Row groups held decoded at a time: workers of a pass are never further apart."""


class ParquetSource(EncodedSource):
    """Images of parquet files in sorted order of the files, then of their rows."""

    windows = False

    def __init__(self, pattern: str) -> None:
        import pyarrow
        import pyarrow.parquet

        self.spec = f"parquet:{pattern}"
        names = sorted(glob.glob(pattern, recursive=True))
        self.files = tuple(Path(name) for name in names if Path(name).is_file())
        if not self.files:
            raise DatasetError(f"no parquet file matches {pattern}")
        root = Path(os.path.commonpath([path.absolute().parent for path in self.files]))
        inside = (path.absolute().relative_to(root).as_posix() for path in self.files)
        self._names = {name: number for number, name in enumerate(inside)}
        self._groups: list[tuple[int, int]] = []  # (file, row group)
        self._starts: list[int] = []  # index of a group's first row
        self._file_starts: list[int] = []
        self._labels: list[list[str] | None] = []
        self._columns: list[tuple[str, str | None]] = []
        total = 0
        for number, path in enumerate(self.files):
            try:
                file = pyarrow.parquet.ParquetFile(path)
            except (pyarrow.ArrowException, OSError) as error:
                reason = str(error).splitlines()[0]
                raise DatasetError(f"{path} is no parquet file: {reason}") from error
            schema = file.schema_arrow
            self._columns.append(_columns(path, schema.names))
            self._labels.append(_label_names(schema.metadata or {}, self._columns[-1][1]))
            self._file_starts.append(total)
            for group in range(file.metadata.num_row_groups):
                self._groups.append((number, group))
                self._starts.append(total)
                total += file.metadata.row_group(group).num_rows
        if not total:
            raise DatasetError(f"the parquet files of {pattern} hold no rows")
        self._total = total
        self._tables: OrderedDict[int, Any] = OrderedDict()
        self._lock = threading.Lock()
        self.items: Sequence[Item] = LazyItems(total, self.item)

    def __len__(self) -> int:
        return self._total

    def index_of(self, item_id: str) -> int:
        """Where ``FILE#ROW`` stands."""
        name, _, row = item_id.rpartition("#")
        return self._file_starts[self._names[name]] + int(row)

    def digest(self, index: int, digest_of: DigestOf) -> str:
        """The digest of the file and the row."""
        number, row = self._place(index)
        return f"{digest_of(self.files[number])}#{row}"

    def fingerprint(self, digest_of: DigestOf) -> str:
        """A digest of all files, by name and bytes."""
        total = hashlib.sha256()
        for name, path in zip(self._names, self.files, strict=True):
            total.update(f"{name}\0{digest_of(path)}\n".encode())
        return total.hexdigest()

    def item(self, index: int) -> Item:
        """Image `index`: ``FILE#ROW`` and its label in words."""
        number, row = self._place(index)
        column = self._columns[number][1]
        label = "" if column is None else self._value(index, column)
        names = self._labels[number]
        if names is not None and isinstance(label, int) and 0 <= label < len(names):
            label = names[label]
        words = imagenet_words().get(str(label), str(label))
        return Item(f"{list(self._names)[number]}#{row}", "" if label is None else words)

    def _place(self, index: int) -> tuple[int, int]:
        """File and row in the file."""
        if not 0 <= index < self._total:
            raise IndexError(index)
        number = bisect_right(self._file_starts, index) - 1
        return number, index - self._file_starts[number]

    def _value(self, index: int, column: str) -> Any:
        group = bisect_right(self._starts, index) - 1
        return self._table(group)[column][index - self._starts[group]].as_py()

    def encoded(self, index: int) -> bytes:
        """The bytes of image `index`; `UnreadableImageError` where there are none."""
        number, _ = self._place(index)
        value = self._value(index, self._columns[number][0])
        if isinstance(value, dict):
            value = value.get("bytes")
        if not isinstance(value, bytes):
            raise UnreadableImageError("the row holds no image")
        return value

    def _table(self, group: int) -> Any:
        import pyarrow
        import pyarrow.parquet

        with self._lock:
            if group in self._tables:
                self._tables.move_to_end(group)
                return self._tables[group]
            number, inside = self._groups[group]
            columns = [name for name in self._columns[number] if name is not None]
            path = self.files[number]
            try:
                file = pyarrow.parquet.ParquetFile(path)
                table = file.read_row_group(inside, columns=columns, use_threads=False)
            except (pyarrow.ArrowException, OSError) as error:
                reason = str(error).splitlines()[0]
                raise DatasetError(f"{path} is damaged: {reason}") from error
            self._tables[group] = table
            while len(self._tables) > _GROUPS_KEPT:
                self._tables.popitem(last=False)
            return table


def _columns(path: Path, names: Sequence[str]) -> tuple[str, str | None]:
    image = next((name for name in IMAGE_COLUMNS if name in names), None)
    if image is None:
        raise DatasetError(
            f"{path} has no column of images; it has {', '.join(names)}, "
            f"one of {', '.join(IMAGE_COLUMNS)} is needed"
        )
    return image, next((name for name in LABEL_COLUMNS if name in names), None)


def _label_names(metadata: dict[bytes, bytes], column: str | None) -> list[str] | None:
    """Names of the classes, out of what Hugging Face writes into the metadata."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        names = features[column]["names"]
        return [str(name) for name in names]
    except (KeyError, TypeError, ValueError):
        return None
