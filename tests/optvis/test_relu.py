"""The ReLU that lets a blocked gradient through, against its definition."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from atlas.optvis.relu import redirected_relu


def defined(x: Tensor, grad: Tensor) -> Tensor:
    """The rule, image by image (a loss's gradient: negative ones push up)."""
    rows = []
    for value, slope in zip(x, grad, strict=True):
        ordinary = slope * (value > 0)
        redirected = torch.where((value < 0) & (slope > 0), 0, slope)
        rows.append(ordinary if ordinary.abs().max() > 0 else redirected)
    return torch.stack(rows)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(4, 3, 9, 11), (4, 5, 40), (4, 30)])
@pytest.mark.parametrize("blocked", [(), (1,), (0, 1, 2, 3)])
def test_only_images_without_any_gradient_get_another(shape, blocked, dtype):
    rng = torch.Generator().manual_seed(5)
    x = torch.randn(shape, generator=rng).to(dtype)
    grad = torch.randn(shape, generator=rng).to(dtype)
    for row in blocked:
        x[row] = -x[row].abs()
    x.requires_grad_()
    result = redirected_relu(x)
    assert torch.equal(result, x.clamp(min=0))
    (found,) = torch.autograd.grad(result, x, grad)
    assert torch.equal(found, defined(x, grad))


def test_a_gradient_at_one_far_place_is_enough():
    x = torch.full((2, 3, 12, 12), -1.0)
    x[0, 2, 11, 11] = 1.0
    grad = -torch.ones_like(x)
    x.requires_grad_()
    (found,) = torch.autograd.grad(redirected_relu(x), x, grad)
    assert found[0].count_nonzero() == 1
    assert (found[1] == -1).all()
