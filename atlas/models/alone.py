"""Max pooling and normalization of a thread that computes alone, without gradients.

PyTorch's pooling also says where each maximum was, and its normalization takes several passes over
the map and a convolution. Compiled loops (Numba) read it once. They use one thread; where there are
more, gradients are wanted, or there is no Numba, PyTorch does it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from atlas.compiled import compiled
from atlas.models.lrn import local_response_norm


def max_pool(
    x: Tensor, kernel: int, stride: int, padding: int = 0, ceil_mode: bool = False
) -> Tensor:
    """As `torch.nn.functional.max_pool2d` of maps (B, C, H, W), of finite values the same."""
    loop = _loop(_max_pool, x)
    if loop is None:
        return F.max_pool2d(x, kernel, stride, padding, ceil_mode=ceil_mode)
    sides = []
    for length in x.shape[2:]:
        more = length + 2 * padding - kernel
        count = (more + (stride - 1 if ceil_mode else 0)) // stride + 1
        # As in PyTorch, a window begins inside, or in the padding before.
        sides.append(count - ((count - 1) * stride >= length + padding))
    pooled = x.new_empty(len(x), *sides, x.shape[1])
    loop(_pixels(x), pooled.numpy(), kernel, stride, padding)
    return pooled.permute(0, 3, 1, 2)


def normalized(x: Tensor, size: int, alpha: float, beta: float) -> Tensor:
    """As `local_response_norm` of maps (B, C, H, W), up to rounding."""
    loop = _loop(_normalize, x) if beta in _BY_ROOTS else None
    if loop is None:
        return local_response_norm(x, size, alpha, beta)
    result = torch.empty_like(x)
    loop(_pixels(x), _pixels(result), size, np.float32(alpha / size), _BY_ROOTS[beta])
    return result


_BY_ROOTS = {0.5: False, 0.75: True}
"""Exponents that square roots give, and whether it takes two."""


def _loop(loop: Callable[..., None], x: Tensor) -> Callable[..., None] | None:
    """The loop if these maps are for it."""
    mine = x.device.type == "cpu" and x.dtype == torch.float32 and torch.get_num_threads() == 1
    if not mine or (torch.is_grad_enabled() and x.requires_grad):
        return None
    return compiled(loop) if x.permute(0, 2, 3, 1).is_contiguous() else None


def _pixels(x: Tensor) -> Any:
    """Maps as an array (B, H, W, C)."""
    return x.permute(0, 2, 3, 1).numpy()


def _max_pool(x: Any, pooled: Any, kernel: int, stride: int, padding: int) -> None:
    images, height, width, channels = x.shape
    for b in range(images):
        for i in range(pooled.shape[1]):
            top = max(i * stride - padding, 0)
            bottom = min(i * stride - padding + kernel, height)
            for j in range(pooled.shape[2]):
                left = max(j * stride - padding, 0)
                right = min(j * stride - padding + kernel, width)
                largest, first = pooled[b, i, j], x[b, top, left]
                for c in range(channels):
                    largest[c] = first[c]
                for y in range(top, bottom):
                    for z in range(left, right):
                        pixel = x[b, y, z]
                        for c in range(channels):
                            largest[c] = pixel[c] if pixel[c] > largest[c] else largest[c]


def _normalize(x: Any, result: Any, size: int, weight: Any, twice: bool) -> None:
    images, height, width, channels = x.shape
    squares = np.zeros(channels + size - 1, np.float32)  # nothing beyond the first and the last
    before, one = size // 2, np.float32(1)
    sums = np.empty(channels, np.float32)
    for b in range(images):
        for i in range(height):
            for j in range(width):
                pixel, normal = x[b, i, j], result[b, i, j]
                for c in range(channels):
                    squares[c + before] = pixel[c] * pixel[c]
                    sums[c] = 0
                for k in range(size):
                    for c in range(channels):
                        sums[c] += squares[c + k]
                for c in range(channels):
                    root = np.sqrt(one + weight * sums[c])
                    if twice:
                        root *= np.sqrt(root)
                    normal[c] = pixel[c] / root
