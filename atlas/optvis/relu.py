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


class _RedirectedRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (grad,) = grads
        (x,) = ctx.saved_tensors
        ordinary = torch.where(x > 0, grad, 0)
        blocked = ordinary.abs().amax(dim=tuple(range(1, grad.ndim))) == 0
        if grad.device.type == "cpu" and not blocked.any():  # on a GPU, to ask would be to wait
            return ordinary
        # Losses are minimized: a negative gradient pushes x up.
        redirected = torch.where((x < 0) & (grad > 0), 0, grad)
        shape = (-1,) + (1,) * (grad.ndim - 1)
        return torch.where(blocked.view(shape), redirected, ordinary)


def redirected_relu(x: Tensor) -> Tensor:
    """max(x, 0) for x (B, …); an image whose gradient would be all zero gets a redirected one."""
    result: Tensor = _RedirectedRelu.apply(x)
    return result
