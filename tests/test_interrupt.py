"""Builds that are killed, interrupted or hindered by another build, and renders that fail."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from atlas.lock import holder
from tests.builds import BUILD, FEW, finished, made_few
from tests.forked import Forked, tree

FORTY = ("--units", "conv2d0:20-38,conv2d0:40-50,mixed3a:0-9", "--steps", "6")

SECOND = """
import atlas.engines.local as engine
quick, made = engine.render_chunk, []
def render_chunk(*arguments):
    made.append(1)
    if len(made) == 2:
        {happens}
    return quick(*arguments)
engine.render_chunk = render_chunk
"""
"""Has something happen when the second batch begins."""

HIT_BY = "for number in {numbers}: os.kill(os.getpid(), number)"
HELD = "open('held', 'x').close()\n        while not os.path.exists('go'): time.sleep(0.02)"


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """What an undisturbed build of `FEW` makes."""
    return made_few(tmp_path_factory.mktemp("few"))


@pytest.fixture
def atlas(tmp_path):
    with Forked(tmp_path) as forked:
        yield forked


def test_a_build_killed_25_times_ends_as_if_nothing_had_happened(tmp_path, photos, monkeypatch):
    whole, often, temporary = tmp_path / "whole", tmp_path / "often", tmp_path / "temporary"
    for folder in (whole, often, temporary):
        folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
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
    assert [path for path in temporary.rglob("*") if path.is_file()] == []


def hit_by(*numbers: int) -> str:
    return SECOND.format(happens=HIT_BY.format(numbers=[int(number) for number in numbers]))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_batch_be_finished(atlas, tmp_path, few, number):
    first = atlas(*BUILD, *FEW, before=hit_by(number))
    assert first.code == 130
    lines = [line for line in first.err.splitlines() if line.startswith("atlas: ")]
    assert lines == ["atlas: interrupted; what was finished is kept, run again to go on"]
    assert len(list((tmp_path / "store" / "objects").rglob("*.png"))) == 16
    second = atlas(*BUILD, *FEW)
    assert "rendered 8, reused 16" in second.out
    assert finished(tmp_path) == few


def test_a_second_signal_does_not_wait(atlas, tmp_path, few):
    done = atlas(*BUILD, *FEW, before=hit_by(signal.SIGINT, signal.SIGTERM))
    assert done.code == 130
    assert done.err.endswith("atlas: interrupted; what was finished is kept, run again to go on\n")
    assert len(list((tmp_path / "store" / "objects").rglob("*.png"))) == 8
    assert "rendered 16, reused 8" in atlas(*BUILD, *FEW).out
    assert finished(tmp_path) == few


def test_a_second_build_on_one_store_is_refused_at_once(atlas, tmp_path, few):
    first = []
    held = SECOND.format(happens=HELD)
    thread = threading.Thread(target=lambda: first.append(atlas(*BUILD, *FEW, before=held)))
    thread.start()
    while not (tmp_path / "held").exists():
        time.sleep(0.02)
    pid = holder(tmp_path / "store").pid
    (tmp_path / "elsewhere").mkdir()
    store = tmp_path / "store"
    with Forked(tmp_path / "elsewhere") as other:
        other("models")  # so that it has started
        start = time.monotonic()
        second = other(*BUILD, *FEW, "--store", store)
        assert time.monotonic() - start < 2
        dry = other(*BUILD, *FEW, "--store", store, "--dry-run")
        status = other("status", *BUILD[1:], *FEW, "--store", store)
        pages = other("pages", *BUILD[1:], *FEW, "--store", store, "--out", "so-far")
        others = [
            other("clean", "--yes", *BUILD[1:], *FEW, "--store", store),
            other("merge", store, "--store", store),
        ]
    for refused in (second, *others):
        assert refused.code == 2
        assert refused.err.startswith(
            f"atlas: the store {store} is being written by process {pid} on "
        )
        assert len(refused.err.splitlines()) == 1
    assert (dry.code, pages.code) == (0, 0), dry.err + pages.err
    assert "would render 16, reused 8" in dry.out
    assert "the site lacks 16 renders" in pages.err
    assert f"in use     by process {pid} on {os.uname().nodename} (atlas build)" in status.out
    (tmp_path / "go").touch()
    thread.join()
    assert first[0].code == 0, first[0].err
    assert finished(tmp_path) == few


def test_what_killed_writers_leave_is_swept_up(atlas, tmp_path, few):
    assert atlas(*BUILD, *FEW).code == 0
    for place in ("store/objects/ab", "store", "site/media/renders/conv2d0"):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / place / ".part-ab12_xyz").write_bytes(b"half")
    (tmp_path / "site" / ".atlas-ab12_xyz.tmp").write_bytes(b"half")
    (tmp_path / "store" / "lock").write_text('[1, "gone", "atlas build"]')
    assert atlas(*BUILD, *FEW).code == 0
    assert finished(tmp_path) == few


HIT = """
import multiprocessing
from atlas.examples import looking, workers
workers.FEWEST_IMAGES = 1
look_at = looking.look_at
def hit(*arguments):
    looking.look_at = look_at
    decoders = multiprocessing.active_children()
    assert len(decoders) == workers.workers_for(24)
    open("decoders.txt", "w").write(" ".join(str(one.pid) for one in decoders))
    for pid in ([one.pid for one in decoders] if {group} else []) + [os.getpid()]:
        os.kill(pid, signal.{signal})
    return look_at(*arguments)
