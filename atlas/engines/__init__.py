"""Engines carry out missing work; what they do is decided by the plan alone.

An engine is handed chunks and yields what became of each, in any order; it keeps nothing, and only
who iterates writes to the store. Whoever iterates may stop at any time, and the engine then gives
up what it has begun. An engine asks `atlas.interrupt` between two chunks of renders and begins no
more once a signal waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from atlas.examples.sources import Source
from atlas.examples.state import State
from atlas.examples.view import Viewing
from atlas.optvis.optimize import Rendered
from atlas.optvis.recipe import Recipe
from atlas.optvis.subject import Render
from atlas.plan import Chunk

Finished = list[Rendered[Render]]
"""What became of a chunk."""


@dataclass(frozen=True)
class Lost:
    """A chunk that is given up: it cannot be finished, but others can."""

    chunk: Chunk
    reason: str


class Engine(Protocol):
    """See the module."""

    def render(self, chunks: Sequence[Chunk], recipe: Recipe) -> Iterator[Finished | Lost]:
        """Render chunks, each whole; yields what became of each.

        Raises:
            WorkError: a chunk does not fit into memory, or there is nobody to do the work.
        """

    def look(
        self,
        source: Source,
        layers: Sequence[str],
        state: State,
        viewing: Viewing,
        k: int,
        todo: Sequence[range],
        advance: Callable[[int], None],
    ) -> Iterator[State]:
        """Go on with a pass over photographs from `state`; yields the state now and then, always
        with whole chunks, and at the end with all.

        Args:
            k: examples a side.
            todo: the chunks to pass over; those that `state` covers are passed by.
            advance: told how many images are done.

        Raises:
            WorkError: there is nobody to do the work, or images that nobody survives.
        """
