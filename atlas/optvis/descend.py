"""Optimizers. All ascend; steps are per image, so that batch-mates do not matter.

Adam is the default (Kingma & Ba 2015). The others show what the article shows: that the direction
called steepest depends on how steps are measured (Olah et al. 2017, "Preconditioning"). For
variables x with n values an image, gradient g of the objective, and learning rate η:

    adam                   torch.optim.Adam
    sgd                    η g
    steepest-l2            η √n g / ‖g‖         the largest gain for a step of given length
    steepest-linf          η sign g             … of given largest change
    steepest-decorrelated  η √n P g / √(gᵀPg)   … of given length in decorrelated space

Over the last share of the steps the rate falls evenly to `AT_REST` of it (`Recipe.settle`).

P is the covariance of natural images: 1 / max(f, 1/S)² over frequencies, and M Mᵀ over colours
where the variables do not have colours decorrelated already. With the factor √n a value changes
by η, as root mean square (for the last: in decorrelated space).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from atlas.optvis.capture import recorded
from atlas.optvis.colour import IDENTITY, normalized
from atlas.optvis.parameterize import frequency_scale
from atlas.optvis.recipe import Recipe

AT_REST = 0.05
"""Share of the learning rate that is left at the end of settling."""


class Optimizer:
    """Steps variables, each (B, …), up their objective's gradient.

    The first `own` of them belong to images, the others to groups; lengths are measured over all
    of an image's, or of a group's, together.
    """

    def __init__(
        self,
        variables: Sequence[Tensor],
        recipe: Recipe,
        device: torch.device | str = "cpu",
        own: int | None = None,
    ) -> None:
        self._own = len(variables) if own is None else own
        self._steps, self._settle = recipe.steps, recipe.settle
        self._variables, self._name, self._most = variables, recipe.optimizer, recipe.rate
        self._rate: float | Tensor = self._most
        if recorded(device):
            self._rate = torch.tensor(self._most, device=device)
        self._adam: torch.optim.Adam | None = None
        if recipe.optimizer == "adam":
            self._adam = torch.optim.Adam(
                variables,
                lr=self._rate,
                fused=True,
                maximize=True,
                capturable=torch.device(device).type == "cuda",
            )
        if recipe.optimizer == "steepest-decorrelated":
            matrix = normalized(IDENTITY if recipe.decorrelate else recipe.colours, device)
            self._colours = matrix @ matrix.T
            self._power = frequency_scale(recipe.size, device).square()

    @property
    def bounded(self) -> bool:
        """Whether no finite gradient can step to what is not finite."""
        return self._adam is not None

    def begin(self, number: int) -> None:
        """Get ready for step `number`."""
        left = 1 - number / max(1, self._steps)
        settled = max(AT_REST, left / self._settle) if left < self._settle else 1.0
        if isinstance(self._rate, Tensor):
            self._rate.fill_(self._most * settled)
        else:
            self._rate = self._most * settled

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor]) -> None:
        """One step; `gradients` of the objective, as the variables are."""
        if self._adam is not None:
            self._adam.param_groups[0]["lr"] = self._rate
            for variable, gradient in zip(self._variables, gradients, strict=True):
                variable.grad = gradient
            self._adam.step()
            return
        for variable, direction in zip(self._variables, self._directions(gradients), strict=True):
            if isinstance(self._rate, Tensor):
                variable.add_(direction * self._rate)
            else:
                variable.add_(direction, alpha=self._rate)

    def _directions(self, gradients: Sequence[Tensor]) -> Sequence[Tensor]:
        if self._name == "sgd":
            return gradients
        if self._name == "steepest-linf":
            return [gradient.sign() for gradient in gradients]
        if self._name == "steepest-decorrelated":
            shaped = [self._shaped(gradient) for gradient in gradients]
        else:
            shaped = list(gradients)
        return [
            *_unit(shaped[: self._own], gradients[: self._own]),
            *_unit(shaped[self._own :], gradients[self._own :]),
        ]

    def _shaped(self, gradient: Tensor) -> Tensor:
        """P g."""
        spectrum = torch.fft.rfft2(gradient, norm="ortho") * self._power
        shaped = torch.fft.irfft2(spectrum, s=gradient.shape[2:], norm="ortho")
        return torch.einsum("rc,bcyx->bryx", self._colours, shaped)


def _unit(directions: Sequence[Tensor], gradients: Sequence[Tensor]) -> list[Tensor]:
    """`directions` over √⟨direction, gradient⟩ times √n, per row; zero where that is zero."""
    if not directions:
        return []
    pairs = zip(directions, gradients, strict=True)
    square = torch.stack([(d * g).flatten(1).sum(1) for d, g in pairs]).sum(0)
    values = sum(d[0].numel() for d in directions)
    scale = torch.where(square > 0, values**0.5 / square.clamp(min=1e-30).sqrt(), 0)
    return [d * scale.view(-1, *[1] * (d.ndim - 1)) for d in directions]
