"""``parquet:``: against pyarrow's own reading, in Hugging Face's layout and in plainer ones."""

from __future__ import annotations

import io
import json

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from atlas.errors import DatasetError
from atlas.examples.decode import UnreadableImageError
from atlas.examples.sources import open_source
from tests.conftest import SHARED, make_photo

NAMES = ["n01440764", "zebra"]


def encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def write(path, pictures, column="image", struct=True, names=NAMES, rows=3):
    """A parquet file of pictures whose labels alternate, a few rows to a group."""
    values = [{"bytes": p, "path": None} if struct else p for p in pictures]
    labels = [i % 2 for i in range(len(pictures))]
    table = pyarrow.table({column: values, "label": labels})
    if names is not None:
        features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
        about = {"huggingface": json.dumps({"info": {"features": features}})}
        table = table.replace_schema_metadata(about)
    path.parent.mkdir(exist_ok=True, parents=True)
    pyarrow.parquet.write_table(table, path, row_group_size=rows)


@pytest.fixture
def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(2)
    return [make_photo(rng, 40 + i, 30) for i in range(11)]


def test_images_come_in_order_of_files_and_rows(tmp_path, pictures):
    data = [encoded(p) for p in pictures]
    write(tmp_path / "b" / "x.parquet", data[7:])
    write(tmp_path / "a" / "x.parquet", data[:7])
    source = open_source(f"parquet:{tmp_path}/**/*.parquet")
    assert len(source) == len(source.items) == 11
    for order in (range(11), reversed(range(11)), (5, 0, 10, 5)):
        for index in order:
            np.testing.assert_array_equal(
                np.asarray(source.load(index)), np.asarray(pictures[index])
            )
            assert source.size(index) == pictures[index].size
    assert [item.id for item in source.items][6:9] == [
        "a/x.parquet#6",
        "b/x.parquet#0",
        "b/x.parquet#1",
    ]
    assert [source.index_of(item.id) for item in source.items] == list(range(11))
    assert [item.label for item in source.items[:2]] == ["tench", "zebra"]
    with pytest.raises(IndexError):
        source.load(11)
    for absent in ("c/x.parquet#0", "a/x.parquet#7", "a/x.parquet", "b/x.parquet#-1"):
        with pytest.raises(KeyError):
            source.index_of(absent)


@pytest.mark.parametrize(("column", "struct"), [("img", True), ("image", False), ("jpg", False)])
def test_plainer_layouts_are_read_too(tmp_path, pictures, column, struct):
    write(tmp_path / "x.parquet", [encoded(p) for p in pictures], column, struct, names=None)
    source = open_source(f"parquet:{tmp_path}/x.parquet")
    np.testing.assert_array_equal(np.asarray(source.load(4)), np.asarray(pictures[4]))
    assert source.items[1].label == "1"


def test_fingerprints_follow_the_bytes(tmp_path, pictures):
    from atlas.store import Store

    digest_of = Store(tmp_path / "store").file_digest
    data = [encoded(p) for p in pictures]
    write(tmp_path / "x.parquet", data)
    one = open_source(f"parquet:{tmp_path}/x.parquet")
    before, row = one.fingerprint(digest_of), one.digest(3, digest_of)
    assert open_source(f"parquet:{tmp_path}/*.parquet").fingerprint(digest_of) == before
    assert len({one.digest(i, digest_of) for i in range(11)}) == 11
    write(tmp_path / "x.parquet", data[::-1])
    other = open_source(f"parquet:{tmp_path}/x.parquet")
    assert other.fingerprint(digest_of) != before
    assert other.digest(3, digest_of) != row


def test_digests_ask_for_each_file_once(tmp_path, pictures):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.parquet", [encoded(p) for p in pictures])
    asked = []
    source = open_source(f"parquet:{tmp_path}/*.parquet")
    digests = {source.digest(i, lambda path: asked.append(path) or path.name) for i in range(22)}
    assert asked == list(source.files)
    assert "b.parquet#3" in digests
    assert len(digests) == 22


def test_what_is_wrong_is_said_in_one_line(tmp_path, pictures):
    (tmp_path / "bad.parquet").write_bytes(b"not parquet")
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a"]}), tmp_path / "text.parquet")
    write(tmp_path / "none.parquet", [])
    for name, message in (
        ("absent", "no parquet file matches"),
        ("bad", "is no parquet file"),
        ("text", "no column of images; it has text"),
        ("none", "no column of images|hold no rows"),
    ):
        with pytest.raises(DatasetError, match=message) as caught:
            open_source(f"parquet:{tmp_path}/{name}.parquet")
        assert "\n" not in str(caught.value)
    for spec in ("parquet:", "parquet", "csv:x"):
        with pytest.raises(DatasetError, match=r"should be written folder:PATH, parquet:GLOB"):
            open_source(spec)
    write(tmp_path / "mixed.parquet", [encoded(pictures[0]), b"broken", None])
    source = open_source(f"parquet:{tmp_path}/mixed.parquet")
    assert source.load(0).size == pictures[0].size
    for index in (1, 2):
        with pytest.raises(UnreadableImageError):
            source.load(index)


def test_a_build_over_parquet_is_one_over_the_same_images_in_a_folder(tmp_path, pictures, toy):
    from atlas.examples.collect import collect

    data = [encoded(p) for p in pictures]
    write(tmp_path / "x.parquet", data)
    folder = tmp_path / "folder"
    folder.mkdir()
    for i, part in enumerate(data):
        (folder / f"{i:02}.png").write_bytes(part)
    specs = (f"parquet:{tmp_path}/x.parquet", f"folder:{folder}")
    one, other = (collect(toy, open_source(spec), ["shapes"], 4).tables["shapes"] for spec in specs)
    for name in ("top_image", "top_value", "bottom_image", "bottom_position"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.real
def test_tiny_imagenet_reads_whole():
    pattern = SHARED / "imagenet" / "tiny-200" / "validation*.parquet"
    if not list(pattern.parent.glob(pattern.name)):
        pytest.skip("needs ../shared/imagenet/tiny-200, which is not here")
    source = open_source(f"parquet:{pattern}")
    assert len(source) == 10_000
    assert {source.load(i).size for i in range(0, 10_000, 997)} == {(64, 64)}
    assert len({source.items[i].label for i in range(0, 10_000, 50)}) > 50
    assert not any(source.items[i].label.startswith("n0") for i in range(0, 10_000, 500))
