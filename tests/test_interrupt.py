"""Builds that are killed, interrupted, starved of disk or memory, or hindered by another build."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from atlas.lock import holder
from tests.forked import Forked, tree

BUILD = ("build", "--model", "googlenet-mini", "--size", "32", "--kinds", "positive,negative")
FORTY = ("--units", "conv2d0:20-49,mixed3a:0-9", "--steps", "16")
FEW = ("--units", "conv2d0:20-31", "--steps", "8")
"""Twelve units: three chunks of eight images."""

SLOW = """
import atlas.engines.local as engine
quick = engine.render_chunk
def render_chunk(*arguments):
    time.sleep({seconds})
    return quick(*arguments)
engine.render_chunk = render_chunk
"""
"""Lets every batch take longer."""


def finished(folder: Path) -> dict[str, bytes]:
    """A site and the entries of its store; nothing else may be left but the manifest."""
    store = folder / "store"
    assert {path.name for path in store.iterdir()} <= {
        "objects", "partial", "manifest.sqlite", "manifest.sha256",
    }  # fmt: skip
    left = [p for p in folder.rglob(".*") if p.is_file() and p.name != ".nojekyll"]
    assert left == []
    assert not any((store / "partial").glob("*"))
    entries = {f"objects/{name}": data for name, data in tree(store / "objects").items()}
    return tree(folder / "site") | entries


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """What an undisturbed build of `FEW` makes."""
    folder = tmp_path_factory.mktemp("few")
    with Forked(folder) as atlas:
        assert atlas(*BUILD, *FEW).code == 0
    return finished(folder)


@pytest.fixture
def atlas(tmp_path):
    with Forked(tmp_path) as forked:
        yield forked


def test_a_build_killed_25_times_ends_as_if_nothing_had_happened(tmp_path, photos):
    whole, often = tmp_path / "whole", tmp_path / "often"
    whole.mkdir()
    often.mkdir()
    options = (*BUILD, *FORTY, "--dataset", f"folder:{photos}")
    with Forked(whole) as atlas:
        start = time.monotonic()
        assert atlas(*options).code == 0
        needed = time.monotonic() - start
    rng = np.random.default_rng(11)
    killed = 0
    with Forked(often) as atlas:
        while killed < 25:
            moment = rng.uniform(0.02, 0.2) * needed
            code = atlas(*options, after=moment, signals=(signal.SIGKILL,)).code
            killed += code == -signal.SIGKILL
            if code == 0:  # it was quicker, having little left to do
                needed /= 2
        last = atlas(*options)
    assert last.code == 0, last.err
    assert "damaged" not in last.err
    assert finished(often) == finished(whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_batch_be_finished(atlas, tmp_path, few, number):
    slow = SLOW.format(seconds=0.7)
    first = atlas(*BUILD, *FEW, after=1.0, signals=(number,), before=slow)
    assert first.code == 130
    lines = [line for line in first.err.splitlines() if line.startswith("atlas: ")]
    assert lines == ["atlas: interrupted; what was finished is kept, run again to go on"]
    kept = len(list((tmp_path / "store" / "objects").rglob("*.png")))
    assert kept in (8, 16)
    second = atlas(*BUILD, *FEW)
    assert f"rendered {24 - kept}, reused {kept}" in second.out
    assert finished(tmp_path) == few


def test_a_second_signal_does_not_wait(atlas, tmp_path, few):
    slow = SLOW.format(seconds=60)
    start = time.monotonic()
    done = atlas(*BUILD, *FEW, after=1.0, signals=(signal.SIGINT, signal.SIGTERM), before=slow)
    assert done.code == 130
    assert time.monotonic() - start < 10
    assert atlas(*BUILD, *FEW).code == 0
    assert finished(tmp_path) == few


def test_a_second_build_on_one_store_is_refused_at_once(atlas, tmp_path, few):
    first = []
    slow = SLOW.format(seconds=0.7)
    thread = threading.Thread(target=lambda: first.append(atlas(*BUILD, *FEW, before=slow)))
    thread.start()
    while holder(tmp_path / "store") is None:
        time.sleep(0.02)
    pid = holder(tmp_path / "store").pid
    (tmp_path / "elsewhere").mkdir()
    store = tmp_path / "store"
    with Forked(tmp_path / "elsewhere") as other:
        other("models")  # so that it has started
        start = time.monotonic()
        second = other(*BUILD, *FEW, "--store", store)
        assert time.monotonic() - start < 0.6
        dry = other(*BUILD, *FEW, "--store", store, "--dry-run", "-q")
        status = other("status", *BUILD[1:], *FEW, "--store", store)
        pages = other("pages", *BUILD[1:], *FEW, "--store", store, "--out", "so-far")
    assert second.code == 2
    assert second.err.startswith(f"atlas: the store {store} is being written by process {pid} on ")
    assert len(second.err.splitlines()) == 1
    assert (dry.code, pages.code) == (0, 0), dry.err + pages.err
    assert "that the store does not hold yet" in pages.err
    assert f"in use     by process {pid} on {os.uname().nodename} (atlas build)" in status.out
    thread.join()
    assert first[0].code == 0, first[0].err
    assert finished(tmp_path) == few


def test_what_killed_writers_leave_is_swept_up(atlas, tmp_path, few):
    assert atlas(*BUILD, *FEW).code == 0
    for place in ("store/objects/ab", "store/partial", "store", "site/media/renders/conv2d0"):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / place / ".part-ab12_xyz").write_bytes(b"half")
    (tmp_path / "site" / ".atlas-ab12_xyz.tmp").write_bytes(b"half")
    (tmp_path / "store" / "lock").write_text('[1, "gone", "atlas build"]')
    assert atlas(*BUILD, *FEW).code == 0
    assert finished(tmp_path) == few


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 kB, and how to make it larger."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        return subprocess.run(command, capture_output=True).returncode == 0

    if os.geteuid() or not mount("size=256k"):
        pytest.skip("mounting a tmpfs takes root")
    yield folder, mount
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_one_line_and_a_build_goes_on_when_there_is_room(
    atlas, tmp_path, small_disk, few
):
    disk, mount = small_disk
    options = (*BUILD, *FEW, "--store", disk / "store")
    codes = [atlas(*options)]
    (tmp_path / "rest").mkdir()
    assert [done.code for done in codes] == [0]
    (disk / "ballast").write_bytes(bytes(os.statvfs(disk).f_bavail * 4096 - 16384))
    more = ("--seed", "1", "--out", "other")
    full = atlas(*options, *more)
    assert full.code == 1
    assert "no space left" in full.err.lower()
    assert len([line for line in full.err.splitlines() if "images," not in line]) == 1
    again = atlas("status", *options[1:], *more)
    assert again.code == 0, again.out
    assert mount("remount,size=4m")
    last = atlas(*options, *more)
    assert last.code == 0, last.err
    assert "damaged" not in last.err
    assert atlas(*options).out.startswith("rendered 0, reused 24")
    entries = {f"objects/{name}" for name in tree(disk / "store" / "objects")}
    assert len(entries) == 48
    assert {name for name in few if name.startswith("objects/")} <= entries


@pytest.mark.parametrize(("option", "what"), [("--store", ""), ("--out", "the site to ")])
def test_a_folder_that_cannot_be_written_is_one_line(atlas, small_disk, option, what):
    disk, mount = small_disk
    assert mount("remount,ro")
    done = atlas(*BUILD, *FEW, option, disk / "folder")
    assert done.code == 1
    assert done.err == f"atlas: cannot write {what}{disk / 'folder'}: Read-only file system\n"


def test_a_batch_that_does_not_fit_into_memory_is_one_line(atlas):
    before = """
