"""Theoretical receptive fields: which pixels a position of a layer can see at all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from atlas.models.network import Window


@dataclass(frozen=True)
class ReceptiveField:
    """Side, spacing and place of a layer's receptive fields, in input pixels.

    The field of map position i covers input pixels ``start + i·stride`` up to ``size`` further.
    """

    size: int
    stride: int
    start: int

    def centre(self, position: int) -> float:
        """Centre of the field of a map position, in pixel-edge coordinates of the input."""
        return self.start + position * self.stride + self.size / 2

    def narrowed(self, side: int) -> ReceptiveField:
        """The square of `side` pixels about the centre of every field.

        Raises:
            ValueError: it is larger than the field, or cannot have its centre because one of the
                two is odd and the other even.
        """
        if not 0 < side <= self.size or (self.size - side) % 2:
            raise ValueError(f"no centred square of {side} pixels in a field of {self.size}")
        return ReceptiveField(side, self.stride, self.start + (self.size - side) // 2)


def theoretical(path: Iterable[Window]) -> ReceptiveField:
    """Compose the windows on the way to a layer (Araujo, Norris, Sim, Distill 2019, eqs. 2-4)."""
    size, stride, start = 1, 1, 0
    for window in path:
        start -= window.before * stride
        size += (window.kernel - 1) * stride
        stride *= window.stride
    return ReceptiveField(size, stride, start)
