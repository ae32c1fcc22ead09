"""``hf:`` through `datasets`, streaming, on local files: nothing is fetched."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor

import datasets
import numpy as np
import pytest
from PIL import Image

from atlas.errors import DatasetError
from atlas.examples import footer
from atlas.examples import hub as hub_module
from atlas.examples.decode import UnreadableImageError
from atlas.examples.hub import Stream
from atlas.examples.rows import Rows
from atlas.examples.sources import open_source
from tests.conftest import SHARED, make_photo
from tests.examples.test_parquet import NAMES, encoded, write


@pytest.fixture
def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(2)
    return [make_photo(rng, 40 + i, 30) for i in range(23)]


@pytest.fixture
def hub(tmp_path, pictures):
    """A data set of two splits, in two files and one."""
    folder = tmp_path / "photos"
    folder.mkdir()
    keep(folder / "train-00000-of-00002.parquet", pictures[:9])
    keep(folder / "train-00001-of-00002.parquet", pictures[9:18])
    keep(folder / "validation-00000-of-00001.parquet", pictures[18:])
    return folder


def keep(path, pictures):
    """Pictures as `datasets` itself writes them, labels alternating."""
    rows = {"image": pictures, "label": [i % 2 for i in range(len(pictures))]}
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES)}
    )
    datasets.Dataset.from_dict(rows, features=features).to_parquet(path)


def test_encoded_columns_without_features_are_read_too(tmp_path, pictures):
    write(tmp_path / "d" / "train.parquet", [encoded(p) for p in pictures], names=None)
    source = open_source(f"hf:{tmp_path / 'd'}")
    np.testing.assert_array_equal(np.asarray(source.load(20)), np.asarray(pictures[20]))
    assert source.items[1].label == "1"


def test_rows_come_in_order_and_in_any_other(hub, pictures):
    source = open_source(f"hf:{hub}:train")
    assert len(source) == len(source.items) == 18
    order = [*range(18), *random.Random(1).sample(range(18), 18)]
    for index in order:
        np.testing.assert_array_equal(np.asarray(source.load(index)), np.asarray(pictures[index]))
        assert source.size(index) == pictures[index].size
    assert [item.id for item in source.items[:2]] == ["train#0", "train#1"]
    assert [item.label for item in source.items[:2]] == ["tench", "zebra"]
    assert [source.index_of(item.id) for item in source.items] == list(range(18))


def test_parquet_of_the_hub_is_parquet(hub):
    """Row by row the same images, labels and places in files, read by row group."""
    one, other = open_source(f"hf:{hub}:train"), open_source(f"parquet:{hub}/train-*.parquet")
    assert isinstance(one._rows, Rows)
    for index in random.Random(3).sample(range(18), 18):
        assert one.encoded(index) == other.encoded(index)
        assert one.items[index].label == other.items[index].label
        assert one.items[index].id == f"train#{index}"
        name, _, row = other.items[index].id.partition("#")
        assert index == int(row) + (9 if name == "train-00001-of-00002.parquet" else 0)


def folder_layout(path, pictures):
    for i, picture in enumerate(pictures):
        folder = path / "train" / ("owl", "zebra")[i >= len(pictures) // 2]
        folder.mkdir(parents=True, exist_ok=True)
        picture.save(folder / f"{i:02}.png")


def arrow_layout(path, pictures):
    names = ["owl", "zebra"]
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=names)}
    )
    labels = [int(i >= len(pictures) // 2) for i in range(len(pictures))]
    rows = datasets.Dataset.from_dict({"image": pictures, "label": labels}, features=features)
    rows.save_to_disk(path / "made", num_shards=2)
    for file in sorted((path / "made").glob("*.arrow")):
        (path / "data").mkdir(exist_ok=True)
        file.rename(path / "data" / f"train-{file.name[5:]}")
    for file in (path / "made").iterdir():
        file.unlink()
    (path / "made").rmdir()


def webdataset_layout(path, pictures):
    (path / "train").mkdir(parents=True)
    with tarfile.open(path / "train" / "0.tar", "w") as tar:
        for i, picture in enumerate(pictures):
            for suffix in ("png", "cls"):
                file = path / f"{i:03}.{suffix}"
                if suffix == "png":
                    picture.save(file)
                else:
                    file.write_text(str(int(i >= len(pictures) // 2)))
                tar.add(file, file.name)
                file.unlink()


LAYOUTS = {
    folder_layout: ("owl", "zebra"),
    arrow_layout: ("owl", "zebra"),
    webdataset_layout: ("0", "1"),
}


@pytest.fixture(params=LAYOUTS, ids=lambda layout: layout.__name__)
def layout(request, tmp_path, pictures):
    path = tmp_path / "d"
    path.mkdir()
    request.param(path, pictures)
    return path, [LAYOUTS[request.param][i >= len(pictures) // 2] for i in range(len(pictures))]


def test_other_layouts_are_streamed(layout, pictures, monkeypatch):
    monkeypatch.setattr(hub_module, "_KEPT", 3)
    monkeypatch.setattr(hub_module, "_KEPT_LEAST", 2)
    path, labels = layout
    source = open_source(f"hf:{path}")
    assert isinstance(source._rows, Stream)
    count = len(pictures)
    for index in (*range(count), *random.Random(1).sample(range(count), 12)):
        np.testing.assert_array_equal(np.asarray(source.load(index)), np.asarray(pictures[index]))
        assert source.size(index) == pictures[index].size
    assert [item.label for item in source.items] == labels
    assert [source.index_of(item.id) for item in source.items] == list(range(count))


def test_a_stream_skips_to_where_a_pass_resumes(layout, pictures, monkeypatch):
    path, labels = layout
    source = open_source(f"hf:{path}")
    rows, skipped, seen = source._rows, [], []
    skip, keep = rows._stream.skip, rows._keep
    monkeypatch.setattr(rows, "_keep", lambda row: (seen.append(rows._next), keep(row)))
    monkeypatch.setattr(rows._stream, "skip", lambda n: (skipped.append(n), skip(n))[1])
    for index in (15, 16, 19, 2, 3):
        np.testing.assert_array_equal(np.asarray(source.load(index)), np.asarray(pictures[index]))
    assert skipped == [15, 2]
    assert seen == [15, 16, 17, 18, 19, 2, 3]
    assert [source.items[i].label for i in (19, 15, 3)] == [labels[i] for i in (19, 15, 3)]
    assert skipped == [15, 2]  # labels that came past are known


def test_threads_may_ask_for_rows_together(hub, layout, pictures):
    for spec, count in ((f"hf:{hub}:train", 18), (f"hf:{layout[0]}", len(pictures))):
        source = open_source(spec)
        order = random.Random(1).sample(range(count), count)
        with ThreadPoolExecutor(4) as pool:
            loaded = pool.map(lambda i: (source.load(i), source.items[i].id), order)  # noqa: B023
            for index, (image, item_id) in zip(order, loaded, strict=True):
                np.testing.assert_array_equal(np.asarray(image), np.asarray(pictures[index]))
                assert source.index_of(item_id) == index


def test_rows_without_images_or_pointing_to_them_are_told_apart(tmp_path, pictures):
    inside = tmp_path / "d" / ".kept"
    inside.mkdir(parents=True)
    pictures[0].save(inside / "0.png")
    values = [{"bytes": None, "path": str(inside / "0.png")}, None]
    values += [{"bytes": None, "path": None}, {"bytes": None, "path": str(inside / "1.png")}]
    rows = {"image": values, "label": [0, 1, None, 0]}
    features = {"image": {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}}
    features = datasets.Features(features | {"label": datasets.ClassLabel(names=NAMES)})
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "d" / "a.parquet")
    source = open_source(f"hf:{tmp_path / 'd'}")
    np.testing.assert_array_equal(np.asarray(source.load(0)), np.asarray(pictures[0]))
    for index, message in ((1, "holds no image"), (2, "holds no image"), (3, "No such file")):
        with pytest.raises(UnreadableImageError, match=message):
            source.load(index)
    assert [item.label for item in source.items] == ["tench", "zebra", "", "tench"]


@pytest.mark.parametrize(
    ("path", "near", "far"),
    [
        ("{root}/a.png", True, False),
        ("file://{root}/deep/a.png", True, False),
        ("zip://a.png::{root}/a.zip", True, False),
        ("hf://datasets/who/what@main/a.png", True, True),
        ("zip://a.png::hf://datasets/who/what@main/a.zip", True, True),
        ("https://example.org/a.png", True, True),
        ("{root}/../secret.png", False, False),
        ("{root}-too/a.png", False, False),
        ("{root}/link.png", False, False),
        ("/etc/passwd", False, False),
        ("a.png", False, False),
        ("file:///etc/passwd", False, False),
        ("zip://a.png::/home/a.zip", False, False),
        ("zip://a.png::file:///home/a.zip", False, False),
        ("simplecache::{root}/a.png", False, False),
        ("local:///etc/passwd", False, False),
        ("ssh://host/etc/passwd", False, False),
        ("", False, False),
    ],
)
def test_rows_point_to_their_dataset_or_to_the_web(tmp_path, path, near, far):
    root = tmp_path / "d"
    root.mkdir()
    (tmp_path / "secret.png").touch()
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    path = path.format(root=root)
    assert hub_module._within(path, root) == near
    assert hub_module._within(path, None) == far


def test_fingerprints_follow_the_bytes_and_the_split(hub, pictures, tmp_path):
    from atlas.store import Store

    digest_of = Store(tmp_path / "store").file_digest
    train = open_source(f"hf:{hub}:train")
    before = train.fingerprint(digest_of)
    assert open_source(f"hf:{hub}:train").fingerprint(digest_of) == before
    assert open_source(f"hf:{hub}:validation").fingerprint(digest_of) != before
    assert train.digest(0, digest_of) != train.digest(1, digest_of)
    keep(hub / "train-00001-of-00002.parquet", pictures[:9])
    assert open_source(f"hf:{hub}:train").fingerprint(digest_of) != before


def test_a_fingerprint_is_found_once(hub):
    asked = []
    source = open_source(f"hf:{hub}:train")
    digests = [source.digest(i, lambda path: asked.append(path.name) or "x") for i in range(18)]
    assert asked == ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]
    assert digests[3] == f"{source.fingerprint(str)}#3"


def test_what_is_wrong_is_said_in_one_line(hub, tmp_path, capfd):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "train.parquet").write_bytes(b"not parquet")
    (tmp_path / "half").mkdir()
    data = (hub / "train-00000-of-00002.parquet").read_bytes()
    (tmp_path / "half" / "train-0.parquet").write_bytes(data)
    (tmp_path / "half" / "train-1.parquet").write_bytes(data[:-99])
    for spec, message in (
        (f"hf:{hub}", "has several splits; write one of train, validation"),
        (f"hf:{hub}:test", "has no split 'test'; write one of train, validation"),
        (f"hf:{hub}:a:b:c", r"should be written hf:NAME"),
        (f"hf:{hub}:other:train", r"BuilderConfig 'other' not found. Available: \['default'\]"),
        (f"hf:{tmp_path}/absent:train", "cannot be read"),
        (f"hf:{tmp_path}/bad", "bad cannot be read: Parquet magic bytes not found"),
        (f"hf:{tmp_path}/half", r"train-1.parquet is no parquet file: "),
    ):
        with pytest.raises(DatasetError, match=message) as caught:
            open_source(spec)
        assert "\n" not in str(caught.value)
    for absent in ("train#18", "validation#0", "train", "train#-1"):
        with pytest.raises(KeyError):
            open_source(f"hf:{hub}:train").index_of(absent)
    assert not capfd.readouterr().err


def test_without_a_network_one_line_says_so():
    script = """
