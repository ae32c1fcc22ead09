"""Local response normalization across channels, fast on CPU and GPU.

Krizhevsky, Sutskever, Hinton 2012, §3.3, in Caffe's and PyTorch's convention (alpha divided by
the window):  y = x · d^-β,  d = 1 + α/n · Σ_{|j-i| ≤ n/2} x_j².  The channel window is a banded
1x1 convolution, and the backward pass is written out, which needs one more of those:
∂L/∂x = g·d^-β − 2αβ/n · x · Σ_window (g · x · d^(-β-1)).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


@lru_cache(maxsize=8)
def _band(channels: int, size: int, device: torch.device) -> Tensor:
    """(C, C, 1, 1) kernel that sums a window of `size` channels around each channel."""
    index = torch.arange(channels, device=device)
    # PyTorch pads size//2 before and (size-1)//2 after; sizes in use are odd.
    offset = index[None, :] - index[:, None]
    inside = (offset >= -(size // 2)) & (offset <= (size - 1) // 2)
    return inside.to(torch.float32)[:, :, None, None]


def _negative_power(base: Tensor, beta: float) -> Tensor:
    """base^-β; by square roots, which are several times as fast, for the exponents in use."""
    if beta not in (0.5, 0.75):
        return base.pow(-beta)
    root = base.rsqrt()
    return root if beta == 0.5 else root.sqrt().mul_(root)


class _LocalResponseNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, size: int, alpha: float, beta: float) -> Tensor:
        band = _band(x.shape[1], size, x.device).to(x.dtype)
        base = F.conv2d(x * x, band).mul_(alpha / size).add_(1.0)
        power = _negative_power(base, beta)
        ctx.save_for_backward(x, base, power)
        ctx.constants = (size, alpha, beta)
        return x * power

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        (grad,) = grads
        x, base, power = ctx.saved_tensors
        size, alpha, beta = ctx.constants
        band = _band(x.shape[1], size, x.device).to(x.dtype).transpose(0, 1)
        direct = grad * power
        inner = F.conv2d((direct * x).div_(base), band)
        return direct.sub_(inner.mul_(x).mul_(2 * alpha * beta / size)), None, None, None


def local_response_norm(x: Tensor, size: int, alpha: float, beta: float) -> Tensor:
    """Normalize x (B, C, H, W) over a window of `size` channels; k is 1."""
    result: Tensor = _LocalResponseNorm.apply(x, size, alpha, beta)
    return result
