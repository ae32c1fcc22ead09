"""Photographs looked at side by side, each few by one thread.

Threads that share a layer wait for each other at its end, dozens of times a batch, and what else
wants a processor (decoding, bringing lists up to date) holds up all of them. Here each thread has
images of its own and waits for nobody. What is found does not depend on how many threads there are.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from atlas.examples.ahead import BATCH, Batch
from atlas.examples.look import Columns, Look, look_at
from atlas.examples.scan import prepare
from atlas.models.network import Fitted, Network

FEW = 4
"""Images that a thread takes at a time on a CPU: their maps stay near it."""

MOST = 16
"""Threads at most that look: more would wait for each other's Python. They have a share each."""

AHEAD = 2
"""Batches at least that are begun before one is waited for."""

Seen = tuple[Look, Mapping[str, tuple[int, int]]]
"""What was seen of some images, and the size of each layer's map."""


def shared(device: torch.device | str) -> bool:
    """Whether threads share out the images: on a CPU. Another device takes a batch whole."""
    return torch.device(device).type == "cpu"


@contextmanager
def beside() -> Iterator[None]:
    """For what this thread computes on its own while others look: it takes no more than itself."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(threads)


def looks(
    network: Network,
    batches: Iterator[Batch],
    columns: Columns,
    side: int,
    device: torch.device | str = "cpu",
) -> Iterator[tuple[Batch, list[Seen]]]:
    """Each batch in its turn with what it shows in every channel, in pieces; the next are being
    looked at in the meantime.

    Args:
        network: on `device`.
        side: of the views, in pixels.
    """
    on_cpu = shared(device)
    threads = torch.get_num_threads()
    lanes = min(MOST, threads) if on_cpu else 1
    if on_cpu and isinstance(network, Fitted):
        network = network.fitted(torch.float32)  # its weights packed

    def ready() -> None:
        """What takes a while, and would depend on who comes first: weights are packed for
        the shape they first meet, and products may be rounded otherwise for another."""
        prepare()
        if isinstance(network, Fitted):
            with torch.inference_mode():
                for _ in network.walk(torch.zeros(FEW, 3, side, side), tuple(columns.layers)):
                    pass

    def look(images: Sequence[int], views: Sequence[NDArray[np.uint8]], chunk: int) -> Seen:
        with torch.inference_mode():
            x = torch.from_numpy(np.stack(views)).to(device).permute(0, 3, 1, 2)
            x = x.to(torch.float32).div_(255)
            numbers = torch.tensor(images, device=device)
            return look_at(network, x, numbers, chunk, columns)

    def begun(batch: Batch) -> tuple[Batch, list[Future[Seen]]]:
        few = FEW if on_cpu else max(1, len(batch.numbers))
        pieces = [slice(at, at + few) for at in range(0, len(batch.numbers), few)]
        return batch, [
            pool.submit(look, batch.numbers[at], batch.views[at], batch.chunk.start)
            for at in pieces
        ]

    def ended() -> tuple[Batch, list[Seen]]:
        batch, pieces = going.popleft()
        return batch, [piece.result() for piece in pieces]

    pool = ThreadPoolExecutor(
        lanes, initializer=torch.set_num_threads, initargs=(max(1, threads // lanes),)
    )
    going: deque[tuple[Batch, list[Future[Seen]]]] = deque()
    ahead = max(AHEAD, math.ceil(2 * lanes * FEW / BATCH)) if on_cpu else 1
    try:
        begins = pool.submit(ready) if on_cpu else None  # until the first batch is decoded
        for batch in batches:
            if begins is not None:
                begins.result()
            going.append(begun(batch))
            if len(going) > ahead:
                yield ended()
        while going:
            yield ended()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)
