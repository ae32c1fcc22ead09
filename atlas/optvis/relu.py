"""A ReLU that lets a blocked gradient through.

If every path to the image is blocked by ReLUs that are off, optimization never starts. Lucid's
remedy (`misc/redirected_relu_grad`), per image:

    ordinary gradient   g where x > 0, else 0
    redirected          g where x > 0, or where the step would push x up; else 0
    used                the ordinary one, unless it is zero everywhere in this image
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_SEEN = 16
"""Positions of a map that are looked at first: one that is not blocked shows there as a rule, and
to look at all of them takes as long as a convolution."""


class _RedirectedRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (grad,) = grads
        (x,) = ctx.saved_tensors
        ordinary: Tensor = torch.ops.aten.threshold_backward(grad, x, 0)
        on_cpu = grad.device.type == "cpu"  # on a GPU, to ask would be to wait
        if on_cpu and grad.ndim > 2:
            some = ordinary.flatten(2)[..., :_SEEN] != 0
            if some.flatten(1).any(1).all():
                return ordinary
        blocked = ordinary.abs().amax(dim=tuple(range(1, grad.ndim))) == 0
        if on_cpu and not blocked.any():
            return ordinary
        # Losses are minimized: a negative gradient pushes x up.
        redirected = torch.where((x < 0) & (grad > 0), 0, grad)
        shape = (-1,) + (1,) * (grad.ndim - 1)
        return torch.where(blocked.view(shape), redirected, ordinary)


def redirected_relu(x: Tensor) -> Tensor:
    """max(x, 0) for x (B, …); an image whose gradient would be all zero gets a redirected one."""
    result: Tensor = _RedirectedRelu.apply(x)
    return result
