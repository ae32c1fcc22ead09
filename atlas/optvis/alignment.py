"""Aligning the frames of an interpolation, so that neighbours resemble each other.

Mordvintsev et al. 2018, *Differentiable Image Parameterizations*, "Aligned neuron interpolation":
activations of a lower layer should change little between neighbouring frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

REACH = 4
"""Frames this far apart are still compared, each step counting half of the last (Lucid)."""


def alignment(taps: Tensor) -> Tensor:
    """Σ over d = 1…4 and frames i of mean((aᵢ − aᵢ₊d)²) / 2^d, a number.

    Args:
        taps: (n, C, H, W), one frame after the other.
    """
    total = taps.new_zeros(())
    for distance in range(1, min(REACH, len(taps) - 1) + 1):
        apart = (taps[:-distance] - taps[distance:]).square().mean((1, 2, 3))
        total = total + apart.sum() / 2**distance
    return total


@dataclass(frozen=True)
class Sequenced:
    """Rows of the frames of one interpolation, in order, and the layer they are aligned at."""

    rows: tuple[int, ...]
    layer: str


class Alignment:
    """The alignment term of a batch.

    Divided by the frames' mean square activation, and its gradient multiplied by each frame's own
    objective: like the diversity term it has a weight without units.
    """

    def __init__(
        self, sequences: Sequence[Sequenced], weight: float, device: torch.device | str
    ) -> None:
        self._weight = weight
        self._sequences = [(one.layer, torch.tensor(one.rows, device=device)) for one in sequences]

    def __call__(self, taps: Mapping[str, Tensor], objective: Tensor) -> Tensor:
        """What to subtract from the batch's summed objective."""
        total = objective.new_zeros(())
        for layer, rows in self._sequences:
            frames = taps[layer][rows]
            energy = frames.detach().square().mean().clamp(min=1e-12)
            size = objective.detach()[rows].abs()[:, None, None, None]
            # The value of `frames`, with its gradient scaled per frame.
            held = frames * size + (frames * (1 - size)).detach()
            total = total + self._weight / energy * alignment(held)
        return total
