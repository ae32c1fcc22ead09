"""Whole renders: batch independence, determinism, diversity, dead starts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from atlas.errors import RecipeError
from atlas.optvis.diversity import gram_cosine
from atlas.optvis.optimize import Step, render_chunk
from atlas.optvis.parameterize import from_uint8
from atlas.optvis.recipe import Recipe
from atlas.optvis.subject import Render, renders_of, seed_for
from atlas.units import Unit

RECIPE = Recipe(size=48, steps=24)


class OneLayer:
    """A network of one layer, `taps`, whatever it is called."""

    layers = bottlenecks = ()

    def walk(self, x, layers, relu=torch.relu):
        yield from ((layer, self.taps(x, layer, relu)) for layer in layers)


def first_steps(network, renders, recipe, row):
    """Start spectrum, first gradient and final activation of one row."""
    steps: list[Step] = []
    results = render_chunk(network, renders, recipe, observe=steps.append)
    return steps[0].variables[0][row], steps[0].gradients[0][row], results[row].activation


def check_batch_independence(network, layer, channels, recipe):
    target = Render(Unit(layer, channels[0]), "positive", 0, 11)
    others = [Render(Unit(layer, c), "negative" if c % 2 else "positive", 0, c) for c in channels]
    alone = first_steps(network, [target], recipe, 0)
    for count, row in ((7, 3), (16, 15)):
        batch = [others[i % len(others)] for i in range(count)]
        batch[row] = target
        start, gradient, activation = first_steps(network, batch, recipe, row)
        assert torch.equal(start, alone[0])
        error = (gradient - alone[1]).norm() / alone[1].norm()
        assert float(error) < 1e-4
        assert activation == pytest.approx(alone[2], rel=0.03)


@pytest.mark.parametrize("layer", ["edges", "things"])
def test_a_render_does_not_depend_on_its_batch(toy, layer):
    check_batch_independence(toy, layer, [2, 1, 5, 4, 7], RECIPE)


@pytest.mark.real
@pytest.mark.parametrize("layer", ["conv2d1", "mixed4b"])
def test_a_render_does_not_depend_on_its_batch_on_real_weights(real_net, layer):
    check_batch_independence(real_net, layer, [31, 12, 57, 40, 3], Recipe(size=64, steps=32))


def test_the_same_chunk_twice_is_the_same_bytes(toy):
    renders = renders_of(Unit("things", 4))
    first, second = (render_chunk(toy, renders, RECIPE) for _ in range(2))
    for one, two in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.image, two.image)
        assert one.activation == two.activation


def test_scores_are_those_of_the_finished_image(toy):
    for result in render_chunk(toy, renders_of(Unit("things", 4)), RECIPE):
        taps = toy.taps(from_uint8(torch.from_numpy(result.image)[None]), "things")[0, 4]
        expected = {
            "positive": taps.relu().mean(),
            "diverse": taps.relu().mean(),
            "negative": -(-taps).relu().mean(),
            "neuron": taps[taps.shape[0] // 2, taps.shape[1] // 2],
        }[result.render.kind]
        assert result.activation == pytest.approx(float(expected), rel=1e-4)


def test_renders_climb(toy):
    before = render_chunk(toy, renders_of(Unit("things", 4)), Recipe(size=48, steps=0))
    after = render_chunk(toy, renders_of(Unit("things", 4)), RECIPE)
    for start, end in zip(before, after, strict=True):
        assert abs(end.activation) > 3 * abs(start.activation)
        assert end.started


def test_diverse_images_differ_more_than_seeds_do_and_stay_on_the_channel(toy):
    lower = 0
    for channel in range(6):
        unit = Unit("things", channel)
        seeds = [Render(unit, "positive", n, seed_for(unit, "positive", n, 5)) for n in range(4)]
        batch = [*renders_of(unit, ("diverse",)), *seeds]
        results = render_chunk(toy, batch, Recipe(size=48, steps=64))
        taps = toy.taps(
            from_uint8(torch.from_numpy(np.stack([r.image for r in results]))), "things"
        )
        diverse, independent = gram_cosine(taps.unflatten(0, (2, 4))).sum((1, 2)).tolist()
        lower += diverse < independent
        reached = np.mean([r.activation for r in results[4:]])
        assert min(r.activation for r in results[:4]) > 0.6 * reached
    assert lower >= 5


def test_an_absent_reference_is_rendered_along_but_not_returned(toy):
    results = render_chunk(toy, renders_of(Unit("things", 4), ("diverse",)), RECIPE)
    assert [r.render.kind for r in results] == ["diverse"] * 4


def test_a_render_that_never_starts_says_so():
    render = Render(Unit("dead", 0), "positive", 0, 1)

    class Flat(OneLayer):
        def taps(self, x, _layer, _relu=None):
            return x[:, :1] * 0 - 1.0

    (result,) = render_chunk(Flat(), [render], RECIPE)
    assert not result.started


def test_blocked_gradients_are_let_through_at_the_start():
    class Blocked(OneLayer):
        def taps(self, x, _layer, relu=torch.relu):
            return relu(x[:, :1] * 4 - 2.4)  # zero at the grey start, not for bright images

    (result,) = render_chunk(Blocked(), [Render(Unit("l", 0), "positive", 0, 1)], RECIPE)
    assert result.started
    assert result.activation > 0.1
    off = Recipe(size=48, steps=24, redirect_steps=0)
    (stuck,) = render_chunk(Blocked(), [Render(Unit("l", 0), "positive", 0, 1)], off)
    assert not stuck.started


def test_a_chunk_of_two_layers_is_refused(toy):
    renders = [Render(Unit(layer, 0), "positive", 0, 0) for layer in ("edges", "things")]
    with pytest.raises(RecipeError, match="one layer"):
        render_chunk(toy, renders, RECIPE)


@pytest.mark.real
def test_draft_renders_beat_the_best_photograph(real_net, real_photos):
    """DESIGN §2's scores: a sample of units against a tenth of the photographs."""
    from atlas.examples.sources import FolderSource
    from atlas.examples.view import Viewing

    source, viewing = FolderSource(real_photos), Viewing()
    views = np.stack([viewing.apply(source.load(i)) for i in range(0, 1000, 10)])
    rng = np.random.default_rng(9)
    for layer in ("conv2d2", "mixed3b", "mixed4d", "mixed5a"):
        with torch.inference_mode():
            batches = torch.from_numpy(views).split(20)
            taps = torch.cat(
                [real_net.taps(from_uint8(b), layer).relu().mean((2, 3)) for b in batches]
            )
        width = taps.shape[1]
        units = [Unit(layer, int(c)) for c in rng.choice(width, 4, replace=False)]
        renders = [r for unit in units for r in renders_of(unit, ("positive",))]
        results = render_chunk(real_net, renders, Recipe(size=96, steps=64))
        ratios = [r.activation / float(taps[:, r.render.unit.index].amax()) for r in results]
        assert np.median(ratios) > (1.2 if layer == "conv2d2" else 2.0)
        assert all(r.started and r.image.std() > 20 for r in results)
