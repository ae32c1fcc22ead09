"""Our one forward pass against the libraries the dialects come from, on random weights."""

from __future__ import annotations

import contextlib
import warnings

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from atlas.models.dialect import CAFFE, LUCID, TORCHVISION, layers_of
from atlas.models.lrn import local_response_norm
from atlas.models.zoo import load_model


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm())


@pytest.fixture(scope="module")
def torchvision_net() -> nn.Module:
    from torchvision.models import googlenet

    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = googlenet(weights=None, init_weights=False, aux_logits=True)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.3, 2.0)
    return net.eval()


@pytest.mark.parametrize("size", [(224, 224), (97, 130)])
def test_torchvision_dialect_equals_torchvision_at_every_layer(torchvision_net, tmp_path, size):
    path = tmp_path / "random.pth"
    torch.save(torchvision_net.state_dict(), path)
    ours = load_model("googlenet", path)
    theirs: dict[str, list[Tensor]] = {}
    block_of = {
        name: name.replace("mixed", "inception") for name in (la.name for la in ours.layers)
    }
    block_of |= {"conv2d0": "conv1", "conv2d1": "conv2", "conv2d2": "conv3"}
    handles = []
    for layer, block in block_of.items():
        module = torchvision_net.get_submodule(block)
        # The last BatchNorm of each branch gives the pre-ReLU values; clone before the in-place
        # ReLU overwrites them.
        if layer.startswith("conv"):
            last = [module.bn]
        else:
            last = [
                module.branch1.bn,
                module.branch2[1].bn,
                module.branch3[1].bn,
                module.branch4[1].bn,
            ]
        for norm in last:
            handles.append(
                norm.register_forward_hook(
                    lambda _m, _i, out, layer=layer: theirs.setdefault(layer, []).append(
                        out.clone()
                    )
                )
            )
    x = torch.rand(2, 3, *size)
    with torch.no_grad():
        logits = torchvision_net(2 * x - 1)
    for handle in handles:
        handle.remove()
    for layer in ours.layers:
        got = ours.taps(x, layer.name)
        assert relative_error(got, torch.cat(theirs[layer.name], 1)) < 1e-4, layer.name
        assert got.shape[1] == layer.channels
    assert relative_error(ours.logits(x), logits) < 1e-4


@pytest.mark.parametrize("size", [224, 197, 32])
def test_lucid_dialect_equals_torch_lucent(tmp_path, size):
    lucent = pytest.importorskip("lucent.modelzoo.inceptionv1.InceptionV1")
    torch.manual_seed(1)
    net = lucent.InceptionV1(pretrained=False).eval()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.05)
    path = tmp_path / "random.safetensors"
    save_file(net.state_dict(), path)
    ours = load_model("inceptionv1", path)
    theirs: dict[str, Tensor] = {}
    for name, module in net.named_modules():
        if name.endswith("_pre_relu_conv"):
            module.register_forward_hook(
                lambda _m, _i, out, name=name: theirs.__setitem__(
                    name.removesuffix("_pre_relu_conv"), out.clone()
                )
            )
    x = torch.rand(1, 3, size, size)
    # Its 7x7 average pooling refuses small images, after every layer we compare was computed.
    with torch.no_grad(), contextlib.suppress(RuntimeError):
        net(255 * x - 117)
    for layer in ours.layers:
        parts = ["_1x1", "_3x3", "_5x5", "_pool_reduce"] if len(layer.branches) == 4 else [""]
        expected = torch.cat([theirs[layer.name + part] for part in parts], 1)
        assert relative_error(ours.taps(x, layer.name), expected) < 1e-4, layer.name


def caffe_reference(state: dict[str, Tensor], image: Tensor) -> dict[str, Tensor]:
    """Caffe's bvlc_googlenet deploy.prototxt, written straight down with PyTorch's functions."""

    def conv(x: Tensor, name: str, **kwargs: int) -> Tensor:
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], **kwargs)

    def pool(x: Tensor) -> Tensor:
        return F.max_pool2d(x, 3, 2, ceil_mode=True)

    def lrn(x: Tensor) -> Tensor:
        return F.local_response_norm(x, 5, alpha=1e-4, beta=0.75, k=1.0)

    taps = {}
    mean = torch.tensor([104.0, 117.0, 123.0]).view(1, 3, 1, 1)
    x = taps["conv2d0"] = conv(
        255 * image[:, [2, 1, 0]] - mean, "conv1_7x7_s2", stride=2, padding=3
    )
    x = lrn(pool(x.relu()))
    x = taps["conv2d1"] = conv(x, "conv2_3x3_reduce")
    x = taps["conv2d2"] = conv(x.relu(), "conv2_3x3", padding=1)
    x = pool(lrn(x.relu()))
    for block in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
        if block in ("4a", "5a"):
            x = pool(x)
        n = f"inception_{block}_"
        branches = [
            conv(x, n + "1x1"),
            conv(conv(x, n + "3x3_reduce").relu(), n + "3x3", padding=1),
            conv(conv(x, n + "5x5_reduce").relu(), n + "5x5", padding=2),
            conv(F.max_pool2d(x, 3, 1, 1), n + "pool_proj"),
        ]
        pre = taps[f"mixed{block}"] = torch.cat(branches, 1)
        x = pre.relu()
    taps["logits"] = F.linear(
        x.mean((2, 3)), *(state[f"loss3_classifier.{p}"] for p in ("weight", "bias"))
    )
    return taps


@pytest.mark.parametrize("size", [224, 197, 32])
def test_caffe_dialect_equals_its_prototxt(random_weights, size):
    ours = load_model("googlenet-bvlc", random_weights)
    state = load_file(random_weights)
    x = torch.rand(2, 3, size, size)
    expected = caffe_reference(state, x)
    for name, got in ours.walk(x, [layer.name for layer in ours.layers]):
        assert relative_error(got, expected[name]) < 1e-4, name
    assert relative_error(ours.logits(x), expected["logits"]) < 1e-4


@pytest.mark.parametrize(("size", "alpha", "beta"), [(5, 1e-2, 0.75), (9, 1e-1, 0.5)])
def test_local_response_norm_and_its_gradient_equal_pytorch(size, alpha, beta):
    x = torch.randn(2, 12, 5, 5, requires_grad=True)
    g = torch.randn(2, 12, 5, 5)
    ours = local_response_norm(x, size, alpha, beta)
    (ours_grad,) = torch.autograd.grad(ours, x, g)
    theirs = F.local_response_norm(x, size, alpha, beta, 1.0)
    (theirs_grad,) = torch.autograd.grad(theirs, x, g)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours_grad, theirs_grad, rtol=1e-4, atol=1e-5)


def test_channel_counts_are_those_of_the_papers():
    assert sum(layer.channels for layer in layers_of(TORCHVISION)) == 5808
    assert sum(layer.channels for layer in layers_of(CAFFE)) == 5808
    assert sum(layer.channels for layer in layers_of(LUCID)) == 5804


def test_taps_compute_nothing_beyond_the_layer(monkeypatch, random_weights):
    ours = load_model("googlenet-bvlc", random_weights)
    used: list[str] = []
    plain = ours._conv
    monkeypatch.setattr(
        ours, "_conv", lambda x, name, **kw: used.append(name) or plain(x, name, **kw)
    )
    ours.taps(torch.rand(1, 3, 64, 64), "inception_3a/output")
    assert used[-1] == "mixed3a_pool_reduce"
    assert not any(name.startswith("mixed3b") for name in used)
