"""Convolutions whose weights are brought into the processor's own order once, not at every call.

oneDNN, PyTorch's library for convolutions on a CPU, works on weights in blocks and in pairs. From a
plain tensor it makes them anew at each call, forward and backward: with two images a batch as much
work as the deep layers' convolutions themselves. A step's weights never change, so here they are
kept as it wants them. The gradient with respect to the input is a convolution too, with the kernel
turned by half a turn and input and output channels swapped, and has its own.

Values are those of `torch.nn.functional.conv2d` up to rounding.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_OPERATIONS = ("_reorder_convolution_weight", "_convolution_pointwise")
"""PyTorch's own for its compiler, of the namespace `torch.ops.mkldnn`."""


def can_pack(device: torch.device) -> bool:
    """Whether this PyTorch has the operations, and the device uses them."""
    return device.type == "cpu" and all(hasattr(torch.ops.mkldnn, one) for one in _OPERATIONS)


class PackedConvolution:
    """A convolution of stride 1, packed for batches of a shape.

    Args:
        weight: (O, I, K, K).
        bias: (O,).
        shape: of the inputs (B, I, H, W) to come; others are convolved as well, not as fast.
        padding: zeros on every side.
    """

    def __init__(self, weight: Tensor, bias: Tensor, shape: torch.Size, padding: int = 0) -> None:
        kernel = weight.shape[2]
        self._bias, self._padding, self._back = bias, padding, kernel - 1 - padding
        self._weight = _reordered(weight, shape, padding)
        length, width = (n + 2 * padding - kernel + 1 for n in shape[2:])
        self._plain, self._outputs = weight, torch.Size((shape[0], len(weight), length, width))
        self._turned: Tensor | None = None  # until a gradient is asked for

    def __call__(self, x: Tensor) -> Tensor:
        """(B, O, H', W') for x (B, I, H, W); differentiable in x."""
        if torch.is_grad_enabled() and x.requires_grad:
            result: Tensor = _Convolution.apply(x, self)
            return result
        return self.forward(x)

    def forward(self, x: Tensor) -> Tensor:
        """What `__call__` computes, without a gradient."""
        return _convolved(x, self._weight, self._bias, self._padding)

    def backward(self, grad: Tensor) -> Tensor:
        """The gradient with respect to x, for that with respect to the result."""
        if self._turned is None:
            turned = self._plain.flip(2, 3).transpose(0, 1)
            self._turned = _reordered(turned, self._outputs, self._back)
        return _convolved(grad, self._turned, None, self._back)


def _reordered(weight: Tensor, shape: torch.Size, padding: int) -> Tensor:
    result: Tensor = torch.ops.mkldnn._reorder_convolution_weight(
        weight.contiguous(memory_format=torch.channels_last),
        [padding, padding],
        [1, 1],
        [1, 1],
        1,
        list(shape),
    )
    return result


def _convolved(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    result: Tensor = torch.ops.mkldnn._convolution_pointwise(
        x.contiguous(memory_format=torch.channels_last),
        weight,
        bias,
        [padding, padding],
        [1, 1],
        [1, 1],
        1,
        "none",
        [],
        "",
    )
    return result


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, packed: PackedConvolution) -> Tensor:
        ctx.packed = packed
        return packed.forward(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (grad,) = grads
        result: Tensor = ctx.packed.backward(grad)
        return result, None


def folded(x: Tensor, kernel: int, padding: int) -> Tensor:
    """What a convolution of stride 2 looks at, for one of stride 1 and no padding.

    Four neighbours become four channels of one pixel ("space to depth"), and a kernel of 7 × 7 one
    of 4 × 4 (`folded_weight`). Over three channels the gradient then takes a third of the time:
    oneDNN has no fast one for strides.

    Args:
        x: (B, I, H, W).
        kernel: side K, odd.
        padding: zeros on every side.

    Returns:
        (B, 4 I, H' + (K − 1) / 2, W' + (K − 1) / 2), where H' × W' is the size of the result.
    """
    more = []
    for length in (x.shape[3], x.shape[2]):
        out = (length + 2 * padding - kernel) // 2 + 1
        more += [padding, 2 * out + kernel - 1 - length - padding]
    return F.pixel_unshuffle(F.pad(x, more), 2)


def folded_weight(weight: Tensor) -> Tensor:
    """The kernel for `folded`: (O, 4 I, (K + 1) / 2, (K + 1) / 2) of (O, I, K, K), K odd."""
    return F.pixel_unshuffle(F.pad(weight, (0, 1, 0, 1)), 2)
