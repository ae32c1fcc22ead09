"""What the pages of a parquet file unpack to, by their own headers.

A footer may say less than is true. Each page has a header that Arrow goes by when it makes room: a
struct in Thrift's compact protocol (github.com/apache/thrift, doc/specs/thrift-compact-protocol.md;
its fields are those of `PageHeader` in github.com/apache/parquet-format).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

_UNPACKED, _STORED = 2, 3
"""Fields of a page header: its page's bytes."""

_LONGEST = 16 << 20
"""Bytes of the longest header that Arrow reads."""

Fields = dict[int, int]


def unpacked_bytes(file: Path, row_group: Any, names: tuple[str, ...]) -> int:
    """What the pages of some columns of a row group unpack to, in bytes.

    Of a column those up to the first whose header cannot be read: Arrow stops there as well.

    Args:
        row_group: of the file's `pyarrow.parquet.FileMetaData`.
        names: of top-level columns.
    """
    total = 0
    with file.open("rb") as opened:
        for number in range(row_group.num_columns):
            column = row_group.column(number)
            if column.path_in_schema.partition(".")[0] not in names:
                continue
            place = column.data_page_offset
            if column.has_dictionary_page:
                place = min(place, column.dictionary_page_offset or place)
            end = place + column.total_compressed_size
            while place < end:
                header = _header(opened, place)
                if header is None:
                    break
                length, fields = header
                stored, unpacked = fields.get(_STORED, -1), fields.get(_UNPACKED, -1)
                if stored < 0 or unpacked < 0:
                    break
                total += unpacked
                place += length + stored
    return total


def _header(opened: Any, place: int) -> tuple[int, Fields] | None:
    """The length of the header that begins at a place, and its whole numbers by field."""
    size = 1 << 10
    while size <= _LONGEST:
        opened.seek(place)
        data = opened.read(size)
        try:
            length, fields = _struct(data, 0, 0)
            return length, fields
        except IndexError:  # it goes on
            if len(data) < size:
                return None
            size *= 16
        except ValueError:
            return None
    return None


_DEEPEST = 8
"""Structs inside of each other; headers have three."""


def _struct(data: bytes, at: int, depth: int) -> tuple[int, Fields]:
    """Where a struct ends, and its whole numbers by field."""
    if depth > _DEEPEST:
        raise ValueError("structs inside of each other")
    fields: Fields = {}
    number = 0
    while (head := data[at]) != 0:
        at, kind = at + 1, head & 15
        if head >> 4:
            number += head >> 4
        else:
            number, at = _integer(data, at)
        if kind in (4, 5, 6):
            fields[number], at = _integer(data, at)
        elif kind not in (1, 2):  # booleans are in their heads
            at = _skipped(data, at, kind, depth)
    return at + 1, fields


def _skipped(data: bytes, at: int, kind: int, depth: int) -> int:
    """Where a value of some kind ends."""
    if kind in (1, 2, 3):
        return at + 1
    if kind in (4, 5, 6):
        return _integer(data, at)[1]
    if kind == 7:
        return at + 8
    if kind == 8:
        length, at = _varint(data, at)
        return at + length
    if kind in (9, 10):
        count, inner = data[at] >> 4, data[at] & 15
        at += 1
        if count == 15:
            count, at = _varint(data, at)
        for _ in range(count):
            at = _skipped(data, at, inner, depth + 1)
            data[at - 1]  # an IndexError behind the end, before a billion rounds
        return at
    if kind == 12:
        return _struct(data, at, depth + 1)[0]
    raise ValueError(f"kind {kind} is in no header")


def _integer(data: bytes, at: int) -> tuple[int, int]:
    """A number with a sign (zigzag), and where it ends."""
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if not data[at - 1] & 128:
            return value, at
        if shift > 63:
            raise ValueError("a number without end")
