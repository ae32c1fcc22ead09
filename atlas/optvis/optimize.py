"""The optimization loop: a chunk of renders of one layer, in one batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from atlas.errors import RecipeError
from atlas.models.network import Network
from atlas.optvis.diversity import Diversity, groups_of, with_references
from atlas.optvis.objective import Objective
from atlas.optvis.parameterize import FourierImage, from_uint8, start_spectrum, to_uint8
from atlas.optvis.recipe import Recipe, Render, stream
from atlas.optvis.relu import redirected_relu
from atlas.optvis.transform import warp


@dataclass(frozen=True)
class Rendered:
    """A finished render: (S, S, 3) uint8 RGB, and its score on just these pixels (DESIGN §2).

    `started` is False when no gradient ever reached the image, or nothing of the objective was
    achieved: the picture then shows its random start and says nothing about the channel.
    """

    render: Render
    image: NDArray[np.uint8]
    activation: float
    started: bool


@dataclass(frozen=True)
class Step:
    """What an observer sees of a step, each with the batch first.

    `spectrum` are the coefficients the gradient was taken at, `gradient` the objective's (to be
    ascended), `objective` under this step's transforms.
    """

    number: int
    spectrum: Tensor
    gradient: Tensor
    objective: Tensor


def render_chunk(
    network: Network,
    renders: Sequence[Render],
    recipe: Recipe,
    device: torch.device | str = "cpu",
    observe: Callable[[Step], None] | None = None,
) -> list[Rendered]:
    """Optimize a chunk of renders together.

    Start image and transforms of a render come from its own seed and do not depend on its
    batch-mates; its pixels do, by rounding (DESIGN §5), so a chunk is always rendered whole.

    Args:
        network: tapped at the renders' layer, on `device`.
        renders: of one layer; different channels and kinds are welcome.
        recipe: what they share.
        observe: called after the gradient of each step, for tests and film strips.

    Raises:
        RecipeError: renders of more than one layer.
    """
    layers = {render.unit.layer for render in renders}
    if len(layers) != 1:
        raise RecipeError(f"a chunk is of one layer, not of {', '.join(sorted(layers)) or 'none'}")
    (layer,) = layers
    batch = with_references(renders)
    objective = Objective(batch, device)
    groups = groups_of(batch, device)
    diversity = Diversity(groups, recipe.steps) if groups is not None else None
    to_image = FourierImage(recipe.size, device)
    thetas = _draw_transforms(batch, recipe, device)
    spectrum = start_spectrum(batch, recipe.size).to(device).requires_grad_()
    optimizer = torch.optim.Adam([spectrum], lr=recipe.learning_rate, fused=True)
    started = torch.zeros(len(batch), dtype=torch.bool, device=device)

    for number in range(recipe.steps):
        relu = redirected_relu if number < recipe.redirect_steps else F.relu
        taps = network.taps(warp(to_image(spectrum), thetas[number]), layer, relu)
        achieved = objective(taps, relu, thetas[number])
        loss = -achieved.sum()
        if diversity is not None:
            loss = loss + diversity(taps, achieved)
        (spectrum.grad,) = torch.autograd.grad(loss, spectrum)
        if observe is not None:
            observe(Step(number, spectrum.detach().clone(), -spectrum.grad, achieved.detach()))
        started |= spectrum.grad.flatten(1).any(dim=1)
        optimizer.step()

    with torch.no_grad():
        images = to_uint8(to_image(spectrum))
        final = network.taps(from_uint8(images), layer)
        scores = objective.score(final)
        if recipe.steps:
            started &= (scores != 0) & scores.isfinite()
    pixels, values, flags = images.cpu().numpy(), scores.tolist(), started.tolist()
    return [
        Rendered(render, pixels[row], values[row], flags[row]) for row, render in enumerate(renders)
    ]


def _draw_transforms(
    renders: Sequence[Render], recipe: Recipe, device: torch.device | str
) -> Tensor:
    """(steps, B, 2, 3) affine maps, each render's from its own seed."""
    draws = [
        recipe.transforms.draw(stream(r.seed, "transforms"), recipe.steps, recipe.size)
        for r in renders
    ]
    return torch.from_numpy(np.stack(draws, axis=1)).to(device)
