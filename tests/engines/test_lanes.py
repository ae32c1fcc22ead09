"""Batches side by side are what they are one after the other, and nobody is left behind."""

from __future__ import annotations

import threading
import time
from concurrent.futures import wait
from contextlib import closing

import numpy as np
import pytest
import torch

from atlas.config import Config
from atlas.engines import lanes
from atlas.engines.lanes import AbandonedError, lanes_for, side_by_side
from atlas.engines.local import LocalEngine
from atlas.optvis.optimize import render_chunk
from atlas.optvis.recipe import Recipe
from atlas.optvis.subject import renders_of
from atlas.plan import Chunk, make_plan
from atlas.recipes import recipe_of
from atlas.renders import Renders
from atlas.store import Store
from atlas.units import Unit

RECIPE = Recipe(size=32, steps=6)


@pytest.fixture
def threads():
    """PyTorch's threads, put back afterwards."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def chunks() -> list[Chunk]:
    units = [Unit(layer, channel) for layer in ("edges", "things") for channel in range(5)]
    return [Chunk(unit.layer, tuple(renders_of(unit, ("positive",)))) for unit in units]


def test_they_are_what_they_are_alone(toy, threads):
    threads(3)
    made = [one for done in LocalEngine(toy, "cpu", 3).render(chunks(), RECIPE) for one in done]
    assert torch.get_num_threads() == 3
    threads(1)  # of three threads in three lanes each has one
    alone = [render_chunk(toy, chunk.renders, RECIPE)[0] for chunk in chunks()]
    found = {result.render: result for result in made}
    assert len(found) == len(made) == len(alone)
    for one in alone:
        assert np.array_equal(found[one.render].image, one.image)
        assert found[one.render].achieved == one.achieved


@pytest.mark.parametrize(
    ("batches", "of", "device", "expected"),
    [
        (8, 2, "cpu", 2), (7, 2, "cpu", 1), (1000, 1, "cpu", 1), (1000, 64, "cpu", lanes.MOST),
        (15, 64, "cpu", 1), (1000, 2, "cuda", 1),
    ],
)  # fmt: skip
def test_how_many(threads, batches, of, device, expected):
    threads(of)
    assert lanes_for(batches, device) == expected


def test_so_many_at_a_time_and_each_with_its_share_of_threads(threads):
    threads(6)
    together, going, most = threading.Barrier(3), set(), []

    def work(item, _):
        going.add(item)
        most.append(len(going))
        together.wait(10)
        going.discard(item)
        return item, torch.get_num_threads()

    done = list(side_by_side(work, range(9), 3))
    assert sorted(done) == [(item, 2) for item in range(9)]
    assert max(most) <= 3


def test_in_one_lane_it_is_a_loop():
    here = threading.get_ident()
    done = side_by_side(lambda item, _: (item, threading.get_ident()), [3, 1, 2], 1)
    assert list(done) == [(3, here), (1, here), (2, here)]


@pytest.mark.parametrize("count", [1, 2])
def test_no_more_are_begun_once_that_is_asked(count):
    begun = []
    done = list(
        side_by_side(lambda item, _: begun.append(item), range(50), count, lambda: len(begun) < 4)
    )
    assert len(done) == len(begun) < 8


def test_who_is_left_alone_stops(threads):
    threads(2)
    ended, begun = [], threading.Event()

    def work(item, check):
        try:
            begun.set() if item else begun.wait(10)
            while item:  # but the first would go on for ever
                time.sleep(0.001)
                check()
        except AbandonedError:
            ended.append(item)
            raise

    going = side_by_side(work, range(10), 2)
    next(going)
    going.close()
    assert ended
    assert torch.get_num_threads() == 2


def test_an_error_ends_all_of_it():
    def work(item, check):
        if item == 2:
            raise ValueError("two")
        for _ in range(100):
            time.sleep(0.001)
            check()
        return item

    with pytest.raises(ValueError, match="two"):
        list(side_by_side(work, [1, 2, 3, 4], 2))


def test_a_render_looks_whether_anybody_waits_for_it(toy):
    asked = []

    def check():
        asked.append(None)
        if len(asked) == 3:
            raise AbandonedError

    with pytest.raises(AbandonedError):
        render_chunk(toy, chunks()[0].renders, RECIPE, "cpu", None, check)


def test_the_plan_decides_not_what_is_missing(toy, threads, tmp_path, monkeypatch):
    threads(2)
    seen = []
    right = LocalEngine.__init__
    monkeypatch.setattr(
        LocalEngine, "__init__",
        lambda self, *rest: (seen.append(rest[2]), right(self, *rest))[1],
    )  # fmt: skip
    for last, expected in ((8, 2), (7, 1)):
        config = Config.model_validate(
            {"units": f"things:0-{last - 1}", "render": {"size": 32, "steps": 1, "chunk": 1}}
        )
        plan = make_plan(config, recipe_of(config.render), toy, None, "cpu")
        assert len(plan.chunks) == last
        with closing(Store(tmp_path / str(last))) as store:
            Renders(toy, plan, store, "cpu", quiet=True).make()
            (*_, half) = store.rows("render")
            store.drop([half])
            Renders(toy, plan, store, "cpu", quiet=True).make()
        assert seen == [expected] * 2
        seen.clear()


def test_the_next_is_worked_on_while_one_is_in_hand():
    begun = [threading.Event() for _ in range(3)]
    going = side_by_side(lambda item, _: begun[item].set(), range(3), 1, apart=True)
    next(going)
    assert begun[1].wait(10)
    assert not begun[2].is_set()
    assert len(list(going)) == 2


@pytest.mark.parametrize("bad", [1, 2, 3, 4])
def test_what_is_finished_when_another_fails_is_not_lost(bad, monkeypatch):
    def work(item, _):
        if item == bad:
            raise ValueError("bad")
        return item

    monkeypatch.setattr(lanes, "wait", lambda going, **_: wait(going))  # for all of them
    going = side_by_side(work, [1, 2, 3, 4], 4)
    found = [next(going) for _ in range(3)]
    assert sorted(found) == [item for item in (1, 2, 3, 4) if item != bad]
    with pytest.raises(ValueError, match="bad"):
        next(going)
