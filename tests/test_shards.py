"""Shards: balanced by cost, whole chunks, and merged the same as if there had been none."""

from __future__ import annotations

import itertools
import shutil

import numpy as np
import pytest
import torch

from atlas.config import Config
from atlas.cost import OWN, layer_costs
from atlas.models.zoo import load_model
from atlas.plan import Chunk, balanced, make_plan
from atlas.recipes import recipe_of
from atlas.units import Unit
from tests.forked import Forked, tree
from tests.toy import ToyNetwork

OPTIONS = (
    "--model", "googlenet-mini", "--size", "32", "--steps", "2", "--kinds", "positive,negative",
    "--units", "conv2d0:20-27,mixed3a:0-7,mixed5b:5",
)  # fmt: skip


def test_a_layer_costs_what_its_convolutions_multiply():
    """Against the toy network's own arithmetic, per pixel of an image of 64 × 64."""
    edges = 2 * 8 * 3 * 49 * 32**2
    shapes = 2 * 12 * 8 * 9 * 16**2
    things = 2 * (4 * 12 + 10 * 4 * 9 + 6 * 12) * 16**2
    expected = {
        "edges": edges // 64**2 + OWN,
        "shapes": (edges + shapes) // 64**2 + OWN,
        "things": (edges + shapes + things) // 64**2 + OWN,
    }
    assert layer_costs(ToyNetwork(), ["things", "edges", "shapes"]) == expected


def test_deeper_layers_cost_more_as_measured():
    """A step of mixed5b took 527.9 ns a pixel where one of mixed3a took 332.3."""
    network = load_model("googlenet-mini")
    costs = layer_costs(network, [layer.name for layer in network.layers])
    assert list(costs.values()) == sorted(costs.values())
    assert costs["mixed5b"] / costs["mixed3a"] == pytest.approx(527.9 / 332.3, rel=0.1)


def test_counting_leaves_the_network_as_it_was():
    network, x = ToyNetwork(), torch.rand(1, 3, 32, 32)
    before = network.taps(x, "things")
    layer_costs(network, ["things"])
    assert torch.equal(network.taps(x, "things"), before)


def test_shards_of_a_whole_network_are_equal_to_a_chunk():
    network = load_model("googlenet-mini")
    config = Config()
    plan = make_plan(config, recipe_of(config.render), network, None, "cpu")
    costs = layer_costs(network, [layer.name for layer in network.layers])

    def cost(chunks):
        return sum(costs[chunk.layer] * len(chunk.renders) for chunk in chunks)

    dearest = max(cost([chunk]) for chunk in plan.chunks)
    for count in (2, 7, 64):
        shares = [plan.shard(i, count, costs) for i in range(1, count + 1)]
        loads = [cost(share) for share in shares]
        assert max(loads) - min(loads) <= dearest
        assert sorted(itertools.chain(*shares), key=plan.chunks.index) == list(plan.chunks)
    by_number = [cost(plan.chunks[i::64]) for i in range(64)]
    assert max(by_number) / min(by_number) > max(loads) / min(loads)


def test_the_dearest_chunks_are_shared_out_first():
    def chunk(layer, units):
        return Chunk(layer, tuple((Unit(layer, i), None) for i in range(units)))

    chunks = [chunk("a", 4), chunk("b", 1), chunk("b", 4), chunk("a", 1)]
    first, second = balanced(chunks, 2, {"a": 1, "b": 3})
    assert first == (chunks[2],)
    assert second == (chunks[0], chunks[1], chunks[3])
    assert balanced(chunks[:1], 10**12, {}) == [(chunks[0],)]


@pytest.fixture(scope="module")
def sharded(tmp_path_factory, photos):
    """A project built whole, and by 1, 2 and 5 shards, each in a store of its own."""
    folder = tmp_path_factory.mktemp("shards")
    options = (*OPTIONS, "--dataset", f"folder:{photos}")
    with Forked(folder) as atlas:

        def run(command, store, *more):
            done = atlas(command, *options, "--store", store, "--out", f"{store}-site", *more)
            assert done.code == 0, done.err
            return done.out

        run("build", "whole")
        stores = {}
        for count in (1, 2, 5):
            stores[count] = [f"{count}-{i}" for i in range(1, count + 1)]
            for i, store in enumerate(stores[count], start=1):
                run("build", store, "--shard", f"{i}/{count}")
        yield folder, atlas, run, stores


@pytest.mark.parametrize("count", [1, 2, 5])
def test_merged_in_any_order_twice_over_it_is_the_whole(sharded, count):
    folder, atlas, run, stores = sharded
    rng = np.random.default_rng(count)
    merged = f"merged-{count}"
    for _ in range(2):
        for store in rng.permutation(stores[count]):
            done = atlas("merge", store, "--store", merged)
            assert done.code == 0, done.err
    at_once = f"at-once-{count}"
    assert atlas("merge", *rng.permutation(stores[count]), "--store", at_once).code == 0
    assert tree(folder / at_once / "objects") == tree(folder / merged / "objects")
    if count > 1:
        assert f"the store has {count} parts of a dataset pass" in run("status", merged)
    out = run("build", merged)
    assert "rendered 0, reused 34" in out
    assert tree(folder / merged / "objects") == tree(folder / "whole" / "objects")
    assert tree(folder / f"{merged}-site") == tree(folder / "whole-site")
    # Shards that come once more bring their parts of the pass, which the next build drops again.
    assert atlas("merge", *stores[count], "--store", merged).code == 0
    assert "rendered 0" in run("build", merged)
    assert tree(folder / merged / "objects") == tree(folder / "whole" / "objects")


def test_shards_share_the_renders_without_overlap(sharded):
    folder, _, _, stores = sharded
    whole = {n for n in tree(folder / "whole" / "objects") if n.endswith("png")}
    parts = [{n for n in tree(folder / s / "objects") if n.endswith("png")} for s in stores[5]]
    assert sum(map(len, parts)) == len(whole)
    assert set().union(*parts) == whole


def test_a_shard_that_is_begun_again_does_the_same(sharded):
    folder, _, run, stores = sharded
    store = stores[2][1]
    before = tree(folder / store / "objects")
    shutil.rmtree(folder / store)
    run("build", store, "--shard", "2/2")
    assert tree(folder / store / "objects") == before
