"""Store files flipped, cut short, deleted or swapped: the next build names each and redoes it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from atlas.durable import signature
from atlas.store import Store
from tests.forked import Forked, tree

OPTIONS = (
    "--model", "googlenet-mini", "--size", "32", "--steps", "4", "--kinds", "positive,negative",
    "--units", "conv2d0:20-31,mixed3a:0-5",
)  # fmt: skip
HARMS = ("flip", "truncate", "delete")

STOP = """
from atlas import survey
survey.EVERY_IMAGES, survey.EVERY_SECONDS = 1, 0.0
def stopped(self, state):
    raise KeyboardInterrupt
survey.Survey._finished = stopped
"""
"""Ends a build when the pass over the photographs has come to its end, but not its tables."""


@pytest.fixture(scope="module")
def atlas(tmp_path_factory, photos):
    """A project of 36 renders and the tables, fields and maps of two layers, built."""
    folder = tmp_path_factory.mktemp("damage")
    options = (*OPTIONS, "--dataset", f"folder:{photos}", "--store", "store", "--out", "site")
    with Forked(folder) as forked:

        def run(command, *more, **how):
            return forked(command, *options, *more, **how)

        first = run("build")
        assert first.code == 0, first.err
        shutil.copytree(folder / "store", folder / "whole")
        run.folder = folder
        yield run


@pytest.fixture(autouse=True)
def whole(atlas):
    """Every test begins and ends with the store as it was built."""
    folder = atlas.folder
    shutil.rmtree(folder / "store")
    shutil.copytree(folder / "whole", folder / "store")
    assert atlas("build").code == 0
    yield
    assert tree(folder / "store" / "objects") == tree(folder / "whole" / "objects")


def harm(path: Path, how: str, rng: np.random.Generator) -> None:
    """Do harm to a file, and set its time of modification back."""
    stat, data = path.stat(), bytearray(path.read_bytes())
    if how == "delete":
        path.unlink()
        return
    if how == "flip":
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
    else:
        del data[rng.integers(len(data)) :]
    path.write_bytes(data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def names(folder: Path) -> dict[str, str]:
    """What the entries are called, by file."""
    store = Store(folder, write=False)
    found = {entry.file: entry.name for entry in store.manifest.rows()}
    store.close()
    return found


def damaged(text: str) -> set[str]:
    lines = [line for line in text.splitlines() if line.startswith("damaged: ")]
    assert len(lines) == len(set(lines))
    return {line.removeprefix("damaged: ").rpartition(": ")[0] for line in lines}


@pytest.mark.parametrize("index", ["manifest.sqlite", "manifest.sha256"])
@pytest.mark.parametrize("state", ["finished", "in the middle of the pass"])
def test_thirty_harmed_files_are_named_and_redone(atlas, state, index):
    """Of all that a store holds; of manifest and list, which tell what is gone, one."""
    rng = np.random.default_rng(len(state) + len(index))
    store, site = atlas.folder / "store", tree(atlas.folder / "site")
    if state != "finished":
        shutil.rmtree(store)
        assert atlas("build", before=STOP).code == 130
    called = names(store)
    files = sorted((store / "objects").rglob("*.*"))
    assert any("pass" in name for name in called.values()) == (state != "finished")
    entries = [files[i] for i in rng.choice(len(files), 29, replace=False)]
    for turn, path in enumerate([store / index, *entries]):
        harm(path, HARMS[(turn + len(state)) % 3], rng)
    again = atlas("build")
    assert again.code == 0, again.err
    found = damaged(again.err)
    assert index in found
    # Without the manifest, what the plan does not name is called by its file.
    expected = [{called[path.name], str(path.relative_to(store))} for path in entries]
    assert all(found & either for either in expected)
    assert found <= set().union(*expected, {"manifest.sqlite", "manifest.sha256"})
    assert tree(atlas.folder / "site") == site
    assert damaged(atlas("build").err) == set()


@pytest.mark.parametrize("how", HARMS)
@pytest.mark.parametrize("file", ["manifest.sqlite", "manifest.sha256"])
def test_the_manifest_is_made_anew_and_nothing_is_rendered(atlas, file, how):
    for seed in range(2):
        harm(atlas.folder / "store" / file, how, np.random.default_rng(seed))
        again = atlas("build")
        assert again.code == 0, again.err
        # Where the list's line for the manifest is harmed, nothing tells which of the two it was.
        assert {file} <= damaged(again.err) <= {file, "manifest.sqlite"}
        assert "rendered 0, reused 36" in again.out
        assert "collected 0, reused 2 layers" in again.out
        assert atlas("build").err.count("damaged") == 0


def test_manifest_and_masters_may_be_harmed_together(atlas):
    store = atlas.folder / "store"
    called = names(store)
    files = sorted((store / "objects").rglob("*.png"))[:3]
    for path in files:
        harm(path, "flip", np.random.default_rng(0))
    (store / "manifest.sqlite").unlink()
    again = atlas("build")
    assert damaged(again.err) == {called[path.name] for path in files} | {"manifest.sqlite"}
    assert "rendered 3, reused 33" in again.out


def test_foreign_and_swapped_files_are_never_shown(atlas):
    store = atlas.folder / "store"
    called = names(store)
    one, two, three = sorted((store / "objects").rglob("*.png"))[:3]
    two.write_bytes(one.read_bytes())
    three.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(3000))
    stray = store / "objects" / "ff" / ("f" * 64 + ".png")
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(one.read_bytes())
    other = store / "objects" / "ab" / "holiday.jpg"
    other.parent.mkdir(exist_ok=True)
    other.write_bytes(b"not ours")
    status = atlas("status")
    assert status.code == 1
    assert "foreign    1 files: objects/ab/holiday.jpg" in status.out
    again = atlas("build")
    assert damaged(again.err) == {
        called[two.name], called[three.name], f"objects/ff/{stray.name}"
    }  # fmt: skip
    assert "another entry's file under this name" in again.err
    assert not stray.exists()
    assert other.read_bytes() == b"not ours"
    other.unlink()


def test_pages_alone_never_show_a_damaged_master(atlas):
    """They do not look at what looks untouched, but check what they read."""
    store = atlas.folder / "store"
    (path, *_) = (store / "objects").rglob("*.png")
    harm(path, "flip", np.random.default_rng(0))
    pages = atlas("pages", "--out", "anew")
    assert pages.code == 2
    assert "lost or damaged entry" in pages.err.splitlines()[-1]
    assert atlas("build").code == 0


def test_what_the_disk_forgot_is_found_by_reading_everything(atlas):
    """A change that leaves no trace in the times of a file cannot be made through the system, so
    the manifest is told that this is how the file always looked."""
    store = Store(atlas.folder / "store")
    entry = store.manifest.rows("render")[0]
    harm(store.path_of(entry), "flip", np.random.default_rng(0))
    store.manifest.saw({entry.key: signature(store.path_of(entry).stat())})
    store.close()
    assert atlas("status").code == 0
    deep = atlas("status", "--verify")
    assert deep.code == 1
    assert f"damaged: {entry.name}: its bytes have changed" in deep.out
    store.path_of(entry).unlink()
    assert "rendered 1" in atlas("build").out
