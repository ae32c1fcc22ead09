"""Progress: a bar with rate and time left on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Never

from tqdm import tqdm

LINE_EVERY = 15.0
"""Seconds between plain lines."""


class Progress:
    """Counts finished work of one stage; use as a context manager.

    Args:
        what: the stage, e.g. ``rendering``.
        total: how much there is to do, in `unit`.
        quiet: say nothing.
    """

    def __init__(self, what: str, total: int, unit: str, quiet: bool = False) -> None:
        self._what, self._total, self._unit, self._quiet = what, total, unit, quiet
        self._done, self._start = 0, time.monotonic()
        self._last = self._start
        self._bar: tqdm[Never] | None = None
        if not quiet and sys.stderr.isatty():
            self._bar = tqdm(total=total, desc=what, unit=f" {unit}", leave=False)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None or error is None:
            self.close()

    def close(self) -> None:
        """Take the bar away, or say how it ended."""
        if self._bar is not None:
            self._bar.close()
        elif not self._quiet and self._done:
            self._line()

    def advance(self, to: int) -> None:
        """Report that `to` pieces in all are done."""
        if self._bar is not None:
            self._bar.update(to - self._done)
        self._done = to
        now = time.monotonic()
        if self._bar is None and not self._quiet and now - self._last >= LINE_EVERY:
            self._last = now
            self._line()

    def _line(self) -> None:
        elapsed = time.monotonic() - self._start
        rate = self._done / elapsed if elapsed else 0.0
        text = f"{self._what}: {self._done}/{self._total} {self._unit}, {rate:.1f} a second"
        if rate and self._done < self._total:
            text += f", {in_words((self._total - self._done) / rate)} left"
        print(text, file=sys.stderr, flush=True)


@contextmanager
def reported(
    what: str, unit: str, quiet: bool = False, least: int = 1
) -> Iterator[Callable[[int, int], None]]:
    """A function to be told (done, total), for work that says itself how much it is.

    Args:
        least: with less to do than this, nothing is shown.
    """
    bars: list[Progress] = []

    def report(done: int, total: int) -> None:
        if not bars:
            bars.append(Progress(what, total, unit, quiet or total < least))
        bars[0].advance(done)

    try:
        yield report
    finally:
        for bar in bars:
            bar.close()


def in_words(seconds: float) -> str:
    """A duration for people: ``42 s``, ``3 min 5 s``, ``2 h 10 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s" if seconds >= 10 else f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def in_bytes(size: int) -> str:
    """A size for people: ``512 B``, ``17.3 kB``, ``2.8 GB``."""
    value, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.1f} {unit}" if unit != "B" else f"{size} B"
