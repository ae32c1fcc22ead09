"""``hf:NAME[@REVISION][:CONFIG][:SPLIT]``: datasets of the Hugging Face hub, read where they lie.

NAME may also be a local folder that `datasets` understands; it finds configs, splits, files and
features. Nothing is downloaded as a whole: parquet files, which nearly all of the hub is, are read
by row group, in any order. Of other layouts rows come one after the other; going back starts the
stream again and skips.
"""

from __future__ import annotations

import hashlib
import re
import threading
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from atlas.errors import AtlasError, DatasetError
from atlas.examples.decode import MAX_BYTES, UnreadableImageError
from atlas.examples.encoded import (
    IMAGE_COLUMNS,
    LABEL_COLUMNS,
    EncodedSource,
    Kept,
    LazyItems,
    bytes_in,
    in_words,
    row_of,
)
from atlas.examples.footer import Columns, one_line, remote
from atlas.examples.rows import Rows
from atlas.examples.sources import DigestOf, Item
from atlas.inputs import leads_out

_KEPT, _KEPT_BYTES, _KEPT_LEAST = 256, 128 << 20, 64
"""Rows of a stream held, encoded, and their bytes: the workers of a pass are never further apart
than the least number."""

_LABELS = 1 << 16
"""Labels that differ and are kept once each; what has more is no class."""


_ARCHIVES = {"zip", "tar", "gzip", "bz2", "xz", "zstd", "lz4"}
"""Protocols of `fsspec` that reach into a file of another."""

_UNKNOWN = object()


class HubSource(EncodedSource):
    """Images of one split, in the order of its rows."""

    def __init__(self, rest: str) -> None:
        import datasets

        self.spec = f"hf:{rest}"
        name, revision, config, split = _parts(rest)
        self._root = Path(name).resolve() if Path(name).is_dir() else None
        with _quiet(), _explained(self.spec):
            config, self._split = _chosen(self.spec, name, revision, config, split)
            builder = datasets.load_dataset_builder(name, config, revision=revision)
            self._files = [str(path) for path in builder.config.data_files[self._split]]
            stream = builder.as_streaming_dataset(split=self._split)
            features = stream.features or {}
            images = [n for n, f in features.items() if isinstance(f, datasets.Image)]
            encoded = [n for n in IMAGE_COLUMNS if n in features]
            image = next(iter((*images, *encoded)), None)
            if image is None:
                raise DatasetError(
                    f"{self.spec} has no column of images; it has {', '.join(features) or 'none'}"
                )
            classes = [n for n, f in features.items() if isinstance(f, datasets.ClassLabel)]
            numbers = [n for n in LABEL_COLUMNS if n in features]
            label = next(iter((*classes, *numbers)), None)
            self._names: list[str] = list(features[classes[0]].names) if classes else []
            self._rows: Rows | Stream
            if _by_row_group(builder, self._files):
                self._rows = Rows(self._files, lambda file, has: _columns(file, has, image, label))
            else:
                if hasattr(stream, "decode"):  # `datasets` may have begun to decode ahead
                    stream = stream.decode(False)
                elif images:
                    stream = stream.cast_column(image, datasets.Image(decode=False))
                known = (builder.info.splits or {}).get(self._split)
                total = known.num_examples if known else None
                self._rows = Stream(self.spec, stream, (image, label), total)
        if not len(self._rows):
            raise DatasetError(f"{self.spec} holds no rows")
        self._fingerprint: str | None = None
        self.items: Sequence[Item] = LazyItems(len(self), self._item)

    def __len__(self) -> int:
        return len(self._rows)

    def index_of(self, item_id: str) -> int:
        """Where ``SPLIT#ROW`` stands."""
        split, _, row = item_id.rpartition("#")
        if split != self._split:
            raise KeyError(item_id)
        return row_of(split, row, len(self))

    def digest(self, index: int, digest_of: DigestOf) -> str:
        """The fingerprint and the row."""
        return f"{self.fingerprint(digest_of)}#{index}"

    def fingerprint(self, digest_of: DigestOf) -> str:
        """A digest of the split's files: by bytes where they are local, by address on the hub.

        An address on the hub holds the commit it belongs to. Every crop asks: it is found once.
        """
        if self._fingerprint is None:
            total = hashlib.sha256(f"{self._split}\0".encode())
            for file in self._files:
                path = Path(file)
                what = f"{path.name}\0{digest_of(path)}" if path.is_file() else file
                total.update(f"{what}\n".encode())
            self._fingerprint = total.hexdigest()
        return self._fingerprint

    def encoded(self, index: int) -> bytes:
        """The bytes of image `index`; `UnreadableImageError` where there are none."""
        value = self._rows.image(index)
        data = bytes_in(value)
        if data is not None:
            return data
        path = value.get("path") if isinstance(value, dict) else value
        if not path or not isinstance(path, str):
            raise UnreadableImageError("the row holds no image")
        if not _within(path, self._root):
            raise UnreadableImageError("its row points to a file that is not of the dataset")
        return _fetched(path)

    def _item(self, index: int) -> Item:
        return Item(f"{self._split}#{index}", in_words(self._rows.label(index), self._names))


