"""Decoding in other processes gives what decoding here does, and survives its own death."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from atlas.examples import workers
from atlas.examples.ahead import batches
from atlas.examples.sources import FolderSource
from atlas.examples.view import Viewing
from atlas.examples.workers import Workers, view_of, workers_for
from tests.conftest import make_photo

VIEW = Viewing(40, 32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for i in range(23):
        make_photo(rng, 40 + i, 50).save(root / f"{i:02}.png")
    (root / "07.png").write_bytes(b"broken")
    return FolderSource(root)


def flat(found):
    return [(b.chunk, b.numbers, [v.tobytes() for v in b.views], b.skipped, b.last) for b in found]


def test_processes_give_what_threads_give(folder):
    todo = [range(10), range(10, 23)]
    here = flat(batches(folder, VIEW, todo, 4))
    with Workers(2) as pool:
        there = flat(batches(folder, VIEW, todo, 4, pool))
    assert here == there
    assert [b[4] for b in here] == [False, False, True, False, False, False, True]
    assert here[1][3].keys() == {7}


def test_leaving_early_leaves_no_process(folder):
    before = children()
    with Workers(2) as pool:
        going = batches(folder, VIEW, [range(23)], 4, pool)
        next(going)
        assert len(children()) >= len(before) + 2
        going.close()
    assert children() <= before


def children() -> set[int]:
    listed = subprocess.run(
        ["pgrep", "-P", str(os.getpid())], capture_output=True, text=True, check=False
    ).stdout.split()
    return {int(pid) for pid in listed if "spawn_main" in command(int(pid))}


def command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            return file.read()
    except OSError:
        return ""


def test_an_image_that_kills_its_decoder_is_skipped_alone(folder, monkeypatch):
    with Workers(2) as pool:
        monkeypatch.setattr(workers, "_views", deadly)
        found = pool.views(list(folder.files[:9]), VIEW)
    assert found[3] == "its decoder died"
    assert str(found[7]).startswith("not an image")
    expected = [view_of(path, VIEW) for path in folder.files[:9]]
    for i in (0, 1, 2, 4, 5, 6, 8):
        np.testing.assert_array_equal(found[i], expected[i])


def deadly(batch, viewing):
    if any(path.name == "03.png" for path in batch):
        os.kill(os.getpid(), signal.SIGKILL)
    return [view_of(path, viewing) for path in batch]


SCRIPT = """
import sys
from atlas.examples.ahead import batches
from atlas.examples.sources import FolderSource
from atlas.examples.view import Viewing
from atlas.examples.workers import Workers
if __name__ == "__main__":
    with Workers(2) as pool:
        next(batches(FolderSource(sys.argv[1]), Viewing(40, 32), [range(23)], 4, pool))
        print("ready", flush=True)
        sys.stdin.read()
"""


def test_workers_go_when_their_parent_is_killed(folder, tmp_path):
    (tmp_path / "run.py").write_text(SCRIPT)
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "run.py"), str(folder.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.getcwd()},
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "ready\n"
    listed = subprocess.run(
        ["pgrep", "-P", str(parent.pid)], capture_output=True, text=True, check=False
    ).stdout.split()
    mine = [int(pid) for pid in listed if "spawn_main" in command(int(pid))]
    assert len(mine) == 2
    parent.kill()
    parent.wait()
    for _ in range(100):
        if not any("spawn_main" in command(pid) for pid in mine):
            return
        time.sleep(0.05)
    pytest.fail("workers outlived their parent")


def test_few_images_need_no_workers():
    assert workers_for(100) == 0
    assert 1 <= workers_for(10_000) <= workers.MOST
