"""Clears up after a Ray of one's own, however its owner ends: run as a program beside it.

It waits until its standard input ends, which even SIGKILL of the owner cannot prevent, then kills
every process that has a file of the folder open (Ray's own leave some behind for a minute when the
owner is killed) and removes the folder. It needs nothing but Python's library.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from contextlib import suppress

PATIENCE = 10.0
"""Seconds after which it gives up."""


def holders(folder: str, spared: set[int]) -> list[int]:
    """Processes that have a file of `folder` open, deleted or not; none where there is no /proc."""
    found = []
    with suppress(FileNotFoundError):
        for name in os.listdir("/proc"):
            if name.isdecimal() and int(name) not in spared and _holds(f"/proc/{name}/fd", folder):
                found.append(int(name))
    return found


def _holds(descriptors: str, folder: str) -> bool:
    with suppress(OSError):  # somebody else's, or gone by now
        for one in os.listdir(descriptors):
            with suppress(OSError):
                if os.readlink(f"{descriptors}/{one}").startswith(f"{folder}/"):
                    return True
    return False


def clear(folder: str, spared: set[int]) -> None:
    """Kill who holds files of `folder`, but for `spared`, and remove it."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        alive = holders(folder, spared)
        for process in alive:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)
        if not alive and not os.path.exists(folder):
            return
        time.sleep(0.05)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    owner = os.getppid()
    sys.stdin.buffer.read()
    clear(sys.argv[1], {os.getpid(), owner})
