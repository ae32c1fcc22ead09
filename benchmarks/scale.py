"""Time and memory against the number of channels, photographs and pages.

    python benchmarks/scale.py

Each is done for n and for 2n of them, as its users do it (``atlas render``, ``atlas examples``,
``atlas pages``), in a process and an empty store of its own, in turn, three rounds. The start of
the process, the same for both, is measured by a run with next to nothing to do and taken off: so
"times" is what the second n cost beside the first. Exits with 1 if 2n take more than 2.1 times as
much processor time as n, or more than 1.15 times the memory.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from watch import Cost, run

import atlas

MOST_TIMES, MOST_MEMORY = 2.1, 1.15

Work = Callable[[int, Path], Cost]
"""Does so many of something in an empty folder."""


def command(folder: Path, *arguments: object) -> Cost:
    """An ``atlas`` command with the embedded network, a store in `folder` and no other config."""
    config = folder / "atlas.toml"
    config.write_text('[model]\nname = "googlenet-mini"\n')
    named = ("-c", config, "--store", folder / "store", "-q")
    return run([sys.executable, "-m", "atlas", *map(str, (*arguments, *named))])


def renders(count: int, folder: Path) -> Cost:
    """Positive renders of so many channels of one layer."""
    return command(
        folder, "render", "--units", f"mixed4b:0-{count - 1}", "--kinds", "positive",
        "--size", 96, "--steps", 32,
    )  # fmt: skip


def photographs(count: int, folder: Path) -> Cost:
    """A pass over so many photographs for all channels of two layers."""
    return command(
        folder, "examples", "--units", "mixed3b,mixed4b", "--dataset", "sample", "--limit", count
    )


def pages(count: int, folder: Path) -> Cost:
    """Pages of so many channels with a render each, which are there."""
    which = ("--units", f"conv2d2:0-{count - 1}", "--kinds", "positive", "--size", 32, "--steps", 8)
    command(folder, "render", *which)
    return command(folder, "pages", *which, "--out", folder / "site")


def measure(work: Work, count: int, rounds: int) -> tuple[list[float], list[float]]:
    """Ratios of processor time, less the start, and of memory, of 2n to n, round by round."""
    times, memory = [], []
    for _ in range(rounds):
        costs = []
        for many in (1, count, 2 * count):
            with tempfile.TemporaryDirectory() as folder:
                costs.append(work(many, Path(folder)))
        start, once, twice = costs
        times.append((twice.processor - start.processor) / (once.processor - start.processor))
        memory.append(twice.peak / once.peak)
        print(
            f"  {count:5} {once.seconds:7.1f} s {once.processor:7.1f} s {once.peak / 1e6:7.0f} MB"
            f"   {2 * count:5} {twice.seconds:7.1f} s {twice.processor:7.1f} s "
            f"{twice.peak / 1e6:7.0f} MB   start {start.processor:5.1f} s",
            flush=True,
        )
    return times, memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--photographs", type=int, default=512)
    parser.add_argument("--pages", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    failed = False
    print("  of n: wall clock, processors, memory at most; then of 2n")
    for name, work, count in (
        ("channels", renders, options.channels),
        ("photographs", photographs, options.photographs),
        ("pages", pages, options.pages),
    ):
        print(name)
        times, memory = (np.median(v) for v in measure(work, count, options.rounds))
        holds = times <= MOST_TIMES and memory <= MOST_MEMORY
        failed |= not holds
        print(
            f"  {'holds' if holds else 'FAILS'}: 2n take {times:.2f} times as long (medians), "
            f"{memory:.2f} times the memory"
        )
    print(
        f"\nchannel-atlas {atlas.__version__}, googlenet-mini, torch {torch.__version__}, "
        f"python {platform.python_version()}, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    sys.exit(failed)


if __name__ == "__main__":
    main()
