"""``hf:NAME[@REVISION][:CONFIG][:SPLIT]``: datasets of the Hugging Face hub, streamed.

NAME may also be a local folder that `datasets` understands. Nothing is downloaded as a whole: rows
come one after the other; going back starts the stream again and skips.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from atlas.errors import DatasetError
from atlas.examples.decode import UnreadableImageError
from atlas.examples.encoded import EncodedSource, LazyItems
from atlas.examples.parquet import IMAGE_COLUMNS, LABEL_COLUMNS
from atlas.examples.sources import DigestOf, Item
from atlas.models.zoo import imagenet_words

_KEPT = 256
"""Rows held, encoded: the workers of a pass are never further apart."""


class HubSource(EncodedSource):
    """Images of one split, in the order of its rows."""

    windows = False

    def __init__(self, rest: str) -> None:
        import datasets

        self.spec = f"hf:{rest}"
        name, revision, config, split = _parts(rest)
        with _explained(self.spec):
            config, split = _chosen(self.spec, name, revision, config, split)
            builder = datasets.load_dataset_builder(name, config, revision=revision)
            self._files = [str(path) for path in builder.config.data_files[split]]
            stream = builder.as_streaming_dataset(split=split)
            features = stream.features or {}
            self._split = split
            images = [n for n, f in features.items() if isinstance(f, datasets.Image)]
            encoded = [n for n in IMAGE_COLUMNS if n in features]
            self._image = next(iter((*images, *encoded)), None)
            if self._image is None:
                raise DatasetError(
                    f"{self.spec} has no column of images; it has {', '.join(features) or 'none'}"
                )
            classes = [n for n, f in features.items() if isinstance(f, datasets.ClassLabel)]
            numbers = [n for n in LABEL_COLUMNS if n in features]
            self._label = next(iter((*classes, *numbers)), None)
            self._names: list[str] = list(features[classes[0]].names) if classes else []
            if images:
                stream = stream.cast_column(self._image, datasets.Image(decode=False))
            self._stream = stream
            known = (builder.info.splits or {}).get(split)
            self._total = known.num_examples if known else self._counted()
        if not self._total:
            raise DatasetError(f"{self.spec} holds no rows")
        self._rows: OrderedDict[int, dict[str, Any]] = OrderedDict()
        self._lock = threading.Lock()
        self._next, self._iterator = 0, iter(self._stream)
        self.items: Sequence[Item] = LazyItems(self._total, self._item)

    def __len__(self) -> int:
        return self._total

    def index_of(self, item_id: str) -> int:
        """Where ``SPLIT#ROW`` stands."""
        return int(item_id.rpartition("#")[2])

    def digest(self, index: int, digest_of: DigestOf) -> str:
        """The fingerprint and the row."""
        return f"{self.fingerprint(digest_of)}#{index}"

    def fingerprint(self, digest_of: DigestOf) -> str:
        """A digest of the split's files: by bytes where they are local, by address on the hub.

        An address on the hub holds the commit it belongs to.
        """
        total = hashlib.sha256(f"{self._split}\0".encode())
        for file in self._files:
            path = Path(file)
            what = f"{path.name}\0{digest_of(path)}" if path.is_file() else file
            total.update(f"{what}\n".encode())
        return total.hexdigest()

    def _item(self, index: int) -> Item:
        label = self._row(index).get(self._label) if self._label else None
        if isinstance(label, int) and 0 <= label < len(self._names):
            label = self._names[label]
        name = "" if label is None else str(label)
        return Item(f"{self._split}#{index}", imagenet_words().get(name, name))

    def encoded(self, index: int) -> bytes:
        """The bytes of image `index`; `UnreadableImageError` where there are none."""
        value = self._row(index)[str(self._image)]
        if isinstance(value, bytes):
            return value
        if not isinstance(value, dict) or not (value.get("bytes") or value.get("path")):
            raise UnreadableImageError("the row holds no image")
        if value.get("bytes"):
            return bytes(value["bytes"])
        import fsspec

        try:
            with fsspec.open(value["path"], "rb") as file:
                return bytes(file.read())
        except OSError as error:
            raise UnreadableImageError(str(error).splitlines()[0]) from error

    def _row(self, index: int) -> dict[str, Any]:
        if not 0 <= index < self._total:
            raise IndexError(index)
        with self._lock:
            if index in self._rows:
                return self._rows[index]
            with _explained(self.spec):
                if index < self._next:
                    self._next, self._iterator = index, iter(self._stream.skip(index))
                while self._next <= index:
                    row = next(self._iterator, None)
                    if row is None:
                        raise DatasetError(
                            f"{self.spec} ended after {self._next} of {self._total} rows"
                        )
                    self._rows[self._next] = row
                    self._next += 1
                    while len(self._rows) > _KEPT:
                        self._rows.popitem(last=False)
            return self._rows[index]

    def _counted(self) -> int:
        """Rows of a split whose size nobody wrote down: one pass over its cheapest column."""
        stream = self._stream.select_columns([self._label]) if self._label else self._stream
        return sum(1 for _ in stream)


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
    except (datasets.exceptions.DatasetsError, OSError, ValueError) as error:
        reason = (str(error).splitlines() or [""])[0]
        if "gated" in str(error).lower():
            raise DatasetError(
                f"{spec} is gated: accept its conditions on huggingface.co, then log in with "
                "huggingface-cli login"
            ) from error
        raise DatasetError(f"{spec} cannot be read: {reason}") from error
