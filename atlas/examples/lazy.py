"""Items that are made when they are asked for, of datasets too large to list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import overload

from atlas.examples.sources import Item


class LazyItems(Sequence[Item]):
    """`total` items, the i-th of which is ``make(i)``."""

    def __init__(self, total: int, make: Callable[[int], Item]) -> None:
        self._total, self._make = total, make

    def __len__(self) -> int:
        return self._total

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | Sequence[Item]:
        if isinstance(index, slice):
            return [self._make(i) for i in range(*index.indices(self._total))]
        if not -self._total <= index < self._total:
            raise IndexError(index)
        return self._make(index % self._total)
