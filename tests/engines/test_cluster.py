"""A real Ray: what is left when its workers, or its owner, are killed, and who can reach it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from atlas.engines import janitor, session
from atlas.errors import WorkError
from atlas.interrupt import MESSAGE
from tests.forked import Forked, tree

pytest.importorskip("ray", reason="needs Ray, the extra `ray`")

BUILD = (
    "--model", "googlenet-mini", "--size", "32", "--kinds", "positive,negative", "--steps", "40",
    "--units", "conv2d0:20-31,mixed3a:0-3",
)  # fmt: skip
RAY = ("--engine", "ray", "--workers", "2")


@pytest.fixture
def left(monkeypatch):
    """Tells which folders Ray was given, and who uses them."""
    with tempfile.TemporaryDirectory(prefix="t-", dir="/tmp") as place:
        monkeypatch.setenv("TMPDIR", place)

        def found():
            folders = [str(one) for one in Path(place).glob(f"{session.PREFIX}*")]
            return [(folder, janitor.holders(folder, set())) for folder in folders]

        yield found


def parent_of(process):
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def family(root):
    """Processes below a process: number and command."""
    parents = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            parents[int(entry.name)] = parent_of(int(entry.name))
    below, found = {root}, {}
    while new := {one for one, parent in parents.items() if parent in below} - below:
        below |= new
    for one in below:
        with contextlib.suppress(OSError):
            found[one] = Path(f"/proc/{one}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def listening(processes):
    """Addresses, as the kernel writes them, where some processes wait for connections."""
    sockets = set()
    for process in processes:
        with contextlib.suppress(OSError):
            for one in Path(f"/proc/{process}/fd").iterdir():
                with contextlib.suppress(OSError):
                    sockets.add(os.readlink(one))
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                found.append(fields[1].partition(":")[0])
    return found


LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F"}
"""127.0.0.1, and the same in IPv6."""


class Killer(threading.Thread):
    """Kills a worker while it renders, once some renders are kept, and one while it looks."""

    def __init__(self, root, store):
        super().__init__(daemon=True)
        self._root, self._objects, self.killed = root, store / "objects", []
        self.addresses = []

    def run(self):
        self._kill("render", lambda: len(list(self._objects.rglob("*.png"))) >= 8)
        self._kill("look", lambda: True)

    def _kill(self, doing, ready):
        until = time.monotonic() + 90
        while time.monotonic() < until:
            everybody = family(self._root)
            workers = [one for one, name in everybody.items() if f"ray::Worker.{doing}" in name]
            if workers and ready():
                self.addresses += listening(everybody)
                os.kill(workers[0], signal.SIGKILL)
                self.killed.append(doing)
                return
            time.sleep(0.01)


@pytest.fixture(scope="module")
def album(tmp_path_factory, photos):
    """So many photographs that one can be killed while looking at them."""
    folder = tmp_path_factory.mktemp("album")
    for number in range(10):
        for photo in photos.rglob("*.*"):
            os.link(photo, folder / f"{number}-{photo.name}")
    return folder


@pytest.fixture(scope="module")
def local(tmp_path_factory, album):
    """What the local engine makes."""
    folder = project(tmp_path_factory.mktemp("local"))
    with Forked(folder) as atlas:
        done = atlas("build", *BUILD, "--dataset", f"folder:{album}")
    assert done.code == 0, done.err
    return made(folder)


def project(folder):
    """A project whose sheets take no time."""
    (folder / "atlas.toml").write_text('[site]\nformat = "jpeg"\n')
    return folder


def made(folder):
    """Site and entries of the store."""
    return tree(folder / "site") | tree(folder / "store" / "objects")


def test_two_workers_of_which_some_are_killed_make_what_one_process_makes(
    tmp_path, album, local, left
):
    with Forked(project(tmp_path)) as atlas:
        killer = Killer(atlas.pid, tmp_path / "store")
        killer.start()
        done = atlas("build", *BUILD, *RAY, "--dataset", f"folder:{album}")
    killer.join()
    assert done.code == 0, done.err
    assert killer.killed == ["render", "look"]
    assert done.err.count("a worker died; its work goes to another") == 2
    assert done.out.startswith("rendered 32, reused 0, failed 0; examples: collected 2")
    assert len(done.out.splitlines()) == 1
    assert made(tmp_path) == local
    assert len(killer.addresses) >= 5
    assert set(killer.addresses) <= LOOPBACK
    assert left() == []


def send(root, number):
    """Send a signal to the process that gives out work, once a worker renders."""
    until = time.monotonic() + 90
    while time.monotonic() < until:
        workers = [one for one, name in family(root).items() if "ray::Worker.render" in name]
        if workers:
            raylet = parent_of(workers[0])
            os.kill(parent_of(raylet), number)
            return
        time.sleep(0.02)


def test_who_is_killed_leaves_nothing_behind(left):
    program = "import time; from atlas.engines.session import own\nwith own(1, 0): time.sleep(60)"
    root = str(Path(__file__).resolve().parents[2])
    owner = subprocess.Popen([sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": root})
    try:
        until = time.monotonic() + 60
        while not any("ray::" in name for name in family(owner.pid).values()):
            assert time.monotonic() < until
            time.sleep(0.05)
        (folder, users), *others = left()
        assert others == []
        assert len(users) >= 4
        assert Path(folder).stat().st_mode & 0o077 == 0
    finally:
        owner.kill()
        owner.wait()
    until = time.monotonic() + janitor.PATIENCE
    while left() and time.monotonic() < until:
        time.sleep(0.05)
    assert left() == []
    assert janitor.holders(folder, set()) == []


HEAD = """
import ray, sys
cluster = ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False,
                   logging_level="ERROR", _temp_dir=sys.argv[1])
print(cluster.address_info["gcs_address"], flush=True)
sys.stdin.read()
ray.shutdown()
"""


@pytest.fixture
def cluster(monkeypatch):
    """The address of a running cluster."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "5" * 64)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    with tempfile.TemporaryDirectory(prefix="head-", dir="/tmp") as folder:
        program = [sys.executable, "-c", HEAD, folder]
        head = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        yield head.stdout.readline().strip()
        head.communicate()


def test_interrupted_and_gone_on_with_by_a_running_cluster(tmp_path, album, local, cluster, left):
    options = ("build", *BUILD, "--dataset", f"folder:{album}")
    with Forked(project(tmp_path)) as atlas:
        threading.Thread(target=send, args=(atlas.pid, signal.SIGTERM), daemon=True).start()
        first = atlas(*options, *RAY)
        assert first.code == 130
        assert first.err.split("\n")[-2] == f"atlas: {MESSAGE}"
        assert left() == []
        kept = len(list((tmp_path / "store").rglob("*.png")))
        assert kept in (8, 16)
        done = atlas(*options, "--engine", "ray", "--address", cluster)
    assert done.code == 0, done.err
    assert f"rendered {32 - kept}, reused {kept}" in done.out
    assert made(tmp_path) == local


def test_a_cluster_that_is_not_there_is_one_line():
    with socket.socket() as free:
        free.bind((session.LOOPBACK, 0))
        address = f"{session.LOOPBACK}:{free.getsockname()[1]}"
        with pytest.raises(WorkError) as caught, session.joined(address):
            pass
    assert str(caught.value) == f"cannot join the Ray cluster at {address}: Connection refused"
