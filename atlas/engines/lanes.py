"""Batches side by side on a CPU, each with a share of the threads.

Two small batches of one thread each are done sooner than one after the other by two threads: what
is too small to share runs on all processors too (benchmarks/peers.py, what is given at once beside
what is given layer by layer). What is rendered depends on how many threads a batch has, by
rounding; therefore the size of the whole plan decides, not what is missing of it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST = 4
"""Lanes at most: more would wait for each other's Python."""

FEWEST = 4
"""Batches a lane has to have: with few, the longest would run on when others have nothing to do."""


class AbandonedError(Exception):
    """Nobody waits for this batch any more."""


def lanes_for(batches: int, device: str) -> int:
    """How many of so many batches are rendered at a time."""
    lanes = min(MOST, torch.get_num_threads())
    return lanes if device == "cpu" and batches >= FEWEST * lanes else 1


def side_by_side(
    work: Callable[[Item, Callable[[], None]], Result],
    items: Iterable[Item],
    lanes: int,
    begins: Callable[[], bool] = lambda: True,
    apart: bool = False,
) -> Iterator[Result]:
    """What became of each item, as they are done; in one lane, in order.

    While whoever iterates has one in hand, the next are being worked on; in one lane only if they
    are to be `apart`, and otherwise in this thread.

    Args:
        work: is given an item, and what it has to call now and then: that raises `AbandonedError`
            when whoever iterates has stopped.
        lanes: how many at a time.
        begins: asked before an item; once it says no, no more are begun.
    """
    if lanes == 1 and not apart:
        for item in items:
            if not begins():
                return
            yield work(item, lambda: None)
        return
    waiting, going = deque(items), set[Future[Result]]()
    threads, gone = torch.get_num_threads(), threading.Event()

    def check() -> None:
        if gone.is_set():
            raise AbandonedError

    pool = ThreadPoolExecutor(
        lanes, initializer=torch.set_num_threads, initargs=(max(1, threads // lanes),)
    )

    def fill() -> None:
        while waiting and len(going) < lanes and begins():
            going.add(pool.submit(work, waiting.popleft(), check))

    try:
        fill()
        while going:
            done, _ = wait(going, return_when=FIRST_COMPLETED)
            going -= done
            fill()
            for one in sorted(done, key=lambda one: one.exception() is not None):
                yield one.result()  # what is finished first: an error ends it
    finally:
        gone.set()
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)
