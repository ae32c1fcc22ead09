"""What of a pass over photographs is done, in hand and left while several workers share it."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Sequence

import torch

from atlas.engines.pool import TRIES, Event
from atlas.errors import WorkError
from atlas.examples import collect
from atlas.examples.ahead import BATCH
from atlas.examples.checkpoint import unpack_state
from atlas.examples.state import State

TAKE = "take"
"""The job of handing in what was seen."""

Run = tuple[range, ...]
"""Chunks that are handed out together."""


def grouped(chunks: Sequence[range], workers: int) -> list[Run]:
    """Runs of chunks to hand out one at a time.

    Long enough for what a worker does once a run (decoding the first batch, sorting lists) not to
    matter, short enough for nobody to wait long for the last one.
    """
    images = sum(len(chunk) for chunk in chunks)
    least = collect.TOGETHER * BATCH
    share = max(least, min(math.ceil(images / (16 * workers)), 16 * least))
    runs: list[Run] = []
    for chunk in chunks:
        if runs and sum(map(len, runs[-1])) < share:
            runs[-1] += (chunk,)
        else:
            runs.append((chunk,))
    return runs


class Shares:
    """A pass's bookkeeping.

    A worker `held` what it looked at until it hands in; if it dies, all of that is left again. A
    run that a worker died of is handed out again chunk by chunk, until it is known which.

    Args:
        runs: what is to be looked at.
        state: what others have seen.
    """

    def __init__(
        self, runs: Sequence[Run], state: State, device: torch.device | str = "cpu"
    ) -> None:
        self.todo, self.state = deque(runs), state
        self.fatal: list[range] = []
        self.done = state.images + len(state.skipped)
        self._device = device
        self._deaths: Counter[range] = Counter()

    def happened(self, event: Event) -> bool:
        """Take note of what became of a run or of a handing in; whether `state` is another now.

        Raises:
            WorkError: what was handed in is damaged.
        """
        member = event.member
        if event.died is not None:
            self._lose(event)
        elif event.job == TAKE:
            seen = unpack_state(event.result, self._device)
            if seen is None:
                raise WorkError("what a worker has seen of the photographs arrived damaged")
            self.state = self.state.merge(seen)
            member.held, member.since = [], time.monotonic()
            return True
        else:
            member.held.append(event.job)
            self.done += _images(event.job)
        return False

    def _lose(self, event: Event) -> None:
        held: list[Run] = event.member.held
        self.done -= sum(map(_images, held))
        culprits = held if event.job == TAKE else [event.job]
        self.todo.extend(run for run in held if run not in culprits)
        for chunk in (chunk for run in culprits for chunk in run):
            self._deaths[chunk] += 1
            if self._deaths[chunk] < TRIES:
                self.todo.append((chunk,))
            else:
                self.fatal.append(chunk)


def _images(run: Run) -> int:
    return sum(len(chunk) for chunk in run)
