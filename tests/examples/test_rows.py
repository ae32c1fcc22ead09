"""The reader of parquet files: what it reads and how often, what it holds, what it leaves out."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import fsspec
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from fsspec.implementations.local import LocalFileSystem

from atlas.errors import DatasetError
from atlas.examples import footer
from atlas.examples.decode import UnreadableImageError
from atlas.examples.encoded import Kept
from atlas.examples.rows import Rows

ROWS, GROUP, SIZE = 400, 50, 20_000


class Counted(LocalFileSystem):
    """A file system that is "on the network", and writes down what is read of it."""

    protocol = "counted"
    reads: tuple[list[tuple[int, int]], ...] = ([],)
    broken = False

    def _open(self, path, mode="rb", **_more):
        file = super()._open(path, mode)
        inner = file.f.read

        def read(size=-1):
            if Counted.broken:
                raise OSError(110, "the network is gone")
            start = file.f.tell()
            data = inner(size)
            Counted.reads[0].append((start, len(data)))
            return data

        file.read = read
        return file


@pytest.fixture
def counted():
    fsspec.register_implementation("counted", Counted, clobber=True)
    Counted.reads[0].clear()
    Counted.broken = False
    yield Counted.reads[0]
    Counted.broken = False


@pytest.fixture(scope="module")
def images() -> list[bytes]:
    rng = np.random.default_rng(4)
    return [rng.bytes(SIZE) for _ in range(ROWS)]


def keep(path, images, rows=GROUP, **more):
    values = [None if data is None else {"bytes": data, "path": None} for data in images]
    table = pyarrow.table({"image": values, "label": list(range(len(images)))})
    pyarrow.parquet.write_table(table, path, row_group_size=rows, **more)
    return path


def columns(_file, _names):
    return "image", "label"


def rows_of(*paths, protocol="") -> Rows:
    return Rows([f"{protocol}{path}" for path in paths], columns)


@pytest.fixture(params=["whole", "forward"])
def small(request, monkeypatch):
    """Row groups read whole, or in batches of a few rows."""
    if request.param == "forward":
        monkeypatch.setattr(footer, "WHOLE", 0)
        monkeypatch.setattr(footer, "BATCH_BYTES", 8 * SIZE)


def read(rows: Rows, index: int) -> bytes:
    return rows.image(index)["bytes"]


@pytest.mark.usefixtures("small")
def test_any_order_gives_the_same_rows(tmp_path, images):
    rows = rows_of(
        keep(tmp_path / "a", images[:130]),
        keep(tmp_path / "b", []),
        keep(tmp_path / "c", images[130:], dictionary_pagesize_limit=SIZE),
    )
    assert len(rows) == ROWS
    backwards, mixed = range(ROWS - 1, -1, -7), random.Random(1).sample(range(ROWS), 60)
    for index in (*range(ROWS), *backwards, *mixed):
        assert read(rows, index) == images[index]
        assert rows.label(index) == (index if index < 130 else index - 130)
    assert [rows.place(i) for i in (0, 129, 130, 399)] == [(0, 0), (0, 129), (2, 0), (2, 269)]
    for index in (-1, ROWS):
        with pytest.raises(IndexError):
            rows.image(index)


@pytest.mark.usefixtures("small")
def test_four_threads_read_what_one_does(tmp_path, images):
    rows = rows_of(keep(tmp_path / "a", images[:200]), keep(tmp_path / "b", images[200:]))
    order = [i + j for i in range(0, ROWS, 20) for j in random.Random(i).sample(range(20), 20)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: (read(rows, i), rows.label(i) % 200), order))
    assert found == [(images[i], i % 200) for i in order]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("every", [1, 7, 60], ids=lambda every: f"every {every}th")
def test_reading_in_order_reads_each_byte_once(tmp_path, images, counted, every):
    path = keep(tmp_path / "a", images, rows=ROWS // 2)
    rows = rows_of(path, protocol="counted://")
    for index in range(0, ROWS, every):
        assert read(rows, index) == images[index]
        assert rows.label(index) == index
    footers = 4 * 65536
    assert sum(size for _, size in counted) < path.stat().st_size + footers


def start_of(path, group: int) -> int:
    """Where a row group begins in its file."""
    column = pyarrow.parquet.ParquetFile(path).metadata.row_group(group).column(0)
    return min(column.dictionary_page_offset or column.data_page_offset, column.data_page_offset)


def test_a_pass_that_resumes_reads_nothing_before_its_place(tmp_path, images, counted):
    path = keep(tmp_path / "a", images)
    rows = rows_of(path, path, protocol="counted://")
    counted.clear()
    assert read(rows, 310) == images[310]
    assert min(offset for offset, _ in counted) == start_of(path, 6)
    assert sum(size for _, size in counted) < 1.1 * GROUP * SIZE + 65536


def test_reading_in_order_fetches_what_comes_next(tmp_path, images, counted):
    path = keep(tmp_path / "a", images)
    rows = rows_of(path, protocol="counted://")
    fetched = []
    for index in (0, 60, 110):
        read(rows, index)
        rows._ahead.submit(int).result()
        fetched.append([start_of(path, g) in dict(counted) for g in range(5)])
    assert fetched == [
        [True, False, False, False, False],
        [True, True, False, False, False],
        [True, True, True, True, False],
    ]


def test_labels_are_read_alone_and_once(tmp_path, images, counted):
    rows = rows_of(keep(tmp_path / "a", images), protocol="counted://")
    rows.label(0)
    counted.clear()
    assert [rows.label(i) for i in range(ROWS)] == list(range(ROWS))
    assert sum(size for _, size in counted) < SIZE
    counted.clear()
    assert [rows.label(i) for i in range(ROWS)] == list(range(ROWS))
    assert not counted


def test_what_is_kept_has_bounds():
    kept: Kept[int, str] = Kept(3, 100, least=2)
    for key in range(5):
        kept.put(key, str(key), 10)
    assert [key for key in range(5) if key in kept] == [2, 3, 4]
    assert kept.get(2) == "2"
    kept.put(5, "5", 85)
    assert [key for key in range(6) if key in kept] == [2, 5]
    kept.put(6, "6", 1000)
    assert [key for key in range(7) if key in kept] == [5, 6]
    kept.drop(5)
    kept.put(7, "7", 1)
    kept.put(8, "8", 1)
    assert [key for key in range(9) if key in kept] == [7, 8]
    assert kept.get(6) is None


def test_large_row_groups_are_never_held_whole(tmp_path, images, monkeypatch):
    monkeypatch.setattr(footer, "WHOLE", 0)
    monkeypatch.setattr(footer, "BATCH_BYTES", 8 * SIZE)
    rows = rows_of(keep(tmp_path / "a", images, rows=ROWS))
    sizes = []
    for index in range(0, ROWS, 5):
        read(rows, index)
        sizes.append(max(len(table) for table, _ in rows._tables._entries.values()))
    assert max(sizes) <= 8


def test_a_row_group_that_would_unpack_to_gigabytes_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(footer, "_BOMB_BYTES", 1 << 20)
    path = tmp_path / "a"
    table = pyarrow.table({"image": [bytes(100_000)] * 40, "label": [1] * 40})
    pyarrow.parquet.write_table(table, path, compression="zstd", use_dictionary=False)
    assert path.stat().st_size < 10_000
    monkeypatch.setattr(footer.Group, "step", property(lambda _: pytest.fail("it was read")))
    rows = rows_of(path)
    monkeypatch.undo()
    with pytest.raises(UnreadableImageError, match=r"MB of rows would unpack to 4 MB"):
        rows.image(3)
    assert rows.label(3) == 1


def test_an_image_repeated_a_hundred_thousand_times_is_held_once(tmp_path):
    """What a footer says of it is harmless: 3 MB, of 300 GB."""
    image = np.random.default_rng(1).bytes(3_000_000)
    index = pyarrow.array(np.zeros(100_000, np.int32))
    values = pyarrow.DictionaryArray.from_arrays(index, pyarrow.array([image]))
    pyarrow.parquet.write_table(
        pyarrow.table({"image": values}),
        tmp_path / "a",
        row_group_size=100_000,
        dictionary_pagesize_limit=1 << 30,
        store_schema=False,
    )
    before = pyarrow.total_allocated_bytes()
    rows = Rows([str(tmp_path / "a")], lambda *_: ("image", None))
    assert rows.image(99_999) == image
    assert pyarrow.total_allocated_bytes() - before < 20_000_000


@pytest.mark.usefixtures("small")
def test_rows_of_a_damaged_group_are_left_out_and_no_others(tmp_path, images):
    path = keep(tmp_path / "a", images)
    column = pyarrow.parquet.ParquetFile(path).metadata.row_group(2).column(0)
    data = bytearray(path.read_bytes())
    begin = column.dictionary_page_offset or column.data_page_offset
    data[begin : begin + 64] = b"\xff" * 64
    path.write_bytes(data)
    rows = rows_of(path)
    for index in range(ROWS):
        if 100 <= index < 150:
            with pytest.raises(UnreadableImageError, match="the file is damaged") as caught:
                rows.image(index)
            assert "\n" not in str(caught.value)
        else:
            assert read(rows, index) == images[index]
        assert rows.label(index) == index


def test_nulls_and_labels_of_other_kinds_are_read(tmp_path):
    path = tmp_path / "a"
    table = pyarrow.table({"image": [b"a", None, b"c"], "label": ["owl", None, "café"]})
    pyarrow.parquet.write_table(table, path)
    rows = rows_of(path)
    assert [rows.image(i) for i in range(3)] == [b"a", None, b"c"]
    assert [rows.label(i) for i in range(3)] == ["owl", None, "café"]


@pytest.mark.usefixtures("counted")
def test_a_file_out_of_reach_is_no_damaged_one(tmp_path, images):
    path = keep(tmp_path / "a", images)
    rows = rows_of(path, protocol="counted://")
    read(rows, 0)
    Counted.broken = True
    for wrong in (lambda: rows.image(200), lambda: rows.label(200)):
        with pytest.raises(DatasetError, match=r"a cannot be read: \[Errno 110\] the network is"):
            wrong()
    Counted.broken = False
    assert read(rows, 200) == images[200]
    assert rows.label(200) == 200


def test_what_is_no_parquet_file_is_named(tmp_path, images):
    good = keep(tmp_path / "good", images)
    cut = tmp_path / "cut"
    cut.write_bytes(good.read_bytes()[:-5000])
    (tmp_path / "empty").touch()
    twice = pyarrow.Table.from_arrays([pyarrow.array([b"a"])] * 2, ["image", "image"])
    pyarrow.parquet.write_table(twice, tmp_path / "twice")
    for name, message in (
        ("cut", "cut is no parquet file"),
        ("empty", "empty is no parquet file"),
        ("absent", "absent cannot be read"),
        ("twice", "twice has several columns called 'image'"),
    ):
        with pytest.raises(DatasetError, match=message) as caught:
            rows_of(good, tmp_path / name)
        assert "\n" not in str(caught.value)
