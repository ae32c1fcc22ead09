"""The network may be computed in bfloat16 while an image is optimized; nothing else is."""

from __future__ import annotations

import pytest
import torch

from atlas.errors import ObjectiveError
from atlas.models.googlenet import GoogLeNet
from atlas.models.zoo import load_model
from atlas.optvis import ensemble
from atlas.optvis.leaves import Channel, LayerEnergy
from atlas.optvis.objective import Objective
from atlas.optvis.optimize import optimize
from atlas.optvis.parameterize import from_uint8
from atlas.optvis.precision import arithmetic
from atlas.optvis.recipe import Recipe
from atlas.optvis.subject import diverse, renders_of, single
from atlas.optvis.syntax import parse_objective
from atlas.units import Unit


@pytest.fixture(scope="module")
def mini() -> GoogLeNet:
    return load_model("googlenet-mini")


@pytest.fixture
def native(monkeypatch):
    """Say that this processor has bfloat16, whether it has or not."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)


@pytest.mark.usefixtures("native")
def test_bfloat16_is_used_where_a_processor_has_it(monkeypatch):
    assert arithmetic("bfloat16", "cpu") == torch.bfloat16
    assert arithmetic("float32", "cpu") == torch.float32
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True})
    assert arithmetic("bfloat16", "cpu") == torch.float32
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert arithmetic("bfloat16", "cpu") == torch.float32
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    assert arithmetic("bfloat16", "cuda") == torch.float32
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert arithmetic("bfloat16", "cuda") == torch.bfloat16


class Seen:
    """A network that notes what it was fitted to and what passes through it."""

    def __init__(self, network: GoogLeNet) -> None:
        self.network, self.fits, self.passes = network, [], []
        self.layers, self.bottlenecks = network.layers, network.bottlenecks

    def fitted(self, dtype, layer="", channels=()):
        self.fits.append((dtype, layer, list(channels)))
        twin = Seen(self.network.fitted(dtype, layer, channels))
        twin.passes, twin.fits = self.passes, self.fits
        return twin

    def walk(self, x, layers, relu=torch.relu):
        for name, taps in self.network.walk(x, layers, relu):
            self.passes.append((taps.dtype, torch.is_grad_enabled()))
            yield name, taps


@pytest.mark.usefixtures("native")
def test_steps_are_rounded_and_reports_are_not(mini):
    seen = Seen(mini)
    renders = [r for c in (9, 2) for r in renders_of(Unit("mixed3a", c), ("positive", "negative"))]
    results = optimize(seen, renders, Recipe(size=32, steps=5))
    assert seen.fits == [
        (torch.float32, "mixed3a", [2, 9]),
        (torch.bfloat16, "mixed3a", [2, 9]),
    ]
    assert seen.passes[:5] == [(torch.bfloat16, True)] * 5
    assert set(seen.passes[5:]) == {(torch.float32, False)}
    for render, result in zip(renders, results, strict=True):
        taps = mini.taps(from_uint8(torch.from_numpy(result.image[None])), "mixed3a")
        sign = -1 if render.kind == "negative" else 1
        score = sign * (sign * taps[0, render.unit.index]).relu().mean()
        assert result.activation == pytest.approx(float(score), rel=1e-4)


@pytest.mark.parametrize(
    "text",
    ["mixed3a:1 + conv2d1:3", "layer:mixed3a", "neuron:mixed3a:4:1:1", "class:3",
     "mixed3a_3x3_bottleneck:3"],
)  # fmt: skip
def test_what_looks_at_more_than_channels_of_a_layer_gets_all_of_it(mini, text):
    seen = Seen(mini)
    aim = single(parse_objective(text, mini))
    optimize(seen, [aim], Recipe(size=32, steps=1))
    assert {(layer, tuple(channels)) for _, layer, channels in seen.fits} == {("", ())}


def test_diverse_sets_compare_whole_layers(mini):
    seen = Seen(mini)
    optimize(seen, diverse(parse_objective("mixed3a:4", mini), 2), Recipe(size=32, steps=1))
    assert {layer for _, layer, _ in seen.fits} == {""}


def test_fewer_channels_make_the_same_image(mini, monkeypatch):
    recipe = Recipe(size=32, steps=6, precision="float32")
    aims = [single(parse_objective(text, mini)) for text in ("mixed3a:70", "neuron:mixed3a:9",
            "2*mixed3a:70 - mixed3a:250", "-mixed3a:8*mixed3a:9")]  # fmt: skip
    some = optimize(mini, aims, recipe)
    monkeypatch.setattr(ensemble, "_channels", lambda *_: ("", []))
    every = optimize(mini, aims, recipe)
    for one, other in zip(some, every, strict=True):
        assert one.activation == pytest.approx(other.activation, rel=1e-3)
        assert abs(one.image.astype(int) - other.image.astype(int)).mean() < 0.1


def test_renumbering_keeps_weights_and_signs():
    objective = 2 * Objective.of(Channel("a", 7, -1)) + Objective.of(Channel("a", 3))
    moved = objective.renumbered({7: 1, 3: 0})
    assert str(moved) == "2*-a:1 + a:0"
    with pytest.raises(ObjectiveError, match="layer:a is of no single channel"):
        Objective.of(LayerEnergy("a")).renumbered({})
