"""A folder in which every sixth file is bad: the good ones count as if they were alone."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from atlas.examples.collect import collect
from atlas.examples.decode import decode
from atlas.examples.sources import FolderSource
from atlas.examples.view import Viewing
from tests.conftest import make_photo
from tests.examples.test_decode import PICTURE, READABLE, UNREADABLE, png, saved

GOOD, BAD = 200, 40
LAYERS = ("edges", "shapes", "things")
SUFFIXES = (".jpg", ".png", ".gif", ".tif", ".webp", ".JPEG")
KINDS = [kind for kind in UNREADABLE if kind not in ("zeros", "PPM in text, short")][:BAD]


def place(number: int) -> str:
    """Where the image of a number lies; suffixes say nothing of what is in a file."""
    return f"class{number % 3}/{number:03}{SUFFIXES[number % len(SUFFIXES)]}"


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path, dict[str, str]]:
    """The good images alone, the same with bad ones between them, and those with reasons.

    Some of the good ones are of kinds that are odd and can be read. No two are decoded to the same
    pixels: which of them came first would be a matter of rounding.
    """
    alone, mixed = (tmp_path_factory.mktemp(name) for name in ("alone", "mixed"))
    rng = np.random.default_rng(40)
    seen = {decode(io.BytesIO(data)).tobytes(): data for data, _, _ in READABLE.values()}
    odd = list(seen.values())
    reasons = {}
    numbers = iter(range(GOOD + BAD))
    for i in range(GOOD):
        if i % (GOOD // BAD) == 0:
            kind = KINDS[i // (GOOD // BAD)]
            file = mixed / (name := place(next(numbers)))
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(UNREADABLE[kind][0])
            reasons[name] = UNREADABLE[kind][1]
        photo = saved(make_photo(rng, 64, 64 + i % 5), ("PNG", "JPEG")[i % 2])
        data = odd[i // 2] if i % 2 and i // 2 < len(odd) else photo
        name = place(next(numbers))
        for root in (alone, mixed):
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_bytes(data)
    return alone, mixed, reasons


def files_of(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def test_the_folders_are_what_they_should_be(folders):
    alone, mixed, reasons = folders
    assert (len(files_of(alone)), len(files_of(mixed)), len(reasons)) == (200, 240, 40)
    words = ("cut", "checksum", "bomb", "large", "enormous", "narrow", "text", "empty", "float")
    assert all(any(word in kind for kind in KINDS) for word in words)
    pixels = {decode(file).tobytes() for file in files_of(alone)}
    assert len(pixels) == GOOD


def test_good_images_are_not_affected_by_bad_ones(toy, folders):
    alone, mixed = (FolderSource(folder) for folder in folders[:2])
    expected = collect(toy, alone, LAYERS, 8, Viewing(64, 48))
    found = collect(toy, mixed, LAYERS, 8, Viewing(64, 48))
    assert expected.skipped == ()
    for layer in LAYERS:
        one, other = expected.tables[layer], found.tables[layer]
        assert one.images == other.images == GOOD
        for side in ("top", "bottom"):
            np.testing.assert_array_equal(
                ids(mixed, getattr(other, f"{side}_image")),
                ids(alone, getattr(one, f"{side}_image")),
            )
            np.testing.assert_array_equal(
                getattr(other, f"{side}_position"), getattr(one, f"{side}_position")
            )
            np.testing.assert_allclose(
                getattr(other, f"{side}_value"), getattr(one, f"{side}_value"), rtol=1e-5
            )
        assert other.labels == one.labels
        np.testing.assert_array_equal(other.class_count, one.class_count)
        np.testing.assert_array_equal(other.class_index, one.class_index)
        np.testing.assert_allclose(other.class_mean, one.class_mean, rtol=1e-5)
        np.testing.assert_array_equal(other.histogram_exponent, one.histogram_exponent)
        np.testing.assert_array_equal(other.histogram_first, one.histogram_first)
        # A value on the edge of a bucket may fall to either side by rounding.
        assert np.abs(other.histogram - one.histogram).sum(1).max() <= 2
        assert other.stats.keys() == one.stats.keys()
        for name, values in one.stats.items():
            np.testing.assert_allclose(other.stats[name], values, rtol=1e-5, atol=1e-7)


def ids(source: FolderSource, images: np.ndarray) -> np.ndarray:
    return np.array([[source.items[i].id for i in row] for row in images])


def test_bad_images_are_counted_and_named_with_reasons(toy, folders):
    _, mixed, reasons = folders
    skipped = dict(collect(toy, FolderSource(mixed), ["edges"], 3, Viewing(64, 48)).skipped)
    assert list(skipped) == sorted(reasons)
    for name, reason in reasons.items():
        assert re.fullmatch(reason, skipped[name]), f"{name}: {skipped[name]}"


def test_odd_images_show_up_as_plain_copies_of_them_would(toy, tmp_path):
    """Every kind that is read without loss, against a plain PNG of what it should be."""
    odd, plain = tmp_path / "odd", tmp_path / "plain"
    odd.mkdir()
    plain.mkdir()
    exact = [(data, pixels) for data, pixels, tolerance in READABLE.values() if tolerance <= 0.6]
    assert len(exact) > 30
    for i, (data, pixels) in enumerate(exact):
        (odd / f"{i:03}.jpg").write_bytes(data)
        (plain / f"{i:03}.jpg").write_bytes(png(np.rint(pixels), 8, 2))
    one, other = (
        collect(toy, FolderSource(folder), ["things"], 5, Viewing(32, 32)).tables["things"]
        for folder in (plain, odd)
    )
    assert one.images == other.images == len(exact)
    for name in ("top_value", "bottom_value"):
        np.testing.assert_allclose(getattr(other, name), getattr(one, name), rtol=1e-5)


def atlas(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from atlas.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)


def without_progress(text: str) -> list[str]:
    stages = ("photographs:", "receptive fields:")
    return [line for line in text.splitlines() if not line.startswith(stages)]


def test_the_command_reports_bad_images_and_strict_minds(folders, tmp_path):
    _, mixed, reasons = folders
    options = ("--model", "googlenet-mini", "--units", "conv2d0:1", "--dataset", f"folder:{mixed}")
    result = atlas("examples", *options, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "collected 1" in result.stdout
    assert "skipped 40 unreadable of 240 images" in result.stderr
    for name, reason in reasons.items():
        assert re.search(rf"{re.escape(name)} \({reason}\)", result.stderr), name
    # Progress and the report, and nothing of what decoders have to say.
    lines = without_progress(result.stderr)
    assert len(lines) == 1
    assert lines[0].startswith("warning: skipped 40")
    assert str(mixed) not in lines[0]
    strict = atlas("examples", *options, "--strict", cwd=tmp_path)
    assert strict.returncode == 1
    assert "reused 1" in strict.stdout
    assert lines[0] in strict.stderr


@pytest.fixture
def places(tmp_path) -> Path:
    """Three pictures, and things that are called images and are no files."""
    root = tmp_path / "photos"
    root.mkdir()
    for i in range(2):
        (root / f"{i}.png").write_bytes(png(PICTURE + i, 8, 2))
    (root / "folder.jpg").mkdir()
    (root / "folder.jpg" / "inside.png").write_bytes(png(PICTURE + 2, 8, 2))
    (root / "broken.jpg").symlink_to(root / "nowhere.jpg")
    (root / "circle.jpg").symlink_to(root / "circle.jpg")
    os.mkfifo(root / "pipe.jpg")
    return root


MISSING = (
    ("broken.jpg", "No such file or directory"),
    ("circle.jpg", "Too many levels of symbolic links"),
    ("pipe.jpg", "not a file"),
)


def test_links_to_nowhere_and_pipes_are_skipped_by_name(toy, places):
    found = collect(toy, FolderSource(places), ["edges"], 3, Viewing(64, 48))
    assert found.tables["edges"].images == 3
    assert found.skipped == MISSING


def test_a_locked_file_is_skipped_by_name(places, tmp_path):
    (places / "locked.png").write_bytes(png(PICTURE, 8, 2))
    (places / "locked.png").chmod(0)
    if os.access(places / "locked.png", os.R_OK):
        pytest.skip("nothing is locked for root")
    options = ("--model", "googlenet-mini", "--units", "conv2d0:1", "--dataset", "folder:photos")
    result = atlas("examples", *options, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "skipped 4 unreadable of 7 images" in result.stderr
    assert "locked.png (Permission denied)" in result.stderr


def test_a_dataset_with_places_that_are_no_files_has_a_fingerprint(places, tmp_path):
    options = ("--model", "googlenet-mini", "--units", "conv2d0:1", "--dataset", "folder:photos")
    result = atlas("examples", *options, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    for name, reason in MISSING:
        assert f"{name} ({reason})" in result.stderr
    # The link leads somewhere now: another dataset.
    shutil.copy(places / "0.png", places / "nowhere.jpg")
    again = atlas("examples", *options, cwd=tmp_path)
    assert "collected 1" in again.stdout
    assert "broken.jpg" not in again.stderr


def test_names_that_are_no_text_are_no_trouble(tmp_path):
    root = tmp_path / "photos"
    root.mkdir()
    (root / "good.png").write_bytes(png(PICTURE, 8, 2))
    (root / os.fsdecode(b"caf\xe9.png")).write_bytes(png(PICTURE, 8, 2))
    (root / os.fsdecode(b"bad \x1b[31m\n \xe9.png")).write_bytes(b"bad")
    options = ("--model", "googlenet-mini", "--units", "conv2d0:1", "--dataset", "folder:photos")
    result = atlas("examples", *options, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    report = without_progress(result.stderr)
    assert len(report) == 1
    assert "skipped 1 unreadable of 3 images" in report[0]
    assert "\x1b" not in report[0]
