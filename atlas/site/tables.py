"""The site's numbers as tables, for who would rather count than look.

Parquet has all of them; what is small enough for a spreadsheet is CSV as well. Rows are in the
order of the manifest. A value that is not there is null.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.site.catalogue import Catalogue, ChannelRecord, CropRecord
from atlas.site.sheets import SheetPlan, Tile, ordered_examples
from atlas.site.text import slug

if TYPE_CHECKING:
    import pyarrow

FOLDER = "tables"
AS_CSV = ("channels", "renders")
BATCH = 5_000
"""Rows of a table that are there at once."""
TYPES = {
    "string": (
        "layer", "branch", "page", "kind", "reason", "recipe_sha256", "sheet", "side", "source",
        "label",
    ),
    "int64": (
        "index", "images", "number", "steps", "size", "seed", "rank", "y", "x",
        "x0", "y0", "x1", "y1", "tile_x", "tile_y", "tile_size",
    ),
    "bool_": ("started", "finite"),
}  # fmt: skip
"""Columns by their type; all others are numbers (float64)."""

Row = dict[str, object]


def table_paths(catalogue: Catalogue) -> list[str]:
    """The files that `table_files` will make."""
    names = ["channels", "renders"]
    names += ["examples"] if any(channel.examples for channel in catalogue.channels) else []
    names += ["classes"] if catalogue.labels else []
    paths = [f"{FOLDER}/{name}.parquet" for name in names]
    return sorted([*paths, *(f"{FOLDER}/{name}.csv" for name in AS_CSV)])


def table_files(catalogue: Catalogue, plan: SheetPlan) -> Iterator[tuple[str, bytes]]:
    """The tables, as (path relative to the site, bytes)."""
    paths = table_paths(catalogue)
    rows = {
        "channels": (_channel(channel) for channel in catalogue.channels),
        "renders": chain.from_iterable(_renders(c, plan) for c in catalogue.channels),
        "examples": chain.from_iterable(_examples(c, plan) for c in catalogue.channels),
        "classes": _classes(catalogue),
    }
    measured = sorted({name for channel in catalogue.channels for name in channel.stats})
    for name in rows:
        if f"{FOLDER}/{name}.parquet" in paths:
            more = measured if name == "channels" else []
            yield from _files(name, rows[name], more)


def _channel(channel: ChannelRecord) -> Row:
    return {
        "layer": channel.layer,
        "index": channel.index,
        "branch": channel.branch,
        "page": f"{slug(channel.layer)}/{channel.index}.html",
        **{name: _finite(value) for name, value in sorted(channel.stats.items())},
    }


def _renders(channel: ChannelRecord, plan: SheetPlan) -> Iterator[Row]:
    for record, tile in zip(channel.renders, plan.renders[channel.name], strict=True):
        yield {
            "layer": channel.layer,
            "index": channel.index,
            "kind": record.kind,
            "number": record.number,
            "activation": _finite(record.activation),
            "robust_activation": _finite(record.robust),
            "share_of_dataset_maximum": _finite(record.share),
            "saturation": _finite(record.saturation),
            "high_frequency": _finite(record.high_frequency),
            "diversity": _finite(record.diversity),
            "started": record.started,
            "finite": record.finite,
            "reason": record.reason,
            "steps": record.steps,
            "size": record.size,
            "seed": record.seed,
            "recipe_sha256": record.recipe_sha256,
            **_place(tile),
        }


def _examples(channel: ChannelRecord, plan: SheetPlan) -> Iterator[Row]:
    """Both sides, then the spectrum, whose `side` is ``band 0`` (lowest) to ``band 9``."""
    examples = ordered_examples(channel)
    for record, tile in zip(examples, plan.examples[channel.name], strict=True):
        yield _crop(channel, record.side, record.rank, record, tile)
    for number, band in enumerate(channel.spectrum):
        tiles = plan.spectrum[channel.name][number]
        for rank, (crop, tile) in enumerate(zip(band.examples, tiles, strict=True)):
            yield _crop(channel, f"band {number}", rank, crop, tile)


def _crop(channel: ChannelRecord, side: str, rank: int, crop: CropRecord, tile: Tile) -> Row:
    return {
        "layer": channel.layer,
        "index": channel.index,
        "side": side,
        "rank": rank,
        "source": crop.source.encode("utf-8", "replace").decode(),
        "label": crop.label.encode("utf-8", "replace").decode(),
        "activation": _finite(crop.activation),
        **dict(zip(("y", "x"), crop.position, strict=True)),
        **dict(zip(("x0", "y0", "x1", "y1"), crop.crop, strict=True)),
        **_place(tile),
    }


def _classes(catalogue: Catalogue) -> Iterator[Row]:
    for label in catalogue.labels:
        for rank, member in enumerate(label.members):
            yield {
                "label": label.label.encode("utf-8", "replace").decode(),
                "images": label.count,
                "rank": rank,
                "layer": member.layer,
                "index": member.index,
                "mean": _finite(member.mean),
                "selectivity": _finite(member.selectivity),
            }


def _place(tile: Tile) -> Row:
    x, y, size, _ = tile.box
    return {"sheet": tile.sheet, "tile_x": x, "tile_y": y, "tile_size": size}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _files(name: str, rows: Iterator[Row], more: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """A table as its files, made in batches: neither rows nor columns are ever there as a whole.

    Args:
        more: columns that a first row may lack; all others it has.
    """
    import pyarrow
    import pyarrow.csv
    import pyarrow.parquet

    first = next(rows, None)
    names = [] if first is None else list(dict.fromkeys([*first, *more]))
    schema = pyarrow.schema([(column, getattr(pyarrow, _type(column))()) for column in names])
    parquet, comma_separated = io.BytesIO(), io.BytesIO()
    with ExitStack() as stack:
        writers = [pyarrow.parquet.ParquetWriter(parquet, schema, compression="zstd")]
        if name in AS_CSV:
            writers.append(pyarrow.csv.CSVWriter(comma_separated, schema))
        for writer in writers:
            stack.enter_context(writer)
        for batch in _batches(chain([] if first is None else [first], rows), BATCH):
            columns = [_column([row.get(f.name) for row in batch], f.type) for f in schema]
            table = pyarrow.Table.from_arrays(columns, schema=schema)
            for writer in writers:
                writer.write_table(table)
    pyarrow.default_memory_pool().release_unused()
    yield f"{FOLDER}/{name}.parquet", parquet.getvalue()
    if name in AS_CSV:
        yield f"{FOLDER}/{name}.csv", comma_separated.getvalue()


def _column(values: Sequence[Any], type_: pyarrow.DataType) -> pyarrow.Array:
    """What `pyarrow.array` makes, which imports pandas to do so: 50 MB and half a second."""
    import pyarrow

    def bits(flags: Sequence[bool]) -> pyarrow.Buffer:
        return pyarrow.py_buffer(np.packbits(np.array(flags, bool), bitorder="little").tobytes())

    buffers = [bits([value is not None for value in values])]
    if type_ == pyarrow.string():
        texts = [(value or "").encode() for value in values]
        ends = np.cumsum([0, *map(len, texts)], dtype=np.int32)
        buffers += [pyarrow.py_buffer(ends.tobytes()), pyarrow.py_buffer(b"".join(texts))]
    elif type_ == pyarrow.bool_():
        buffers.append(bits([bool(value) for value in values]))
    else:
        numbers = np.array([value or 0 for value in values], type_.to_pandas_dtype())
        buffers.append(pyarrow.py_buffer(numbers.tobytes()))
    return pyarrow.Array.from_buffers(type_, len(values), buffers)


def _type(column: str) -> str:
    """What pyarrow calls the type of a column."""
    return next((type_ for type_, names in TYPES.items() if column in names), "float64")


def _batches(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    rows = iter(rows)
    while batch := list(islice(rows, size)):
        yield batch
