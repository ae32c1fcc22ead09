"""The optimization loop: a batch of subjects under one recipe."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from atlas.errors import RecipeError
from atlas.models.network import Network, Relu
from atlas.optvis.achieved import Achieved, high_frequency, robust_scores, saturation
from atlas.optvis.capture import WARM, Recorded, recorded
from atlas.optvis.descend import Optimizer
from atlas.optvis.ensemble import Ensemble
from atlas.optvis.filters import bilateral, gaussian_blur, normalize_laplacian
from atlas.optvis.halt import Halt, magnitudes
from atlas.optvis.parameterize import (
    Parameterization,
    Shared,
    from_uint8,
    parameterization_of,
    to_uint8,
)
from atlas.optvis.penalty import Penalties
from atlas.optvis.recipe import Recipe
from atlas.optvis.relu import redirected_relu
from atlas.optvis.subject import Render, Subject

S = TypeVar("S", bound=Subject)

_IMAGE_FILTERS = {"blur": gaussian_blur, "bilateral": bilateral}
_GRADIENT_FILTERS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "gradient-blur": gaussian_blur,
    "gradient-laplacian": lambda gradient, levels: normalize_laplacian(gradient, int(levels)),
}


@dataclass(frozen=True)
class Rendered(Generic[S]):
    """A finished image, (S, S, 3) uint8 RGB, and what is known of just these pixels.

    Attributes:
        activation: its score (DESIGN §2; `Objective.reported_sign`).
        started: False when no gradient ever reached the image, or nothing of the objective was
            achieved: the picture then shows its start and says nothing about the channel.
        finite: False when numbers overflowed; it is then the last image before they did.
        steps: taken; fewer than the recipe's when it converged or overflowed.
        achieved: robust activation, saturation and so on.
        strip: the image at each checkpoint, by step.
    """

    render: S
    image: NDArray[np.uint8]
    activation: float
    started: bool
    finite: bool
    steps: int
    achieved: Achieved
    strip: Mapping[int, NDArray[np.uint8]] = field(default_factory=dict)

    @property
    def never_started(self) -> bool:
        """The opposite of `started`."""
        return not self.started


@dataclass(frozen=True)
class Step:
    """What an observer sees of a step, each with the batch first.

    `variables` are what the gradient was taken at, `gradients` the objective's (to be ascended),
    `objective` under this step's transforms.
    """

    number: int
    variables: list[Tensor]
    gradients: list[Tensor]
    objective: Tensor


Observe = Callable[[Step], None]


def render_chunk(
    network: Network,
    renders: Sequence[Render],
    recipe: Recipe,
    device: torch.device | str = "cpu",
    observe: Observe | None = None,
    check: Callable[[], None] | None = None,
) -> list[Rendered[Render]]:
    """Optimize a chunk of a plan's renders together; see `optimize`.

    Raises:
        RecipeError: renders of more than one layer.
    """
    layers = {render.unit.layer for render in renders}
    if len(layers) != 1:
        raise RecipeError(f"a chunk is of one layer, not of {', '.join(sorted(layers)) or 'none'}")
    return optimize(network, renders, recipe, device, observe, check=check)


def optimize(
    network: Network,
    subjects: Sequence[S],
    recipe: Recipe,
    device: torch.device | str = "cpu",
    observe: Observe | None = None,
    checkpoints: Collection[int] = (),
    check: Callable[[], None] | None = None,
) -> list[Rendered[S]]:
    """Optimize images together, each for its own objective.

    Start image and transforms of a subject come from its own seed and do not depend on its
    batch-mates; its pixels do, by rounding (DESIGN §5), so the same batch gives the same bytes.

    Args:
        network: on `device`.
        subjects: any objectives; those of one layer cost least.
        recipe: what they share.
        observe: called after the gradient of each step, for tests and measurements.
        checkpoints: numbers of steps after which the images are kept as well.
        check: called before each step; what it raises ends the work.

    Raises:
        RecipeError: a checkpoint beyond the last step.
        ObjectiveError: an objective that does not fit the network.
    """
    if wrong := [at for at in checkpoints if not 0 <= at <= recipe.steps]:
        raise RecipeError(f"checkpoint {wrong[0]} is not among the steps 0 to {recipe.steps}")
    ensemble = Ensemble(network, subjects, recipe, device)
    parameterization = _parameterization(ensemble, recipe, device)
    variables = _start(parameterization, ensemble, recipe)
    optimizer = Optimizer(variables, recipe, device, parameterization.own)
    penalties = Penalties(recipe, device)
    halt = Halt(ensemble.size, recipe.stop, ensemble.free, ensemble.frames, device)
    thetas = ensemble.transforms()
    started = torch.zeros_like(halt.alive)
    strip: dict[int, NDArray[np.uint8]] = {}

    def step(number: int, theta: Tensor | None, relu: Relu) -> None:
        images = parameterization(variables)
        _filter_gradient(images, recipe)
        achieved, total = ensemble.strive(images, theta, relu)
        if penalties:
            total = total - (penalties(images) * achieved.detach().abs()).sum()
        # Redirected ReLUs expect a loss, whose negative gradient is the way up.
        gradients = [-gradient for gradient in torch.autograd.grad(-total, variables)]
        if observe is not None:
            copies = [variable.detach().clone() for variable in variables]
            observe(Step(number, copies, gradients, achieved.detach()))
        largest = magnitudes(gradients[: parameterization.own])
        halt.saw(achieved, largest)
        started.logical_or_(largest != 0)
        _step(parameterization, variables, gradients, optimizer, halt, recipe)

    # What differs between steps that are recorded lies in tensors that stay.
    place = None if thetas is None else thetas.new_empty(thetas.shape[1:])
    again = Recorded(partial(step, 0, place, F.relu))
    eager = max(recipe.redirect_steps, WARM) if recorded(device) and not observe else recipe.steps
    for number in range(recipe.steps):
        if check is not None:
            check()
        if number in checkpoints:
            strip[number] = _pixels(parameterization, variables)
        optimizer.begin(number)
        ensemble.begin(number)
        theta = None if thetas is None else thetas[number]
        if number < eager:
            step(number, theta, redirected_relu if number < recipe.redirect_steps else F.relu)
        else:
            if place is not None and theta is not None:
                place.copy_(theta)
            again()
        if not halt.stepped():
            break
    with torch.no_grad():
        for late in sorted(set(checkpoints) - set(strip)):
            strip[late] = _pixels(parameterization, variables)
        return _finished(ensemble, subjects, parameterization(variables), started, halt, strip)


def _parameterization(
    ensemble: Ensemble, recipe: Recipe, device: torch.device | str
) -> Parameterization:
    own = parameterization_of(recipe, device)
    filtered = any(r.name in _IMAGE_FILTERS for r in recipe.regularizers)
    if ensemble.frames and recipe.shared and not filtered:
        return Shared(own, ensemble.frames, ensemble.size)
    return own


def _start(parameterization: Parameterization, ensemble: Ensemble, recipe: Recipe) -> list[Tensor]:
    if recipe.start is None:
        variables = parameterization.start(ensemble.starts)
    else:
        image = ensemble.photo(recipe.start).expand(ensemble.size, -1, -1, -1)
        variables = parameterization.variables_of(image)
    return [variable.contiguous().requires_grad_() for variable in variables]


def _filter_gradient(images: Tensor, recipe: Recipe) -> None:
    """Have the gradient that reaches `images` filtered on its way to the variables."""
    for regularizer in recipe.regularizers:
        if (filtered := _GRADIENT_FILTERS.get(regularizer.name)) is not None:
            hook = partial(_swapped, filtered, regularizer.strength)
            images.register_hook(hook)  # type: ignore[no-untyped-call]


def _swapped(smooth: Callable[[Tensor, float], Tensor], strength: float, value: Tensor) -> Tensor:
    return smooth(value, strength)


@torch.no_grad()
def _step(
    parameterization: Parameterization,
    variables: list[Tensor],
    gradients: list[Tensor],
    optimizer: Optimizer,
    halt: Halt,
    recipe: Recipe,
) -> None:
    """Step, filter the images, and take back what must not move or is no longer finite."""
    filtered = any(regularizer.name in _IMAGE_FILTERS for regularizer in recipe.regularizers)
    asks = not recorded(halt.alive.device)  # on a GPU, to ask would be to wait
    if optimizer.bounded and not filtered and asks and halt.alive.all():
        optimizer.step(gradients)  # nothing will have to be taken back
        return
    before = [variable.clone() for variable in variables]
    optimizer.step(gradients)
    for regularizer in recipe.regularizers:
        if (smooth := _IMAGE_FILTERS.get(regularizer.name)) is not None:
            smoothed = smooth(parameterization(variables), regularizer.strength)
            for variable, value in zip(
                variables, parameterization.variables_of(smoothed), strict=True
            ):
                variable.copy_(value)
    halt.stop(~magnitudes(variables[: parameterization.own]).isfinite())
    for variable, last, moves in zip(
        variables, before, parameterization.owners(halt.alive), strict=True
    ):
        shape = (-1,) + (1,) * (variable.ndim - 1)
        variable.copy_(torch.where(moves.view(shape), variable, last))


def _finished(
    ensemble: Ensemble,
    subjects: Sequence[S],
    images: Tensor,
    started: Tensor,
    halt: Halt,
    strip: Mapping[int, NDArray[np.uint8]],
) -> list[Rendered[S]]:
    eight = to_uint8(images)
    seen = from_uint8(eight)
    scores = ensemble.scores(seen)
    robust = robust_scores(seen, ensemble.seeds, ensemble.scores).tolist()
    started = started & (scores != 0) & scores.isfinite() if halt.taken.any() else started
    columns = (scores, started, halt.finite, halt.taken, saturation(eight), high_frequency(seen))
    values = zip(*(column.tolist() for column in columns), strict=True)
    apart, pixels = ensemble.set_diversity(seen), eight.cpu().numpy()
    finished = []
    for row, (subject, value) in enumerate(zip(subjects, values, strict=False)):
        score, began, finite, taken, saturated, high = value
        facts = Achieved(robust[row], saturated, high, apart.get(row))
        own = {step: kept[row] for step, kept in sorted(strip.items())}
        finished.append(Rendered(subject, pixels[row], score, began, finite, taken, facts, own))
    return finished


@torch.no_grad()
def _pixels(parameterization: Parameterization, variables: Sequence[Tensor]) -> NDArray[np.uint8]:
    return to_uint8(parameterization(variables)).cpu().numpy()
