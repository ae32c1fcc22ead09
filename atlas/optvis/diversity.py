"""Keeping diverse images apart without driving them off their objective.

Olah et al. 2017, appendix "Diversity": subtract the pairwise similarity of Gram matrices. A fixed
weight fails (DESIGN §6), because the term and the objective have unrelated scales and either can
win. Two things make it safe here. The term's gradient is scaled by the image's own objective, so
that its weight is without units (the gradient is that of log objective − w·Σcos). And each image
is held against an *independent* image of the same objective in the same batch: its weight falls
from full to nothing as its objective falls from `FULL_AT` to `NONE_AT` of that reference's (of a
weight w above 1, to `NONE_AT` to the power w: who asks for more diversity allows for more loss).
Over the last `RELEASE` of the steps the weight goes to zero, so that every image ends on what it
is about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

FULL_AT, NONE_AT = 1.0, 0.8
RELEASE = 0.25
MEMORY = 0.9
"""Decay per step of the running objectives that are compared: random transforms make them jump."""


def gram_cosine(taps: Tensor) -> Tensor:
    """Cosine similarity of Gram matrices between the images of each group.

    Gᵢ = AᵢAᵢᵀ over space for Aᵢ (C, N). ⟨Gᵢ, Gⱼ⟩ = ‖AᵢᵀAⱼ‖²_F, so whichever takes less work is
    formed: K products C × C, or K² of N × N.

    Args:
        taps: (G, K, C, H, W), K images in each of G groups.

    Returns:
        (G, K, K), ones on the diagonal.
    """
    a = taps.flatten(3)
    groups, images, channels, positions = a.shape
    a = a / a.flatten(2).norm(dim=2).clamp(min=1e-12)[:, :, None, None]
    if images * positions < channels:
        flat = a.transpose(2, 3).reshape(groups, images * positions, channels)
        products = flat @ flat.transpose(1, 2)
        blocks = products.view(groups, images, positions, images, positions)
        inner = blocks.square().sum((2, 4))
    else:
        gram = (a @ a.transpose(2, 3)).flatten(2)
        inner = gram @ gram.transpose(1, 2)
    norm = inner.diagonal(dim1=1, dim2=2).clamp(min=1e-24).sqrt()
    cosines: Tensor = inner / (norm[:, :, None] * norm[:, None, :])
    return cosines


@dataclass(frozen=True)
class DiverseSet:
    """Rows of a diverse set's images, of the reference, and the layer they are compared at."""

    rows: tuple[int, ...]
    reference: int
    layer: str


class Diversity:
    """The diversity term of a batch, with its running comparison to the references.

    Args:
        sets: each of two images or more.
        steps: how many the whole optimization has.
        weight: of the term, 1 being the default.
    """

    def __init__(
        self,
        sets: Sequence[DiverseSet],
        steps: int,
        weight: float = 1.0,
        device: torch.device | str = "cpu",
    ) -> None:
        self._steps, self._weight = steps, weight
        self._released = torch.zeros((), device=device)  # the weight of this step
        self._floor = NONE_AT ** max(1.0, weight)
        self._mean: Tensor | None = None
        alike: dict[tuple[str, int], list[DiverseSet]] = {}
        for one in sets:
            alike.setdefault((one.layer, len(one.rows)), []).append(one)
        self._groups = [
            (
                layer,
                torch.tensor([one.rows for one in members], device=device),
                torch.tensor([one.reference for one in members], device=device),
            )
            for (layer, _), members in alike.items()
        ]

    def begin(self, number: int) -> None:
        """Get ready for step `number`."""
        release = min(1.0, (1 - number / self._steps) / RELEASE)
        self._released.fill_(self._weight * release)

    def __call__(self, taps: Mapping[str, Tensor], objective: Tensor) -> Tensor:
        """What to subtract from the batch's summed objective.

        Args:
            taps: (B, C, H, W), pre-ReLU, of each set's layer.
            objective: (B,), each image's objective at this step.
        """
        now = objective.detach()
        if self._mean is None:
            self._mean = now.clone()
        else:
            self._mean.copy_(MEMORY * self._mean + (1 - MEMORY) * now)
        total = now.new_zeros(())
        for layer, rows, references in self._groups:
            reference = self._mean[references][:, None]
            # A log-probability or a distance is never above zero: there is no share of it.
            share = torch.where(reference > 0, self._mean[rows] / reference, FULL_AT)
            strength = ((share - self._floor) / (FULL_AT - self._floor)).clamp(0, 1)
            scale = self._released * strength * now[rows].abs()
            scale = scale[:, :, None, None, None]
            images = taps[layer][rows]
            # The value of `images`, with its gradient scaled per image.
            held = images * scale + (images * (1 - scale)).detach()
            cosines = gram_cosine(held)
            total = total + cosines.sum() - cosines.diagonal(dim1=1, dim2=2).sum()
        return total
