"""A command, run as its users run it, and what it cost: time and memory of all its processes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from atlas.errors import WorkError

EVERY = 0.05
"""Seconds between two looks at the memory."""


@dataclass(frozen=True)
class Cost:
    """What a command took: seconds that passed, seconds of processor time, most bytes in memory at
    a time, and what it printed."""

    seconds: float
    processor: float
    peak: int
    output: str


def run(command: Sequence[str]) -> Cost:
    """Run a command to its end (Linux).

    Raises:
        WorkError: it failed.
    """
    with tempfile.TemporaryFile("w+") as log:
        start = time.monotonic()
        progress = None if sys.stderr.isatty() else subprocess.STDOUT  # None: to be seen
        process = subprocess.Popen(command, stdout=log, stderr=progress)
        peak = 0
        try:
            while True:
                ended, status, usage = os.wait4(process.pid, os.WNOHANG)
                if ended:
                    break
                peak = max(peak, memory(process.pid))
                time.sleep(EVERY)
        except BaseException:
            process.kill()
            raise
        seconds = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        output = log.read()
    if process.returncode:
        last = output.strip().rpartition("\n")[2]
        raise WorkError(f"{' '.join(command[:4])} … ended with {process.returncode}: {last}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, peak, output)


def memory(pid: int) -> int:
    """Bytes that a process and its descendants have in memory, shared ones counted once."""
    family = [pid]
    for one in family:
        family += _children(one)
    if len(family) == 1:
        return _kilobytes(pid, "status", "VmRSS") * 1024
    return sum(_kilobytes(one, "smaps_rollup", "Pss") for one in family) * 1024


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):  # it may end at any time, as a whole or one of its threads
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found += map(int, (task / "children").read_text().split())
    return found


def _kilobytes(pid: int, file: str, field: str) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1])
    return 0
