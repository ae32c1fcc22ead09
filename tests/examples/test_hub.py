"""``hf:`` through `datasets`, streaming, on local files: nothing is fetched."""

from __future__ import annotations

import random

import datasets
import numpy as np
import pytest
from PIL import Image

from atlas.errors import DatasetError
from atlas.examples.sources import open_source
from tests.conftest import make_photo
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


def test_folders_of_images_are_streamed_too(tmp_path, pictures):
    for i, picture in enumerate(pictures[:4]):
        folder = tmp_path / "d" / "train" / ("owl", "zebra")[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        picture.save(folder / f"{i}.png")
    source = open_source(f"hf:{tmp_path / 'd'}")
    found = [(item.label, source.load(i).size) for i, item in enumerate(source.items)]
    order = (("owl", 0), ("owl", 2), ("zebra", 1), ("zebra", 3))
    assert found == [(name, pictures[i].size) for name, i in order]


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


def test_what_is_wrong_is_said_in_one_line(hub, tmp_path):
    for spec, message in (
        (f"hf:{hub}", "has several splits; write one of train, validation"),
        (f"hf:{hub}:test", "has no split 'test'; write one of train, validation"),
        (f"hf:{hub}:a:b:c", r"should be written hf:NAME"),
        (f"hf:{tmp_path}/absent:train", "cannot be read"),
    ):
        with pytest.raises(DatasetError, match=message) as caught:
            open_source(spec)
        assert "\n" not in str(caught.value)


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


def test_a_pass_over_the_hub_is_one_over_the_same_parquet_files(hub, toy):
    from atlas.examples.collect import collect

    specs = (f"hf:{hub}:train", f"parquet:{hub}/train-*.parquet")
    one, other = (collect(toy, open_source(spec), ["shapes"], 4).tables["shapes"] for spec in specs)
    for name in ("top_image", "top_value", "bottom_image", "bottom_position"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
