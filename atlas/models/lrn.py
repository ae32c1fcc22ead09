"""Local response normalization across channels, fast on CPU and GPU.

Krizhevsky, Sutskever, Hinton 2012, §3.3, in Caffe's and PyTorch's convention (alpha divided by
the window):  y = x · d^-β,  d = 1 + α/n · Σ_{|j-i| ≤ n/2} x_j².  The channel window is a banded
1x1 convolution, and the backward pass is written out, which needs one more of those:
∂L/∂x = g·d^-β − 2αβ/n · x · Σ_window (g · x · d^(-β-1)).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from atlas.models.packed import PackedConvolution, can_pack

_USUAL = (8, 32, 32)
"""Images, height and width that weights are packed for: of Caffe's second normalization at 128 px,
eight a batch."""


class _Windows:
    """Weighted sums over a window of channels, forwards and as the gradient needs them."""

    def __init__(
        self,
        channels: int,
        dtype: torch.dtype,
        device: torch.device,
        size: int,
        alpha: float,
        beta: float,
    ) -> None:
        index = torch.arange(channels, device=device)
        # PyTorch pads size//2 before and (size-1)//2 after; sizes in use are odd.
        offset = index[None, :] - index[:, None]
        inside = (offset >= -(size // 2)) & (offset <= (size - 1) // 2)
        band = inside.to(torch.float32)[:, :, None, None] * (alpha / size)
        self.base = self._convolution(band.to(dtype), 1.0)
        self.inner = self._convolution((2 * beta * band.transpose(0, 1)).to(dtype), 0.0)

    @staticmethod
    def _convolution(band: Tensor, constant: float) -> Callable[[Tensor], Tensor]:
        bias = band.new_full((len(band),), constant)
        if can_pack(band.device):
            count, *sides = _USUAL
            return PackedConvolution(band, bias, torch.Size((count, len(band), *sides)))
        return partial(F.conv2d, weight=band, bias=bias)


_windows = lru_cache(maxsize=16)(_Windows)


def _negative_power(base: Tensor, beta: float) -> Tensor:
    """base^-β; by square roots, which are several times as fast, for the exponents in use."""
    if beta not in (0.5, 0.75):
        return base.pow(-beta)
    root = base.rsqrt()
    return root if beta == 0.5 else root.sqrt().mul_(root)


class _LocalResponseNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, size: int, alpha: float, beta: float) -> Tensor:
        windows = _windows(x.shape[1], x.dtype, x.device, size, alpha, beta)
        base = windows.base(x * x)
        power = _negative_power(base, beta)
        ctx.save_for_backward(x, base, power)
        ctx.windows = windows
        return x * power

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        (grad,) = grads
        x, base, power = ctx.saved_tensors
        direct = grad * power
        inner = ctx.windows.inner((direct * x).div_(base))
        return direct.addcmul_(inner, x, value=-1), None, None, None


def local_response_norm(x: Tensor, size: int, alpha: float, beta: float) -> Tensor:
    """Normalize x (B, C, H, W) over a window of `size` channels; k is 1."""
    result: Tensor = _LocalResponseNorm.apply(x, size, alpha, beta)
    return result
