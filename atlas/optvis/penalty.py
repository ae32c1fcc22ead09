"""Penalties: what an image is charged for, (B,) for images (B, 3, H, W) in [0, 1].

    tv       mean over pixels and colours of |∂x| + |∂y|, neighbours' differences (Rudin et al.
             1992; Mahendran & Vedaldi 2015)
    l1       mean of |x − 0.5|
    l2       mean of (x − 0.5)²
    contrast mean of max(|logit x| − 2, 0)²: values above 0.88 or below 0.12 cost, which keeps
             an image from clipping (ours; what it costs and gains: benchmarks/claims.py)
    patches  mean squared distance of every patch to the nearest of a base (Wei et al. 2015)

They are weighed against the image's own objective, as the diversity term is: the gradient is that
of log objective − weight · penalty, so that a weight means the same in every layer.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from atlas.optvis.patches import PatchPrior
from atlas.optvis.recipe import Recipe

GREY = 0.5
LOGIT_LIMIT = 2.0


class _TotalVariation(torch.autograd.Function):
    """With its gradient written out: the slices' own would be as many images of zeros."""

    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        across = images[:, :, :, 1:] - images[:, :, :, :-1]
        down = images[:, :, 1:, :] - images[:, :, :-1, :]
        total = across.abs().sum((1, 2, 3)) + down.abs().sum((1, 2, 3))
        ctx.save_for_backward(across.sign_(), down.sign_())
        return total / images[0].numel()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        across, down = ctx.saved_tensors
        (grad,) = grads
        slope = across.new_zeros(*across.shape[:3], down.shape[3])
        slope[:, :, :, 1:] += across
        slope[:, :, :, :-1] -= across
        slope[:, :, 1:, :] += down
        slope[:, :, :-1, :] -= down
        result: Tensor = slope.mul_((grad / slope[0].numel()).view(-1, 1, 1, 1))
        return result


def total_variation(images: Tensor) -> Tensor:
    """Sum of absolute differences of neighbours, along both axes, divided by the values' number."""
    result: Tensor = _TotalVariation.apply(images)
    return result


def l1(images: Tensor) -> Tensor:
    """Mean distance from grey."""
    return (images - GREY).abs().mean((1, 2, 3))


def l2(images: Tensor) -> Tensor:
    """Mean squared distance from grey."""
    return (images - GREY).square().mean((1, 2, 3))


def contrast(images: Tensor) -> Tensor:
    """Mean square of what logits have beyond `LOGIT_LIMIT`."""
    excess = F.softshrink(torch.logit(images, eps=1e-6), LOGIT_LIMIT)
    return excess.square().mean((1, 2, 3))


_PENALTIES = {"tv": total_variation, "l1": l1, "l2": l2, "contrast": contrast}


class Penalties:
    """The weighted sum of a recipe's penalties."""

    def __init__(self, recipe: Recipe, device: torch.device | str = "cpu") -> None:
        self._parts = [
            (r.strength, _PENALTIES[r.name]) for r in recipe.regularizers if r.name in _PENALTIES
        ]
        prior = PatchPrior(recipe.patches, device) if recipe.patches is not None else None
        self._parts += [
            (r.strength, prior) for r in recipe.regularizers if r.name == "patches" and prior
        ]

    def __bool__(self) -> bool:
        return bool(self._parts)

    def __call__(self, images: Tensor) -> Tensor:
        """(B,) for images (B, 3, H, W) in [0, 1]."""
        total = images.new_zeros(len(images))
        for weight, penalty in self._parts:
            total = total + weight * penalty(images)
        return total
