"""What headers of pages say, against what Arrow's footers say of honest files."""

from __future__ import annotations

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from atlas.examples.pages import _header, unpacked_bytes


def group_of(path, number=0):
    return pyarrow.parquet.ParquetFile(path).metadata.row_group(number)


def table(rows):
    rng = np.random.default_rng(rows)
    images = [rng.bytes(int(rng.integers(0, 3000))) for _ in range(rows)]
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    values = [
        None if i % 9 == 4 else {"bytes": b, "path": f"{i}.png"} for i, b in enumerate(images)
    ]
    return pyarrow.table(
        {
            "image": pyarrow.array(values, kind),
            "label": pyarrow.array([i % 3 for i in range(rows)]),
            "words": pyarrow.array([["a" * (i % 50)] * (i % 4) for i in range(rows)]),
        }
    )


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_pages_of_honest_files_are_what_footers_say_but_for_headers(
    tmp_path, version, compression, dictionary
):
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(
        table(700), path, data_page_version=version, compression=compression, row_group_size=300,
        use_dictionary=dictionary, data_page_size=20_000, write_statistics=True,
    )  # fmt: skip
    for number in range(3):
        group = group_of(path, number)
        for name in ("image", "label", "words"):
            columns = [group.column(i) for i in range(group.num_columns)]
            said = sum(
                c.total_uncompressed_size for c in columns if c.path_in_schema.startswith(name)
            )
            pages = unpacked_bytes(path, group, (name,))
            assert 0.8 * said - 400 < pages < said


def test_values_are_counted_to_the_byte(tmp_path):
    """PLAIN, no nulls, one page: four bytes of length before each value."""
    path = tmp_path / "a.parquet"
    schema = pyarrow.schema([pyarrow.field("image", pyarrow.binary(), nullable=False)])
    values = pyarrow.table({"image": [b"x" * 100] * 50}, schema)
    pyarrow.parquet.write_table(values, path, use_dictionary=False, compression="gzip")
    assert unpacked_bytes(path, group_of(path), ("image",)) == 50 * 104
    assert unpacked_bytes(path, group_of(path), ("label",)) == 0


def test_what_is_no_header_ends_the_count(tmp_path):
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(table(300), path, use_dictionary=False)
    group = group_of(path)
    whole = unpacked_bytes(path, group, ("image", "label", "words"))
    data = bytearray(path.read_bytes())
    start = group.column(0).data_page_offset
    data[start : start + 40] = b"\xff" * 40
    path.write_bytes(data)
    assert 0 < unpacked_bytes(path, group, ("image", "label", "words")) < whole


@pytest.mark.parametrize(
    "data",
    [b"", b"\x15", b"\x15\xff" * 3, b"\x1c" * 40, b"\x19\xfc\xff\xff\xff\xff\x0f", b"\x1d\x00",
     b"\x18\xff\xff\xff\xff\xff\x0f", b"\x15" + b"\xff" * 20, b"\x19\xf1\xff\xff\xff\xff\xff\x0f"],
)  # fmt: skip
def test_nonsense_is_none_and_takes_no_time(tmp_path, data):
    path = tmp_path / "a"
    path.write_bytes(data)
    with path.open("rb") as file:
        assert _header(file, 0) is None


def test_any_bytes_are_a_header_or_none(tmp_path):
    rng = np.random.default_rng(4)
    path = tmp_path / "a"
    path.write_bytes(rng.bytes(20_000))
    with path.open("rb") as file:
        found = [_header(file, place) for place in range(20_000)]
    assert any(one is None for one in found)
    assert all(one is None or 0 < one[0] <= 20_000 for one in found)
