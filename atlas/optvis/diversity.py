"""Keeping diverse images apart without driving them off their channel.

Olah et al. 2017, appendix "Diversity": subtract the pairwise similarity of Gram matrices. A fixed
weight fails (DESIGN §6), because the term and the objective have unrelated scales and either can
win. Two things make it safe here. The term's gradient is scaled by the image's own objective, so
that its weight is without units (the gradient is that of log objective − w·Σcos). And each image
is held against an *independent* positive render of the same channel in the same batch: its weight
falls from full to nothing as its objective falls from `FULL_AT` to `NONE_AT` of that reference's.
Over the last `RELEASE` of the steps the weight goes to zero, so that every image ends on what it
is about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from atlas.optvis.objective import gram_cosine
from atlas.optvis.recipe import DIVERSE, Render, seed_for
from atlas.units import Unit

WEIGHT = 1.0
FULL_AT, NONE_AT = 1.0, 0.8
RELEASE = 0.25
MEMORY = 0.9
"""Decay per step of the running objectives that are compared: random transforms make them jump."""


@dataclass(frozen=True)
class Groups:
    """Rows of the diverse images, (G, K), and of each group's reference, (G,), in a batch."""

    rows: Tensor
    references: Tensor


def with_references(renders: Sequence[Render], base: int = 0) -> tuple[Render, ...]:
    """`renders`, and behind them the positive render of every diverse group that lacks one."""
    positives = {r.unit for r in renders if r.kind == "positive"}
    units = dict.fromkeys(r.unit for r in renders if r.kind == "diverse")
    missing = [unit for unit in units if unit not in positives]
    extra = (Render(unit, "positive", 0, seed_for(unit, "positive", 0, base)) for unit in missing)
    return (*renders, *extra)


def groups_of(renders: Sequence[Render], device: torch.device | str = "cpu") -> Groups | None:
    """The complete diverse groups among `renders`, which must come `with_references`."""
    members: dict[Unit, list[int]] = {}
    reference: dict[Unit, int] = {}
    for row, render in enumerate(renders):
        if render.kind == "diverse":
            members.setdefault(render.unit, []).append(row)
        elif render.kind == "positive":
            reference.setdefault(render.unit, row)
    whole = {unit: rows for unit, rows in members.items() if len(rows) == DIVERSE}
    if not whole:
        return None
    return Groups(
        torch.tensor(list(whole.values()), device=device),
        torch.tensor([reference[unit] for unit in whole], device=device),
    )


class Diversity:
    """The diversity term of a batch, with its running comparison to the references."""

    def __init__(self, groups: Groups, steps: int) -> None:
        self._groups = groups
        self._steps, self._taken = steps, 0
        self._mean: Tensor | None = None

    def __call__(self, taps: Tensor, objective: Tensor) -> Tensor:
        """What to subtract from the batch's summed objective.

        Args:
            taps: (B, C, H, W), pre-ReLU.
            objective: (B,), each image's objective at this step.
        """
        rows = self._groups.rows
        now = objective.detach()
        self._mean = now if self._mean is None else MEMORY * self._mean + (1 - MEMORY) * now
        reference = self._mean[self._groups.references][:, None].clamp(min=1e-12)
        share = self._mean[rows] / reference
        strength = ((share - NONE_AT) / (FULL_AT - NONE_AT)).clamp(0, 1)
        release = min(1.0, (1 - self._taken / self._steps) / RELEASE)
        self._taken += 1
        weight = WEIGHT * release * strength * now[rows].clamp(min=0)
        images = taps[rows]
        scale = weight[:, :, None, None, None]
        # The value of `images`, with its gradient scaled per image.
        held = images * scale + (images * (1 - scale)).detach()
        cosines = gram_cosine(held)
        return cosines.sum() - cosines.diagonal(dim1=1, dim2=2).sum()
