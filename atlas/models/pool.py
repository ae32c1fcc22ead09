"""Max pooling on the CPU, many times as fast as PyTorch's own where no gradient is asked for.

PyTorch's kernel visits every window position by position: in GoogLeNet, which pools in every block,
two fifths of the time of a forward pass. A maximum over a square is the maximum over its rows of
the maxima over its columns, and each of these is an elementwise maximum of shifted views, which
vectorizes. Values are the same to the bit.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def max_pool(
    x: Tensor, kernel: int, stride: int = 1, padding: int = 0, ceil_mode: bool = False
) -> Tensor:
    """`torch.nn.functional.max_pool2d` of (B, C, H, W)."""
    sizes = [_size(length, kernel, stride, padding, ceil_mode) for length in x.shape[2:]]
    centred = all((n - 1) * stride < length for n, length in zip(sizes, x.shape[2:], strict=True))
    graded = torch.is_grad_enabled() and x.requires_grad
    if graded or not centred or x.device.type != "cpu":
        return F.max_pool2d(x, kernel, stride, padding, ceil_mode=ceil_mode)
    for dim, size in zip((2, 3), sizes, strict=True):
        x = _pooled(x, dim, kernel, stride, padding, size)
    return x


def _size(length: int, kernel: int, stride: int, padding: int, ceil_mode: bool) -> int:
    """Positions along one edge, as PyTorch counts them."""
    span = length + 2 * padding - kernel
    size = (span + (stride - 1 if ceil_mode else 0)) // stride + 1
    if ceil_mode and (size - 1) * stride >= length + padding:
        size -= 1  # the last window would begin in the padding
    return size


def _pooled(x: Tensor, dim: int, kernel: int, stride: int, padding: int, size: int) -> Tensor:
    """Maxima along one dimension. The place `padding` of every window lies inside the image."""

    def values(place: int, first: int, last: int) -> Tensor:
        """What windows `first` to `last` have at a place."""
        index = [slice(None)] * 4
        begin = first * stride + place - padding
        index[dim] = slice(begin, begin + (last - first - 1) * stride + 1, stride)
        return x[tuple(index)]

    out = values(padding, 0, size).clone(memory_format=torch.contiguous_format)
    for place in range(kernel):
        shift = place - padding
        first = max(0, -(shift // stride))
        last = min(size, (x.shape[dim] - 1 - shift) // stride + 1)
        if shift and last > first:
            part = out.narrow(dim, first, last - first)
            torch.maximum(part, values(place, first, last), out=part)
    return out