from atlas.errors import DatasetError
from atlas.examples.sources import open_source
try:
    open_source("hf:nobody/nothing:train")
except DatasetError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = done.stdout.splitlines()
    assert line.startswith("hf:nobody/nothing:train cannot be read: Couldn't reach")
    assert not done.stderr


def test_a_gated_data_set_says_what_to_do(monkeypatch):
    def gated(*_args, **_more):
        raise datasets.exceptions.DatasetNotFoundError(
            "Dataset 'imagenet-1k' is a gated dataset on the Hub.\nYou must be authenticated."
        )

    monkeypatch.setattr(datasets, "get_dataset_split_names", gated)
    monkeypatch.setattr(datasets, "get_dataset_config_names", gated)
    for spec in ("hf:imagenet-1k", "hf:imagenet-1k:validation"):
        with pytest.raises(DatasetError, match=r"is gated: accept its conditions.*login"):
            open_source(spec)


def test_files_behind_a_gate_say_so_too(hub, monkeypatch):
    """What describes a gated data set may be had without a login."""

    def gated(*_args, **_more):
        raise OSError(403, "Cannot access gated repo for url https://huggingface.co/x")

    monkeypatch.setattr(footer, "opened", gated)
    with pytest.raises(DatasetError, match=r"is gated: accept its conditions.*login"):
        open_source(f"hf:{hub}:train")


def test_a_pass_over_the_hub_is_one_over_the_same_parquet_files(hub, toy):
    from atlas.examples.collect import collect

    specs = (f"hf:{hub}:train", f"parquet:{hub}/train-*.parquet")
    one, other = (collect(toy, open_source(spec), ["shapes"], 4).tables["shapes"] for spec in specs)
    for name in ("top_image", "top_value", "bottom_image", "bottom_position"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.real
def test_tiny_imagenet_is_the_same_as_parquet():
    folder = SHARED / "imagenet" / "tiny-200"
    if not list(folder.glob("validation*.parquet")):
        pytest.skip("needs ../shared/imagenet/tiny-200, which is not here")
    one = open_source(f"hf:{folder}:validation")
    other = open_source(f"parquet:{folder}/validation*.parquet")
    assert len(one) == len(other) == 10_000
    for index in (*range(0, 10_000, 997), *random.Random(1).sample(range(10_000), 30)):
        assert one.encoded(index) == other.encoded(index)
        assert one.items[index].label == other.items[index].label