class Stream:
    """Rows that can only be had one after the other, of those that came last some at hand.

    Args:
        total: how many there are, where somebody wrote it down; else they are counted.
    """

    def __init__(self, spec: str, stream: Any, columns: Columns, total: int | None) -> None:
        self._spec, self._stream, (self._image, self._label) = spec, stream, columns
        self._total = total or self._counted()
        self._kept: Kept[int, dict[str, Any]] = Kept(_KEPT, _KEPT_BYTES, _KEPT_LEAST)
        self._labels: list[Any] = [_UNKNOWN] * self._total
        self._differing: dict[Any, Any] = {}
        self._lock = threading.Lock()
        self._next, self._iterator = 0, iter(())

    def __len__(self) -> int:
        return self._total

    def image(self, index: int) -> Any:
        """The value in the column of images."""
        return self._row(index)[self._image]

    def label(self, index: int) -> Any:
        """The value in the column of labels; None where there is none."""
        if self._label is None:
            return None
        known = self._labels[index]
        return self._row(index)[self._label] if known is _UNKNOWN else known

    def _row(self, index: int) -> dict[str, Any]:
        if not 0 <= index < self._total:
            raise IndexError(index)
        with self._lock, _explained(self._spec):
            row = self._kept.get(index)
            if row is not None:
                return row
            if index < self._next or not self._next:
                self._next, self._iterator = index, iter(self._stream.skip(index))
            while self._next <= index:
                row = next(self._iterator, None)
                if row is None:
                    raise DatasetError(
                        f"{self._spec} ended after {self._next} of {self._total} rows"
                    )
                self._keep(row)
            assert row is not None
            return row

    def _keep(self, row: dict[str, Any]) -> None:
        size = len(bytes_in(row[self._image]) or b"")
        self._kept.put(self._next, row, size)
        label = row[self._label] if self._label else None
        if (label is None or isinstance(label, str | int)) and len(self._differing) < _LABELS:
            self._labels[self._next] = self._differing.setdefault(label, label)
        self._next += 1

    def _counted(self) -> int:
        """Rows of a split whose size nobody wrote down: one pass over its cheapest column."""
        stream = self._stream.select_columns([self._label]) if self._label else self._stream
        return sum(1 for _ in stream)


def _by_row_group(builder: Any, files: Sequence[str]) -> bool:
    """Whether the rows of a split are those of parquet files, all of them and as they are."""
    from datasets.packaged_modules.parquet.parquet import Parquet

    config = builder.config
    whole = getattr(config, "filters", None) is None
    strict = getattr(config, "on_bad_files", "error") == "error"
    near = all(f.endswith(".parquet") and (f.startswith("hf://") or not remote(f)) for f in files)
    return isinstance(builder, Parquet) and whole and strict and near


