"""A network in another precision, or of which one layer has only some channels."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from atlas.models.dialect import CAFFE, LUCID, MINI, TORCHVISION, Dialect, conv_shapes
from atlas.models.googlenet import GoogLeNet
from atlas.models.network import Fitted

ALL = torch.float32


def network_of(dialect: Dialect) -> GoogLeNet:
    rng = torch.Generator().manual_seed(4)
    state = {}
    for name, shape in conv_shapes(dialect).items():
        fan_in = shape[1] * shape[2] * shape[3]
        state[f"{name}.weight"] = torch.randn(shape, generator=rng) * (2 / fan_in) ** 0.5
        state[f"{name}.bias"] = torch.randn(shape[0], generator=rng) * 0.1
    state["head.weight"] = torch.randn(dialect.classes, 1024, generator=rng) * 0.03
    state["head.bias"] = torch.randn(dialect.classes, generator=rng)
    return GoogLeNet(dialect, state)


@pytest.fixture(scope="module")
def caffe() -> GoogLeNet:
    return network_of(CAFFE)


def image(*size: int) -> Tensor:
    return torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))


def gradient(network: GoogLeNet, layer: str, place: int, weights: Tensor) -> Tensor:
    x = image(64, 64).requires_grad_()
    value = (network.taps(x, layer)[:, place].float() * weights).sum()
    return torch.autograd.grad(value, x)[0]


@pytest.mark.parametrize("dialect", [CAFFE, LUCID, TORCHVISION, MINI], ids=lambda d: d.name)
@pytest.mark.parametrize("size", [(64, 64), (65, 97)])
def test_nothing_changes_but_rounding(dialect, size):
    network = network_of(dialect)
    same = network.fitted(ALL)
    assert isinstance(network, Fitted)
    x = image(*size)
    names = [layer.name for layer in network.layers] + ["mixed4c_5x5_bottleneck", "logits"]
    ours, theirs = dict(same.walk(x, names)), dict(network.walk(x, names))
    assert list(ours) == list(theirs)
    for name, taps in theirs.items():
        scale = taps.abs().max()
        torch.testing.assert_close(ours[name] / scale, taps / scale, rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    ("layer", "channels"),
    [
        ("conv2d0", [3, 40]),
        ("conv2d1", [63]),
        ("conv2d2", [0, 100, 191]),
        ("mixed3a", [5]),  # 1x1 alone
        ("mixed3a", [64, 191]),  # 3x3 alone
        ("mixed3a", [200]),  # 5x5 alone
        ("mixed3a", [224, 255]),  # pooling alone
        ("mixed4c", [0, 127, 128, 383, 384, 447, 448, 511]),
        ("mixed5b", [384, 1023]),
    ],
)
def test_only_the_channels_asked_for_are_there(caffe, layer, channels):
    some = caffe.fitted(ALL, layer, channels)
    x = image(64, 64)
    theirs = caffe.taps(x, layer)[:, channels]
    ours = some.taps(x, layer)
    assert ours.shape == theirs.shape
    scale = theirs.abs().max()
    torch.testing.assert_close(ours / scale, theirs / scale, rtol=0, atol=2e-6)
    weights = torch.randn(theirs.shape[2:], generator=torch.Generator().manual_seed(2))
    for place, channel in enumerate(channels):
        expected = gradient(caffe, layer, channel, weights)
        found = gradient(some, layer, place, weights)
        assert (found - expected).norm() < 1e-4 * expected.norm()


def test_what_is_left_out_is_not_computed(caffe):
    some = caffe.fitted(ALL, "mixed4c", [3, 7])
    assert some.mixed4c_ones_weight.shape == (2, 512, 1, 1)
    assert some.mixed4c_3x3_weight.shape == (0, 128, 3, 3)
    assert some.mixed4c_pool_reduce_weight.shape[0] == 0
    assert some.mixed4b_3x3_weight.shape == caffe.mixed4b_3x3_weight.shape
    assert caffe.mixed4c_ones_weight.shape == (280, 512, 1, 1)


def test_the_original_stays_as_it_was(caffe):
    x = image(64, 64)
    before = caffe.taps(x, "mixed5b")
    caffe.fitted(torch.bfloat16, "mixed3a", [1]).taps(x, "mixed3a")
    assert torch.equal(caffe.taps(x, "mixed5b"), before)
    assert caffe.conv2d0_weight.dtype == torch.float32


def test_bfloat16_is_near(caffe):
    rough = caffe.fitted(torch.bfloat16)
    x = image(64, 64)
    for layer in ("conv2d0", "mixed3b", "mixed5b"):
        ours, theirs = rough.taps(x, layer), caffe.taps(x, layer)
        assert ours.dtype == torch.bfloat16
        error = (ours.float() - theirs).norm() / theirs.norm()
        assert 1e-4 < error < 0.05
