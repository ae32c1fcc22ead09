"""Estimates, against runs on a clock that the work itself moves on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from atlas import estimate
from atlas.engines import local
from atlas.errors import WorkError
from atlas.estimate import Estimate, calibrated, of_photographs, of_renders, of_site
from atlas.examples.sources import open_source
from atlas.optvis.recipe import Recipe
from atlas.optvis.subject import KINDS, renders_of
from atlas.plan import Chunk
from atlas.units import Unit
from tests.toy import ToyNetwork

SECONDS = {"edges": 0.01, "shapes": 0.04, "things": 0.1}
"""Of a forward pass of one image to a layer."""


class Timed(ToyNetwork):
    """A network whose passes take a set time on a clock of its own."""

    now = 0.0

    def walk(self, x, layers, relu=torch.relu):
        deepest = max(layers, key=self.order.index)
        self.now += len(x) * SECONDS.get(deepest, 1.0)
        yield from super().walk(x, layers, relu)

    def clock(self) -> float:
        return self.now


def chunks_of(kinds=("positive",), count=3) -> list[Chunk]:
    """Batches of two units and, last, of one, of each layer."""
    found = []
    for layer in SECONDS:
        for start in range(0, count, 2):
            units = [Unit(layer, index) for index in range(start, min(start + 2, count))]
            found.append(Chunk(layer, tuple(r for u in units for r in renders_of(u, kinds))))
    return found


@pytest.mark.parametrize("kinds", [("positive",), KINDS])
@pytest.mark.parametrize("steps", [2, 8, 40])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_renders_take_what_was_estimated(kinds, steps, layers):
    network, recipe = Timed(), Recipe(size=32, steps=steps)
    chunks = [c for c in chunks_of(kinds) if c.layer in list(SECONDS)[-layers:]]
    guess, pictures = of_renders(network, chunks, recipe, clock=network.clock)
    start = network.now
    made = list(local.LocalEngine(network, "cpu").render(chunks, recipe))
    assert guess.seconds == pytest.approx(network.now - start, rel=0.05)
    assert guess.disk == round(sum(map(len, made)) * 32 * 32 * estimate.MASTER)
    assert guess.memory > 50_000_000
    assert pictures[0].shape == (32, 32, 3)


def test_layers_between_the_measured_ones_are_looked_up_by_their_cost():
    costs = {"a": 10, "b": 40, "c": 20, "d": 30, "e": 50}
    assert calibrated(costs) == ["a", "d", "e"]
    assert calibrated({"a": 2, "b": 1}) == ["b", "a"]
    assert calibrated({"a": 2}) == ["a"]


def test_a_pass_over_photographs_takes_as_long_as_there_are(photos):
    network, source = Timed(), open_source(f"folder:{photos}")
    guess = of_photographs(network, source, ["edges", "things"], 3, clock=network.clock)
    assert guess.seconds == pytest.approx(len(source) * SECONDS["things"], rel=0.01)
    assert guess.disk == (8 + 16) * estimate.TABLE
    assert of_photographs(network, source, [], 3) == Estimate()


def test_pages_take_longer_with_more_channels_and_pictures():
    rng = np.random.default_rng(0)
    pictures = list(rng.integers(0, 256, (7, 32, 32, 3), dtype=np.uint8))
    ticks = iter([0.0, 0.5, 0.0, 0.5])

    def clock() -> float:
        return next(ticks)

    plain = of_site(pictures, 10, 0, "webp", 50, clock)
    assert plain.seconds == pytest.approx(10 * (0.5 + estimate.PAGE_SECONDS))
    crops = 7 * 32 * 32 / 112**2  # as many pixels as the renders have
    both = of_site(pictures, 10, crops, "webp", 50, clock)
    assert both.seconds == pytest.approx(10 * (1.0 + estimate.PAGE_SECONDS))
    assert plain.disk == both.disk == 10 * estimate.PAGES
    assert of_site([], 0, 0, "webp", 50) == Estimate()


def test_estimates_add_up_and_read_well():
    total = Estimate(60, 2_000_000_000, 1_000_000) + Estimate(7200, 1_000_000_000, 2_000_000)
    assert total == Estimate(7260, 2_000_000_000, 3_000_000)
    assert str(total) == "about 2 h 1 min, 2.0 GB of memory and 3.0 MB of disk"


def test_a_calibration_that_does_not_fit_into_memory_is_one_error(toy, monkeypatch):
    def render_chunk(*_, **__):
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(estimate, "render_chunk", render_chunk)
    with pytest.raises(WorkError, match="out of memory calibrating with 2 images of 32 px; fewer"):
        of_renders(toy, chunks_of()[:1], Recipe(size=32, steps=4))
