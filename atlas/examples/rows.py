"""Images and labels of parquet files by row, read so that memory stays bounded.

Small row groups are read whole, larger ones in batches going forward: whoever asks in order, for
all rows or for some, reads every byte about once. What footers say decides before anything is read.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from atlas.examples.decode import UnreadableImageError
from atlas.examples.encoded import Kept
from atlas.examples.footer import (
    BATCH_BYTES,
    WHOLE,
    Columns,
    DamagedError,
    Group,
    opened,
    read_footer,
    reading,
    remote,
)
from atlas.examples.pages import unpacked_bytes

_ROOM = 4 * WHOLE
"""Bytes of images held: those that the threads of a pass work on are never further apart."""

_LABEL_ROOM = 64 << 20
"""Bytes of labels held: class numbers of 8 million rows."""

_OPEN, _FOOTERS_AT_ONCE = 4, 16
"""Files held open (one on the network keeps what it read last), and opened at the same time."""


class Rows:
    """Images and labels of parquet files, local or at any address `fsspec` knows.

    Any number of threads may ask: one at a time reads a file, meanwhile the others go on with what
    has been read.

    Args:
        choose: the columns to read, given a file's name and the names of its columns.

    Raises:
        DatasetError: a file that cannot be read or is no parquet file.
    """

    def __init__(self, files: Sequence[str], choose: Callable[[str, list[str]], Columns]) -> None:
        self.files = tuple(files)
        read = partial(read_footer, choose=choose)
        first = [read(file) for file in self.files[:1]]  # the others find its repository listed
        with ThreadPoolExecutor(_FOOTERS_AT_ONCE) as pool:
            self.footers = (*first, *pool.map(read, self.files[1:]))
        self.starts: list[int] = []  # of files
        self._groups: list[tuple[int, int, Group]] = []  # file, number in it
        self._group_starts: list[int] = []
        self._lost: dict[int, tuple[int, str]] = {}  # group: from which row on, and why
        self._verified: set[int] = set()  # groups
        self._total = 0
        for number, footer in enumerate(self.footers):
            self.starts.append(self._total)
            for inside, group in enumerate(footer.groups):
                if group.fault is not None:
                    self._lost[len(self._groups)] = 0, group.fault
                self._groups.append((number, inside, group))
                self._group_starts.append(self._total)
                self._total += group.rows
        self._locks = [threading.Lock() for _ in self.files]
        self._handles: Kept[tuple[int, bool], Any] = Kept(_OPEN, 0)
        self._tables: Kept[tuple[int, int], Any] = Kept(256, _ROOM, least=2)
        self._labels: Kept[int, Any] = Kept(1 << 20, _LABEL_ROOM)
        self._cursors: Kept[int, tuple[Iterator[Any], int]] = Kept(2, 0)  # and its next batch
        self._latest, self._in_order = -2, 0
        self._ahead = ThreadPoolExecutor(1)

    def __len__(self) -> int:
        return self._total

    def place(self, index: int) -> tuple[int, int]:
        """File and row in the file."""
        return _find(self.starts, index, self._total)

    def image(self, index: int) -> Any:
        """The value in the column of images.

        Raises:
            UnreadableImageError: the file is damaged there, or unpacks to absurdly much.
            DatasetError: the file cannot be read now.
        """
        group, row = _find(self._group_starts, index, self._total)
        self._read_ahead(group)
        number, _, about = self._groups[group]
        part, row = divmod(row, about.step)
        table = self._table(group, part)
        if row >= len(table):
            raise UnreadableImageError("the file is damaged: rows are missing")
        try:
            return table.column(self.footers[number].columns[0])[row].as_py()
        except ValueError as error:  # text that is none
            raise UnreadableImageError("the row is damaged") from error

    def label(self, index: int) -> Any:
        """The value in the column of labels, which is read alone; None where there is none."""
        group, row = _find(self._group_starts, index, self._total)
        number, inside, about = self._groups[group]
        name = self.footers[number].columns[1]
        if name is None or not about.labelled:
            return None
        labels = self._labels.get(group)
        if labels is None:
            labels = ()  # of a damaged column
            wrong = suppress(DamagedError, UnreadableImageError)
            with self._locks[number], wrong, reading(self.files[number]):
                self._verify(group)
                table = self._handle(number).read_row_group(inside, [name], use_threads=False)
                labels = table.column(name)
            self._keep_labels(group, labels)
        if row >= len(labels):
            return None
        try:
            return labels[row].as_py()
        except ValueError:  # text that is none
            return None

    def _keep_labels(self, group: int, labels: Any) -> None:
        self._labels.put(group, labels, getattr(labels, "nbytes", 0))

    def _read_ahead(self, group: int) -> None:
        """Fetch the next row group of a reader that goes in order, where fetching takes time."""
        if group == self._latest:
            return
        self._in_order = self._in_order + 1 if group == self._latest + 1 else 0
        self._latest = group
        if self._in_order < 2 or group + 1 == len(self._groups):
            return
        number, _, about = self._groups[group + 1]
        if remote(self.files[number]) and about.step == about.rows:
            self._ahead.submit(self._table, group + 1, 0)  # whatever fails is met again, and told

    def _table(self, group: int, part: int) -> Any:
        """A group's rows from its ``part × step``-th on."""
        table = self._tables.get((group, part))
        if table is None:
            number, _, about = self._groups[group]
            with self._locks[number]:
                table = self._tables.get((group, part))
                if table is None:
                    start, reason = self._lost.get(group, (about.rows, ""))
                    if part * about.step >= start:
                        raise UnreadableImageError(reason)
                    self._verify(group)
                    read = self._whole if about.step == about.rows else self._forward
                    table = read(group, part)
        return table

    def _verify(self, group: int) -> None:
        """A footer may say less than its pages do, which would be believed when they are read.

        Of files on a network only footers are asked: headers of pages are all over the file.

        Raises:
            UnreadableImageError: they would unpack to absurdly much.
        """
        number, inside, about = self._groups[group]
        file = self.files[number]
        if group in self._verified or remote(file):
            return
        self._verified.add(group)
        names = tuple(name for name in self.footers[number].columns if name is not None)
        with reading(file):
            row_group = self._handle(number).metadata.row_group(inside)
            unpacked = unpacked_bytes(Path(file), row_group, names)
        fault = replace(about, unpacked=unpacked).fault
        if fault is not None:
            self._lose(group, 0, fault)

    def _whole(self, group: int, part: int) -> Any:
        number, inside, about = self._groups[group]
        image, label = self.footers[number].columns
        names = [image] if label is None or not about.labelled else [image, label]
        try:
            with reading(self.files[number]):
                table = self._handle(number).read_row_group(inside, names, use_threads=False)
        except DamagedError as error:
            self._lose(group, 0, str(error))
        if len(names) == 2:
            self._keep_labels(group, table.column(label))
        table = table.select([image])
        self._tables.put((group, part), table, table.nbytes)
        return table

    def _forward(self, group: int, part: int) -> Any:
        """Go on to a batch of a large row group, or start over where it has been passed."""
        number, inside, about = self._groups[group]
        batches, following = self._cursors.get(group) or (None, 0)
        if batches is None or following > part:
            columns, following = [self.footers[number].columns[0]], 0
            with reading(self.files[number]):
                handle = self._handle(number, forward=True)
            batches = handle.iter_batches(about.step, [inside], columns, use_threads=False)
        self._cursors.drop(group)
        while following <= part:
            try:
                with reading(self.files[number]):
                    table = next(batches, None)
            except DamagedError as error:
                self._lose(group, following * about.step, str(error))
            if table is None:
                self._lose(group, following * about.step, "rows are missing")
            if len(table) < min(about.step, about.rows - following * about.step):
                self._lost[group] = (following + 1) * about.step, "the file is damaged: odd batches"
            self._tables.put((group, following), table, table.nbytes)
            following += 1
        self._cursors.put(group, (batches, following))
        return table

    def _lose(self, group: int, row: int, reason: str) -> NoReturn:
        self._lost[group] = row, f"the file is damaged: {reason}"
        raise UnreadableImageError(self._lost[group][1])

    def _handle(self, number: int, forward: bool = False) -> Any:
        """A file, open: to read row groups whole, or to go forward page by page."""
        handle = self._handles.get((number, forward))
        if handle is None:
            more: dict[str, Any] = {"buffer_size": BATCH_BYTES}
            if not forward:
                # An image that stands there a million times is held once.
                more = {"read_dictionary": list(self.footers[number].dictionaries)}
                more["pre_buffer"] = remote(self.files[number])  # one request for all columns
            handle = opened(self.files[number], **more)
            self._handles.put((number, forward), handle)
        return handle


def _find(starts: Sequence[int], index: int, total: int) -> tuple[int, int]:
    """The last of `starts` up to `index`, and how far behind it."""
    if not 0 <= index < total:
        raise IndexError(index)
    number = bisect_right(starts, index) - 1
    return number, index - starts[number]
