"""The sample source against the photographs as Pillow reads them."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections import Counter
from importlib.machinery import ModuleSpec
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from atlas.errors import DatasetError
from atlas.examples import sample
from atlas.examples.sample import MIN_SIDE, PHOTOGRAPHS, SCALES, SampleSource, windows

installed = pytest.mark.skipif(
    not all(importlib.util.find_spec(p) for p in ("skimage", "sklearn")),
    reason="needs scikit-image and scikit-learn: pip install channel-atlas[sample]",
)


def digest_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def source():
    return SampleSource()


@pytest.fixture(scope="module")
def photographs(source):
    """The photographs, decoded without the source's help."""
    return {name: np.asarray(Image.open(path)) for name, path in source.files.items()}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder that both packages appear to be installed in."""

    def find_spec(name):
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(tmp_path / name)]
        return spec

    monkeypatch.setattr(sample.importlib.util, "find_spec", find_spec)
    return tmp_path


def add_photo(folder, package, file, size=(200, 100)):
    path = folder / package / file
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise(size, 50).convert("RGB").save(path)
    return path


@installed
def test_order_and_fingerprint_are_the_same_each_time(source):
    again = SampleSource()
    assert again.items == source.items
    assert again.fingerprint(digest_of) == source.fingerprint(digest_of)


@installed
def test_order_is_photo_scale_y_x(source):
    rank = {photo.name: i for i, photo in enumerate(PHOTOGRAPHS)}
    keys = [
        (rank[item.photo], item.box[0] - item.box[2], item.box[1], item.box[0])
        for item in source.items
    ]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)


@installed
def test_ids_name_photo_and_place(source):
    for item in source.items:
        x0, y0, x1, _ = item.box
        assert item.id == f"{item.photo}/s{x1 - x0}-y{y0}-x{x0}"


@installed
def test_windows_are_square_and_inside_their_photographs(source, photographs):
    for item in source.items:
        height, width = photographs[item.photo].shape[:2]
        x0, y0, x1, y1 = item.box
        assert x1 - x0 == y1 - y0 >= MIN_SIDE, item.id
        assert x0 >= 0, item.id
        assert y0 >= 0, item.id
        assert x1 <= width, item.id
        assert y1 <= height, item.id


@installed
def test_a_few_thousand_windows_and_no_photograph_dominates(source):
    assert 2000 <= len(source) == len(source.items) <= 4000
    assert max(Counter(item.photo for item in source.items).values()) <= len(source) / 4


@installed
def test_every_window_is_the_crop_of_its_photograph(source, photographs):
    for index, item in enumerate(source.items):
        image = source.load(index)
        x0, y0, x1, y1 = item.box
        assert image.mode == "RGB", item.id
        assert image.size == source.size(index) == (x1 - x0, y1 - y0), item.id
        assert np.array_equal(image, photographs[item.photo][y0:y1, x0:x1]), item.id


@installed
def test_photographs_are_in_colour(photographs):
    for name, pixels in photographs.items():
        assert pixels.shape[2] == 3, name
        assert np.ptp(pixels.astype(int), axis=2).mean() > 10, name


@installed
def test_digests_differ_between_windows(source):
    remembered = {path: digest_of(path) for path in source.files.values()}
    digests = {source.digest(i, remembered.__getitem__) for i in range(len(source))}
    assert len(digests) == len(source)


@installed
def test_every_photograph_has_a_label_and_a_credit(source):
    labels = {item.photo: item.label for item in source.items}
    assert list(labels) == [credit.photo for credit in source.credits]
    assert len(set(labels.values())) == len(labels)
    assert all(all(credit) for credit in source.credits)


@installed
def test_packages_are_not_imported(monkeypatch):
    for package in ("skimage", "sklearn"):
        monkeypatch.delitem(sys.modules, package, raising=False)
    SampleSource()
    assert not {"skimage", "sklearn"} & set(sys.modules)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("absent", ["skimage", "sklearn"])
def test_absent_package_is_an_error_that_says_what_to_install(absent, monkeypatch):
    found = sample.importlib.util.find_spec
    monkeypatch.setattr(
        sample.importlib.util, "find_spec", lambda name: None if name == absent else found(name)
    )
    with pytest.raises(DatasetError, match=r"pip install channel-atlas\[sample\]"):
        SampleSource()


def test_missing_photographs_are_left_out(folder):
    add_photo(folder, "skimage", "data/chelsea.png")
    add_photo(folder, "sklearn", "datasets/images/china.jpg")
    source = SampleSource()
    assert {item.photo for item in source.items} == {"chelsea", "china"}
    assert [credit.photo for credit in source.credits] == ["chelsea", "china"]


def test_no_photographs_at_all_is_an_error(folder):
    (folder / "skimage").mkdir()
    with pytest.raises(DatasetError, match="none of the sample photographs"):
        SampleSource()


def test_damaged_photograph_is_an_error(folder):
    add_photo(folder, "skimage", "data/chelsea.png").write_bytes(b"no image")
    with pytest.raises(DatasetError, match=r"chelsea\.png cannot be read"):
        SampleSource()


def test_digests_follow_the_file(folder):
    path = add_photo(folder, "skimage", "data/chelsea.png")
    source = SampleSource()
    before = source.digest(0, digest_of), source.fingerprint(digest_of)
    add_photo(folder, "skimage", "data/chelsea.png")
    assert path == source.files["chelsea"]
    assert source.digest(0, digest_of) != before[0]
    assert source.fingerprint(digest_of) != before[1]


def test_windows_of_a_small_photograph():
    assert list(windows(200, 100)) == [(x, 0, x + 100, 100) for x in (0, 33, 67, 100)]


@pytest.mark.parametrize("size", [(640, 427), (300, 500), (97, 96), (1000, 1000)])
def test_windows_reach_every_edge_in_steps_of_a_third(size):
    width, height = size
    by_side = {}
    for x0, y0, x1, _ in windows(width, height):
        by_side.setdefault(x1 - x0, []).append((x0, y0))
    sides = [int(scale * min(size)) for scale in SCALES]
    assert list(by_side) == [side for side in sides if side >= MIN_SIDE]
    for side, places in by_side.items():
        for axis, length in enumerate(size):
            offsets = sorted({place[axis] for place in places})
            assert offsets[0] == 0
            assert offsets[-1] == length - side
            assert all(b - a <= side / 3 + 1 for a, b in pairwise(offsets))
