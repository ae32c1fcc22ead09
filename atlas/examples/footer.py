"""What a parquet file says of itself before anything is read, and how it is opened and read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from atlas.errors import DatasetError
from atlas.examples.decode import MAX_BYTES

WHOLE = 32 << 20
"""Row groups of so many bytes of images are read whole; larger ones in batches."""

_MOST_ROWS = 1 << 20
"""More rows than this are not held at once, however little they say they hold."""

BATCH_BYTES, _BATCH_ROWS = 8 << 20, 64
"""What a batch of a larger row group holds: about so many bytes, at most so many rows."""

_LABELS = 16 << 20
"""Bytes of labels of one row group: more are no names of classes."""

_BOMB_BYTES, _BOMB_RATIO = 256 << 20, 100
"""Row groups that unpack to more than so many bytes, and so many times, are no photographs."""

_LONGEST = 400
"""Letters of what others say that are passed on."""

Columns = tuple[str, str | None]
"""The column of images and, where there is one, that of labels."""


@dataclass(frozen=True, slots=True)
class Group:
    """What a footer says of a row group: rows; bytes of its images, stored and unpacked; bytes of
    its labels, unpacked."""

    rows: int
    stored: int
    unpacked: int
    labels: int

    @property
    def step(self) -> int:
        """Rows that are read together."""
        if self.unpacked <= WHOLE and self.rows <= _MOST_ROWS:
            return self.rows
        return min(max(BATCH_BYTES * self.rows // max(self.unpacked, 1), 1), _BATCH_ROWS)

    @property
    def labelled(self) -> bool:
        """Whether its labels are no larger than labels are."""
        return self.labels <= _LABELS and self.rows <= _MOST_ROWS

    @property
    def fault(self) -> str | None:
        """Why it is not read at all: it would take the machine's memory."""
        most = min(self.stored * _BOMB_RATIO, self.rows * MAX_BYTES)
        if self.unpacked <= max(most, _BOMB_BYTES):
            return None
        return f"{self.stored / 1e6:.3g} MB of rows would unpack to {self.unpacked / 1e6:.0f} MB"


@dataclass(frozen=True)
class Footer:
    """What a file's footer says: the columns to read, those to read as dictionaries, the schema's
    metadata, the row groups."""

    columns: Columns
    dictionaries: tuple[str, ...]
    metadata: dict[bytes, bytes]
    groups: tuple[Group, ...]


class DamagedError(Exception):
    """Bytes that are not what they should be."""


def read_footer(file: str, choose: Callable[[str, list[str]], Columns]) -> Footer:
    """The footer of a file, of the columns that `choose` takes.

    Raises:
        DatasetError: it cannot be read, or is no parquet file.
    """
    try:
        with reading(file):
            handle = opened(file)
            about, schema = handle.metadata, handle.schema_arrow
            paths = [handle.schema.column(i).path for i in range(about.num_columns)]
    except DamagedError as error:
        raise DatasetError(f"{file} is no parquet file: {error}") from error
    columns = choose(file, list(schema.names))
    for name in columns:
        if schema.names.count(name) > 1:
            raise DatasetError(f"{file} has several columns called {name!r}")
    of = [
        [i for i, path in enumerate(paths) if name and f"{path}.".startswith(f"{name}.")]
        for name in columns
    ]
    groups = []
    for number in range(about.num_row_groups):
        group = about.row_group(number)
        images, labels = ([group.column(i) for i in places] for places in of)
        if not 0 <= group.num_rows < 1 << 40:
            raise DatasetError(f"{file} is no parquet file: {group.num_rows} rows in a group")
        groups.append(
            Group(
                group.num_rows,
                sum(column.total_compressed_size for column in images),
                sum(column.total_uncompressed_size for column in images),
                sum(column.total_uncompressed_size for column in labels),
            )
        )
    leaves = tuple(paths[i] for places in of for i in places)
    return Footer(columns, leaves, schema.metadata or {}, tuple(groups))


def remote(file: str) -> bool:
    """Whether a file is had over a network."""
    return "://" in file


def opened(file: str, **more: Any) -> Any:
    """A `ParquetFile`, local or at any address that `fsspec` knows."""
    import pyarrow.parquet

    if not remote(file):
        return pyarrow.parquet.ParquetFile(file, **more)
    system = _system(file.partition("://")[0])
    # What is read is asked for exactly: reading ahead would fetch bytes twice.
    return pyarrow.parquet.ParquetFile(system.open(file, "rb", cache_type="none"), **more)


@cache
def _system(protocol: str) -> Any:
    """The file system of an address, logged in as `datasets` is.

    `fsspec` would make one for each thread, and each of them list the repository anew.
    """
    import fsspec

    return fsspec.filesystem(protocol)


@contextmanager
def reading(file: str) -> Iterator[None]:
    """Tells damaged bytes, whose rows a pass goes on without, from files out of reach."""
    import pyarrow

    try:
        yield
    except Exception as error:  # file systems raise whatever their clients do
        reason = one_line(error)
        damaged = type(error) is OSError and error.errno is None  # how Arrow says so, too
        if damaged or isinstance(error, pyarrow.ArrowException):
            raise DamagedError(reason) from error
        raise DatasetError(f"{file} cannot be read: {reason}") from error


def one_line(error: BaseException) -> str:
    """What an error says, in one line and not at length."""
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"
