"""A thread alone pools and normalizes as PyTorch does."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from atlas.models import alone
from atlas.models.alone import max_pool, normalized

LAST = torch.channels_last


@pytest.fixture(autouse=True)
def loops(monkeypatch):
    """One thread, and which loops ran."""
    ran = []
    compiled = alone.compiled

    def noted(loop):
        ran.append(loop.__name__)
        return compiled(loop)

    monkeypatch.setattr(alone, "compiled", noted)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield ran
    torch.set_num_threads(before)


def maps(seed: int, *shape: int) -> torch.Tensor:
    draws = torch.Generator().manual_seed(seed)
    return (torch.randn(shape, generator=draws) * 30).contiguous(memory_format=LAST)


@pytest.mark.parametrize("shape", [(1, 1, 3, 3), (2, 5, 7, 4), (1, 33, 14, 15), (3, 64, 9, 9)])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "ceil_mode"),
    [(3, 1, 1, False), (3, 2, 0, True), (3, 2, 0, False), (2, 2, 0, True), (3, 2, 1, True),
     (2, 3, 1, True)],
)  # fmt: skip
def test_pooling_is_pytorchs(loops, shape, kernel, stride, padding, ceil_mode):
    x = maps(sum(shape), *shape)
    found = max_pool(x, kernel, stride, padding, ceil_mode)
    assert loops == ["_max_pool"]
    assert torch.equal(found, F.max_pool2d(x, kernel, stride, padding, ceil_mode=ceil_mode))


@pytest.mark.parametrize("shape", [(1, 1, 3, 3), (2, 5, 7, 4), (3, 64, 9, 9), (1, 192, 4, 4)])
@pytest.mark.parametrize(("size", "beta"), [(5, 0.75), (9, 0.5)])
def test_normalization_is_pytorchs(loops, shape, size, beta):
    x = maps(sum(shape), *shape)
    found = normalized(x, size, 1e-2, beta)
    assert loops == ["_normalize"]
    torch.testing.assert_close(found, F.local_response_norm(x, size, 1e-2, beta))


def test_other_exponents_are_left_to_pytorch(loops):
    x = maps(0, 2, 8, 4, 4)
    found = normalized(x, 5, 1e-2, 0.6)
    assert not loops
    torch.testing.assert_close(found, F.local_response_norm(x, 5, 1e-2, 0.6))


@pytest.mark.parametrize("how", ["gradient", "threads", "half", "order"])
def test_where_it_is_not_for_a_loop_pytorch_does_it(loops, how):
    x = maps(1, 2, 8, 6, 6)
    if how == "gradient":
        x.requires_grad_()
    elif how == "threads":
        torch.set_num_threads(2)
    elif how == "half":
        x = x.bfloat16()
    else:
        x = x.contiguous()
    pooled, normal = max_pool(x, 3, 2, ceil_mode=True), normalized(x, 5, 1e-2, 0.75)
    assert not loops
    assert torch.equal(pooled, F.max_pool2d(x, 3, 2, ceil_mode=True))
    expected = F.local_response_norm(x.float(), 5, 1e-2, 0.75)
    tolerance = {"rtol": 2e-2, "atol": 1e-2} if how == "half" else {}
    torch.testing.assert_close(normal.float(), expected, **tolerance)
    if how == "gradient":
        pooled.sum().backward()
        assert x.grad is not None


def test_without_numba_pytorch_does_it(monkeypatch):
    monkeypatch.setattr(alone, "compiled", lambda _: None)
    x = maps(2, 2, 8, 6, 6)
    assert torch.equal(max_pool(x, 3, 1, 1), F.max_pool2d(x, 3, 1, 1))
    expected = F.local_response_norm(x, 5, 1e-2, 0.75)
    torch.testing.assert_close(normalized(x, 5, 1e-2, 0.75), expected)