import atlas.engines.local as engine
def render_chunk(*arguments):
    torch.empty(1 << 60)
engine.render_chunk = render_chunk
"""
    done = atlas(*BUILD, *FEW, before=before)
    assert done.code == 1
    assert done.err == (
        "atlas: out of memory rendering 1 image of 32 px at a time, conv2d0:20; "
        "a smaller --size needs less\n"
    )


def test_a_render_that_fails_is_recorded_listed_and_retried_on_request(atlas, tmp_path):
    before = """
from dataclasses import replace
import atlas.engines.local as engine
right = engine.render_chunk
def render_chunk(network, renders, *rest):
    made = right(network, renders, *rest)
    wrong = {"conv2d0:21 positive": {"started": False}, "conv2d0:22 negative": {"finite": False}}
    return [replace(m, **wrong.get(f"{m.render.unit} {m.render.kind}", {})) for m in made]
engine.render_chunk = render_chunk
"""
    first = atlas(*BUILD, *FEW, before=before)
    listed = [
        "failed: conv2d0:21 positive 0: never found a gradient",
        "failed: conv2d0:22 negative 0: overflowed after 8 steps",
    ]
    assert first.code == 1
    assert [line for line in first.err.splitlines() if line.startswith("failed")] == listed
    assert "rendered 24, reused 0, failed 2" in first.out
    assert (tmp_path / "site" / "index.html").is_file()
    again = atlas(*BUILD, *FEW)
    assert again.code == 1
    assert "rendered 0, reused 24, failed 2" in again.out
    status = atlas("status", *BUILD[1:], *FEW)
    assert "renders    24 of 24 done, 2 failed" in status.out
    assert all(line in status.out for line in listed)
    retried = atlas(*BUILD, *FEW, "--retry")
    assert retried.code == 0, retried.err
    assert "rendered 2, reused 22, failed 0" in retried.out