looking.look_at = hit
"""
"""Has a signal hit the process when the network sees the first photographs, or its decoders too."""


def alive(pid: str) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("number", "group"), [(signal.SIGKILL, False), (signal.SIGINT, True), (signal.SIGTERM, True)]
)
def test_no_decoder_outlives_the_pass(atlas, tmp_path, photos, number, group):
    options = ("--model", "googlenet-mini", "--units", "conv2d0:0", "--dataset", f"folder:{photos}")
    hit = HIT.format(group=group, signal=number.name)
    done = atlas("examples", *options, before=hit)
    assert done.code == (-signal.SIGKILL if number == signal.SIGKILL else 130), done.err
    decoders = (tmp_path / "decoders.txt").read_text().split()
    assert decoders
    end = time.monotonic() + 20
    while any(map(alive, decoders)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(alive, decoders))
    again = atlas("examples", *options)
    assert again.code == 0, again.err
    (tmp_path / "whole").mkdir()
    assert atlas("examples", *options, "--store", "whole").code == 0
    assert tree(tmp_path / "store" / "objects") == tree(tmp_path / "whole" / "objects")


def test_a_render_that_fails_is_recorded_listed_and_retried_on_request(atlas, tmp_path, few):
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
    shown = [
        "failed: conv2d0:21 positive 0: never found a gradient",
        "failed: conv2d0:22 negative 0: overflowed after 8 steps",
    ]
    assert first.code == 1
    assert [line for line in first.err.splitlines() if line.startswith("failed")] == shown
    assert "rendered 24, reused 0, failed 2" in first.out
    page = tmp_path / "site" / "conv2d0" / "21.html"
    assert "Failed: never found a gradient. This is where the optimization" in page.read_text()
    other = (tmp_path / "site" / "conv2d0" / "22.html").read_text()
    assert "Failed: overflowed after 8 steps. This is where the optimization" in other
    again = atlas(*BUILD, *FEW)
    assert again.code == 1
    assert "rendered 0, reused 24, failed 2" in again.out
    status = atlas("status", *BUILD[1:], *FEW)
    assert "renders    24 of 24 done, 2 failed" in status.out
    assert all(line in status.out for line in shown)
    retried = atlas(*BUILD, *FEW, "--retry")
    assert retried.code == 0, retried.err
    assert "rendered 2, reused 22, failed 0" in retried.out
    assert finished(tmp_path) == few
