"""Views of a dataset in batches, decoded while the network looks at those before."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atlas.examples.decode import UnreadableImageError
from atlas.examples.sources import Source
from atlas.examples.view import Viewing
from atlas.examples.workers import Encoded, View, Workers

BATCH, WIDE = 16, 64
"""Images that are decoded together for a CPU, and for a device that fewer would not keep busy."""

THREADS = 2
"""Threads that decode where no processes do."""


@dataclass(frozen=True)
class Batch:
    """Views (crop, crop, 3) of a batch and their numbers, what of it cannot be read and why, and
    whether it is the last of its chunk."""

    chunk: range
    numbers: list[int]
    views: list[NDArray[np.uint8]]
    skipped: dict[int, str]
    last: bool


def batches(
    source: Source,
    viewing: Viewing,
    todo: Sequence[range],
    size: int,
    workers: Workers | None = None,
) -> Iterator[Batch]:
    """Batches of these chunks in order, each from a multiple of `size` of its chunk.

    Args:
        workers: processes that decode; without, or where images do not come as bytes, threads of
            this process do.
    """
    cut = [
        (chunk, range(begin, min(begin + size, chunk.stop)))
        for chunk in todo
        for begin in range(chunk.start, chunk.stop, size)
    ]
    if workers is None or not source.portable:
        depth = THREADS

        def views(indices: range) -> list[View]:
            return [_view(source, index, viewing) for index in indices]
    else:
        depth = workers.count + 1
        pool = workers

        def views(indices: range) -> list[View]:
            return pool.views([_encoded(source, index) for index in indices], viewing)

    threads = ThreadPoolExecutor(depth)
    try:
        ahead: deque[Future[list[View]]] = deque()
        for at, (chunk, indices) in enumerate(cut):
            while len(ahead) < depth and at + len(ahead) < len(cut):
                ahead.append(threads.submit(views, cut[at + len(ahead)][1]))
            numbers: list[int] = []
            seen: list[NDArray[np.uint8]] = []
            skipped: dict[int, str] = {}
            for index, view in zip(indices, ahead.popleft().result(), strict=True):
                if isinstance(view, str):
                    skipped[index] = view
                else:
                    numbers.append(index)
                    seen.append(view)
            yield Batch(chunk, numbers, seen, skipped, indices.stop == chunk.stop)
    finally:
        threads.shutdown(wait=True, cancel_futures=True)


def _view(source: Source, index: int, viewing: Viewing) -> View:
    try:
        return viewing.apply(source.load(index))
    except UnreadableImageError as error:
        return str(error)


def _encoded(source: Source, index: int) -> Encoded:
    try:
        return source.encoded(index)
    except UnreadableImageError as error:
        return str(error)
