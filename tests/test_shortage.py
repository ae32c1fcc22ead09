"""Builds that lack room on the disk, the right to write to it, or memory."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.builds import BUILD, FEW, finished, made_few
from tests.forked import Forked, tree


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """What an undisturbed build of `FEW` makes."""
    return made_few(tmp_path_factory.mktemp("few"))


@pytest.fixture
def atlas(tmp_path):
    with Forked(tmp_path) as forked:
        yield forked


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 kB, and how to mount it otherwise."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        return subprocess.run(command, capture_output=True).returncode == 0

    if os.geteuid() or not mount("size=256k"):
        pytest.skip("mounting a tmpfs takes root")
    yield folder, mount
    subprocess.run(["umount", "-l", str(folder)], check=True)


def pages_of(folder: Path) -> int:
    """What the files of a folder take of a tmpfs, in kB: whole pages of memory."""
    return 4 * sum(-(-p.stat().st_size // 4096) for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("share", [0.1, 0.35, 0.9])
def test_a_full_disk_is_one_line_and_a_build_goes_on_when_there_is_room(
    atlas, tmp_path, small_disk, few, share
):
    """It fills up with the first entries, with sheets, with the last files of the site."""
    disk, mount = small_disk
    whole = tmp_path / "whole"
    for name, data in few.items():
        (whole / name).parent.mkdir(parents=True, exist_ok=True)
        (whole / name).write_bytes(data)
    assert mount(f"remount,size={round(share * pages_of(whole))}k")
    options = (*BUILD, *FEW, "--store", disk / "store", "--out", disk / "site", "--quiet")
    full = atlas(*options)
    assert full.code == 1
    assert full.err.startswith("atlas: cannot write ")
    assert "no space left" in full.err.lower()
    assert full.err.endswith("what was finished is kept, make room and run again\n")
    assert len(full.err.splitlines()) == 1
    looked = atlas("status", *BUILD[1:], *FEW, "--store", disk / "store", "--verify")
    assert looked.code == 0, looked.out
    assert mount("remount,size=8m")
    last = atlas(*options)
    assert last.code == 0, last.err
    assert "damaged" not in last.err
    assert finished(disk) == few


@pytest.mark.parametrize(("option", "what"), [("--store", ""), ("--out", "the site to ")])
def test_a_folder_that_cannot_be_written_is_one_line(atlas, small_disk, option, what):
    disk, mount = small_disk
    assert mount("remount,ro")
    done = atlas(*BUILD, *FEW, option, disk / "folder")
    assert done.code == 1
    assert done.err == f"atlas: cannot write {what}{disk / 'folder'}: Read-only file system\n"


def test_pages_can_be_made_of_a_store_that_cannot_be_written(atlas, tmp_path, small_disk, few):
    disk, mount = small_disk
    assert mount("remount,size=8m")
    assert atlas(*BUILD, *FEW, "--store", disk / "store").code == 0
    before = tree(disk)
    shutil.rmtree(tmp_path / "site")
    assert mount("remount,ro")
    pages = atlas("pages", *BUILD[1:], *FEW, "--store", disk / "store")
    assert pages.code == 0, pages.err
    site = {name: data for name, data in few.items() if not name.startswith("objects/")}
    assert tree(tmp_path / "site") == site
    assert atlas("status", *BUILD[1:], *FEW, "--store", disk / "store").code == 0
    assert tree(disk) == before


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
