"""Packed convolutions are PyTorch's, values and gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from atlas.models.packed import PackedConvolution, can_pack, folded, folded_weight

pytestmark = pytest.mark.skipif(
    not can_pack(torch.device("cpu")), reason="this PyTorch cannot pack weights"
)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def gradient(result: Tensor, x: Tensor) -> Tensor:
    (found,) = torch.autograd.grad(result, x, random(*result.shape, seed=9).to(result.dtype))
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("kernel", "padding"), [(1, 0), (3, 1), (5, 2), (4, 0), (3, 0)])
@pytest.mark.parametrize("batch", [1, 3])
def test_values_and_gradients_are_those_of_conv2d(kernel, padding, batch, dtype):
    weight, bias = random(20, 12, kernel, kernel).to(dtype), random(20, seed=1).to(dtype)
    x = random(batch, 12, 9, 14, seed=2).to(dtype).requires_grad_()
    packed = PackedConvolution(weight, bias, torch.Size((3, 12, 9, 14)), padding)
    ours, theirs = packed(x), F.conv2d(x, weight, bias, padding=padding)
    tolerance = (
        {"rtol": 2e-2, "atol": 0.2} if dtype == torch.bfloat16 else {"rtol": 1e-4, "atol": 1e-4}
    )
    torch.testing.assert_close(ours, theirs, **tolerance)
    torch.testing.assert_close(gradient(ours, x), gradient(theirs, x), **tolerance)
    with torch.no_grad():
        assert torch.equal(packed(x), ours)


@pytest.mark.parametrize("size", [(32, 32), (33, 40), (34, 35), (97, 64)])
@pytest.mark.parametrize(("kernel", "padding"), [(7, 3), (7, 0), (3, 1), (5, 2)])
def test_a_stride_of_two_is_folded_away(size, kernel, padding):
    weight, bias = random(8, 3, kernel, kernel), random(8, seed=1)
    x = random(2, 3, *size, seed=2).requires_grad_()
    ours = F.conv2d(folded(x, kernel, padding), folded_weight(weight), bias)
    theirs = F.conv2d(x, weight, bias, stride=2, padding=padding)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(gradient(ours, x), gradient(theirs, x), rtol=1e-4, atol=1e-4)


def test_a_gradient_is_a_gradient():
    """Against finite differences, not against another convolution."""
    packed = PackedConvolution(random(4, 3, 3, 3), random(4), torch.Size((1, 3, 6, 6)), 1)
    x, along = random(1, 3, 6, 6, seed=3).requires_grad_(), random(1, 3, 6, 6, seed=4)
    slope = (gradient(packed(x), x) * along).sum()
    weights = random(1, 4, 6, 6, seed=9)
    step = 1e-2
    rise = ((packed(x + step * along) - packed(x - step * along)) * weights).sum() / (2 * step)
    torch.testing.assert_close(slope, rise, rtol=1e-3, atol=1e-3)
