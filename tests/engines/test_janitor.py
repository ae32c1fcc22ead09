"""What is left of a folder and its processes when their owner is gone."""

from __future__ import annotations

import subprocess
import sys

from atlas.engines import janitor

HOLD = "import sys; f = open(sys.argv[1], 'w'); print(flush=True); sys.stdin.read()"


def holding(path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    process.stdout.readline()
    return process


def test_who_holds_a_file_goes_with_the_folder_and_nobody_else(tmp_path):
    mine, near = tmp_path / "mine", tmp_path / "mine-too"
    mine.mkdir()
    near.mkdir()
    inside, spared = holding(mine / "log"), holding(mine / "other")
    outside = holding(near / "log")
    try:
        (mine / "log").unlink()
        assert set(janitor.holders(str(mine), set())) == {inside.pid, spared.pid}
        janitor.clear(str(mine), {spared.pid})
        assert inside.wait(10) == -9
        assert not mine.exists()
        assert (spared.poll(), outside.poll(), near.exists()) == (None, None, True)
    finally:
        for process in (inside, spared, outside):
            process.kill()
            process.communicate()


def test_it_waits_for_its_owner_and_then_clears(tmp_path):
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    program = [sys.executable, "-I", "-S", janitor.__file__, str(folder)]
    waiting = subprocess.Popen(program, stdin=subprocess.PIPE)
    held = holding(folder / "deep" / "log")
    try:
        assert folder.exists()
        waiting.stdin.close()
        assert waiting.wait(10) == 0
        assert held.wait(10) == -9
        assert not folder.exists()
    finally:
        held.kill()
        held.communicate()
