"""Our max pooling is PyTorch's."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from atlas.models.pool import max_pool

KINDS = [(3, 1, 1, False), (3, 2, 0, True), (3, 2, 0, False), (2, 2, 0, True), (3, 2, 1, True)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(3, 3), (7, 7), (8, 5), (14, 13), (28, 28), (5, 112)])
def test_values_and_gradients_are_pytorchs(kind, size):
    kernel, stride, padding, ceil = kind
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0), requires_grad=True)
    ours = max_pool(x, kernel, stride, padding, ceil)
    theirs = F.max_pool2d(x, kernel, stride, padding, ceil_mode=ceil)
    assert torch.equal(ours, theirs)
    with torch.no_grad():
        assert torch.equal(max_pool(x, kernel, stride, padding, ceil), theirs)
    above = torch.randn(theirs.shape, generator=torch.Generator().manual_seed(1))
    (mine,) = torch.autograd.grad(ours, x, above)
    (other,) = torch.autograd.grad(theirs, x, above)
    torch.testing.assert_close(mine, other)


def test_infinities_of_a_padded_border_are_never_chosen():
    x = F.pad(torch.randn(1, 2, 5, 5), (0, 1, 0, 1), value=float("-inf"))
    assert torch.equal(max_pool(x, 3, 2), F.max_pool2d(x, 3, 2))
