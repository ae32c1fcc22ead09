"""What does not fit into memory is rendered in halves."""

from __future__ import annotations

import numpy as np
import pytest

from atlas.engines import local
from atlas.errors import WorkError
from atlas.optvis.recipe import Recipe
from atlas.optvis.subject import renders_of
from atlas.plan import Chunk
from atlas.units import Unit

RECIPE = Recipe(size=32, steps=3)


def chunk_of(channels, kinds=("positive",)) -> Chunk:
    units = [Unit("things", channel) for channel in channels]
    return Chunk("things", tuple(r for unit in units for r in renders_of(unit, kinds)))


@pytest.fixture
def batches(monkeypatch):
    """Sizes of the batches tried; `batches.room` is how many images memory has room for."""

    class Batches(list):
        room = 2

    tried, right = Batches(), local.render_chunk

    def render_chunk(network, renders, *rest):
        tried.append(len(renders))
        if len(renders) > tried.room:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return right(network, renders, *rest)

    monkeypatch.setattr(local, "render_chunk", render_chunk)
    return tried


def test_a_chunk_is_halved_until_it_fits_and_so_are_those_behind_it(toy, batches):
    chunks = [chunk_of(range(8)), chunk_of(range(8, 16)), chunk_of([3])]
    results = list(local.LocalEngine(toy, "cpu").render(chunks, RECIPE))
    assert batches == [8, 4, 2, 2, 2, 2, 2, 2, 2, 2, 1]
    for chunk, made in zip(chunks, results, strict=True):
        assert [result.render for result in made] == list(chunk.renders)
    (alone,) = local.render_chunk(toy, chunks[1].renders[5:6], RECIPE)
    apart = np.abs(results[1][5].image.astype(int) - alone.image.astype(int))
    assert apart.max() <= 2


def test_a_diverse_set_is_never_cut(toy, batches):
    batches.room = 4
    (results,) = local.LocalEngine(toy, "cpu").render(
        [chunk_of([1, 2], ("neuron", "positive", "diverse", "negative"))], RECIPE
    )
    assert batches == [14, 7, 2, 5, 4, 1, 2, 4, 1]
    assert len(results) == 14


def test_what_fits_in_no_part_is_one_error(toy, batches):
    batches.room = 0
    with pytest.raises(WorkError, match="out of memory rendering 1 image of 32 px at a time, thin"):
        list(local.LocalEngine(toy, "cpu").render([chunk_of(range(4))], RECIPE))


def test_other_errors_are_not_taken_for_it(toy, monkeypatch):
    def broken(*_):
        raise RuntimeError("a shape is wrong")

    monkeypatch.setattr(local, "render_chunk", broken)
    with pytest.raises(RuntimeError, match="a shape is wrong"):
        list(local.LocalEngine(toy, "cpu").render([chunk_of(range(4))], RECIPE))


@pytest.mark.parametrize(
    ("kinds", "sizes"),
    [(("positive",), [2, 2]), (("diverse",), [8, 8]), (("diverse", "negative"), [10, 10])],
)
def test_halves_are_about_equal_and_in_order(kinds, sizes):
    renders = chunk_of(range(4), kinds).renders
    halves = local.halved(renders)
    assert [len(half) for half in halves] == sizes
    assert halves[0] + halves[1] == renders
    assert local.halved(chunk_of([1], ("diverse",)).renders) == []
