"""One writer a store, and who it is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from atlas.errors import StoreError
from atlas.lock import Holder, Lock, check_free, holder

OTHER = """
import sys, time
from pathlib import Path
from atlas.lock import Lock
lock = Lock(Path(sys.argv[1]), "atlas render")
print("held", flush=True)
sys.stdin.read()
lock.release()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the lock of `tmp_path`."""
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "held\n"
    yield process
    process.stdin.close()
    process.wait(timeout=20)
    process.stdout.close()


def test_a_second_process_is_told_who_writes(tmp_path, other):
    assert holder(tmp_path) == Holder(other.pid, os.uname().nodename, "atlas render")
    wanted = f"is being written by process {other.pid} on {os.uname().nodename} "
    for attempt in (lambda: Lock(tmp_path, "atlas build"), lambda: check_free(tmp_path)):
        with pytest.raises(StoreError, match=wanted):
            attempt()
    other.stdin.close()
    other.wait(timeout=20)
    Lock(tmp_path, "atlas build").release()


def test_a_killed_writer_leaves_no_lock(tmp_path, other):
    other.send_signal(signal.SIGKILL)
    other.wait(timeout=20)
    assert (tmp_path / "lock").exists()
    assert holder(tmp_path) is None
    check_free(tmp_path)
    lock = Lock(tmp_path, "atlas build")
    assert holder(tmp_path) == Holder(os.getpid(), os.uname().nodename, "atlas build")
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_it_belongs_to_the_process_until_the_last_release(tmp_path):
    first, second = Lock(tmp_path, "a"), Lock(tmp_path, "b")
    first.release()
    first.release()
    assert holder(tmp_path).doing == "a"
    second.release()
    assert holder(tmp_path) is None


def test_nonsense_in_the_file_is_no_holder(tmp_path):
    for text in ("", "{}", '["x"]', "\0" * 40):
        (tmp_path / "lock").write_text(text)
        assert holder(tmp_path) is None
        Lock(tmp_path, "atlas build").release()
