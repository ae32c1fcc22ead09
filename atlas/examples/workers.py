"""Decoding in processes of their own: they share no interpreter, and one that dies takes nothing
along. Imports no torch, so that a worker starts in a fraction of a second.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from atlas.examples.decode import UnreadableImageError, decode
from atlas.examples.view import Viewing

Encoded = Path | bytes | str
"""A file, its bytes, or why there are none."""

View = NDArray[np.uint8] | str
"""What the network sees of an image, (crop, crop, 3), or why it cannot be read."""

MOST = 16
FEWEST_IMAGES = 512
"""With fewer images than this, starting workers takes longer than they save."""


def workers_for(images: int) -> int:
    """How many processes decode that many images; 0 for none beside this one."""
    if images < FEWEST_IMAGES:
        return 0
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(MOST, mine or 1)


def view_of(encoded: Encoded, viewing: Viewing) -> View:
    """Decode one image and bring it to the network's input size."""
    if isinstance(encoded, str):
        return encoded
    try:
        source = io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded
        return viewing.apply(decode(source))
    except UnreadableImageError as error:
        return str(error)


def _views(batch: Sequence[Encoded], viewing: Viewing) -> list[View]:
    return [view_of(encoded, viewing) for encoded in batch]


def _start() -> None:
    """Nothing: asked for it, a worker starts before there is something to decode."""


def _begin() -> None:
    """A worker leaves Ctrl-C to its parent, and goes when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def decoding(images: int) -> Iterator[Workers | None]:
    """Workers for so many images, if they are worth it."""
    count = workers_for(images)
    if not count:
        yield None
        return
    with Workers(count) as workers:
        yield workers


class Workers:
    """So many processes that decode, for a ``with`` block."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool = self._fresh(count)
        for _ in range(count):
            self._pool.submit(_start)

    @staticmethod
    def _fresh(count: int) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(count, mp_context=context, initializer=_begin)

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def views(self, batch: Sequence[Encoded], viewing: Viewing) -> list[View]:
        """Views of a batch. May be called from several threads."""
        try:
            return self._pool.submit(_views, batch, viewing).result()
        except BrokenProcessPool:
            return self._one_by_one(batch, viewing)

    def _one_by_one(self, batch: Sequence[Encoded], viewing: Viewing) -> list[View]:
        """A worker died of some image of some batch: each image here in a process to die alone."""
        found: list[View] = []
        pool = self._fresh(1)
        for encoded in batch:
            try:
                found += pool.submit(_views, [encoded], viewing).result()
            except BrokenProcessPool:
                found.append("its decoder died")
                pool = self._fresh(1)
        pool.shutdown()
        return found