def _columns(file: str, names: Sequence[str], image: str, label: str | None) -> Columns:
    if image not in names:
        raise DatasetError(f"{file} has no column {image!r}, unlike others of its split")
    return image, label if label in names else None


def _within(path: str, root: Path | None) -> bool:
    """Whether a row may point there: to the web, to a file in the dataset's own folder, or into an
    archive that is at such a place.

    Args:
        root: the folder of a dataset on this machine.
    """
    *archives, place = path.split("::")
    if not all(part.partition("://")[0] in _ARCHIVES for part in archives):
        return False
    protocol, away, rest = place.partition("://")
    if away and protocol != "file":
        return protocol in ("hf", "https", "http")
    return root is not None and not leads_out(Path(rest if away else place), root)


def _fetched(path: str) -> bytes:
    """An image that its row only points to."""
    import fsspec

    away = re.search(r"\b(hf|https?)://", path) is not None
    try:
        with fsspec.open(path, "rb") as file:
            data = bytes(file.read(MAX_BYTES + 1))
    except Exception as error:  # file systems raise whatever their clients do
        reason = one_line(error)
        damaged = isinstance(error, FileNotFoundError | zipfile.BadZipFile | zlib.error)
        if away and not damaged:
            raise DatasetError(f"{path} cannot be read: {reason}") from error
        raise UnreadableImageError(reason) from error
    if len(data) > MAX_BYTES:
        raise UnreadableImageError(f"more than {MAX_BYTES // 1_000_000} MB are too large")
    return data


def _parts(rest: str) -> tuple[str, str | None, str | None, str | None]:
    """Name, revision, config and split, as far as they are given; the last is SPLIT or CONFIG."""
    name, *others = rest.split(":")
    if not name or len(others) > 2 or not all(others):
        raise DatasetError(
            f"dataset 'hf:{rest}' should be written hf:NAME[@REVISION][:CONFIG][:SPLIT]"
        )
    name, _, revision = name.partition("@")
    config, split = (others[0], others[1]) if len(others) == 2 else (None, *others, None)[:2]
    return name, revision or None, config, split


def _chosen(
    spec: str, name: str, revision: str | None, config: str | None, split: str | None
) -> tuple[str | None, str]:
    """Config and split; one name alone may be either."""
    import datasets

    if config is None and split is not None:
        configs = datasets.get_dataset_config_names(name, revision=revision)
        if split in configs:
            config, split = split, None
    splits = datasets.get_dataset_split_names(name, config, revision=revision)
    if split is None and len(splits) == 1:
        split = splits[0]
    if split not in splits:
        what = f"has no split {split!r}" if split else "has several splits"
        raise DatasetError(f"{spec} {what}; write one of {', '.join(splits)} behind a colon")
    return config, str(split)


@contextmanager
def _explained(spec: str) -> Iterator[None]:
    """What goes wrong with the hub, as one line."""
    import datasets

    try:
        yield
    except Exception as error:  # `datasets`, file systems and HTTP clients each have their own
        hides = isinstance(error, datasets.inspect.SplitsNotFoundError)
        hidden = error.__cause__ if hides else None
        if re.search(r"gated (dataset|repo)", str(hidden or error)):
            raise DatasetError(
                f"{spec} is gated: accept its conditions on huggingface.co, then log in with "
                "hf auth login"
            ) from error
        if isinstance(error, AtlasError):
            raise
        raise DatasetError(f"{spec} cannot be read: {one_line(hidden or error)}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """`datasets` prints nothing: what it logs of an error is told once more, where it is caught."""
    import datasets

    verbosity = datasets.logging.get_verbosity()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    try:
        yield
    finally:
        datasets.logging.set_verbosity(verbosity)
