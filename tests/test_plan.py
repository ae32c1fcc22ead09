"""The plan: chunks are fixed by the config, keys by what decides the pixels."""

from __future__ import annotations

from atlas.config import Config
from atlas.plan import make_plan, missing_chunks
from atlas.recipes import recipe_of
from atlas.store import key_of
from tests.toy import ToyNetwork


def plan_of(network=None, dataset="d", device="cpu", **changes):
    config = Config.model_validate({"units": "things:0-5,edges:2", **changes})
    return make_plan(config, recipe_of(config.render), network or ToyNetwork(), dataset, device)


def keys(plan):
    return {key_of(recipe) for recipe in plan.renders.values()}


def test_a_unit_has_seven_renders_and_chunks_hold_whole_units():
    plan = plan_of()
    assert len(plan.renders) == 7 * 7
    assert len(keys(plan)) == 7 * 7
    for chunk in plan.chunks:
        assert {r.unit.layer for r in chunk.renders} == {chunk.layer}
        assert len(chunk.renders) % 7 == 0
    assert len(plan.chunks) == 7
    assert len(plan_of(device="cuda").chunks) == 2
    assert len(plan_of(render={"chunk": 4}).chunks) == 3
    assert len(plan_of(render={"kinds": ["positive"]}).chunks) == 2


def test_chunking_and_other_units_do_not_change_keys():
    assert keys(plan_of()) == keys(plan_of(render={"chunk": 4})) == keys(plan_of(device="cuda"))
    assert keys(plan_of(units="things:3")) < keys(plan_of())


def test_keys_follow_recipe_model_and_seed():
    base = keys(plan_of())
    other = ToyNetwork()
    other.weights_sha256 = "1" * 64
    for changed in (
        plan_of(render={"steps": 7}),
        plan_of(render={"size": 64}),
        plan_of(render={"seed": 1}),
        plan_of(network=other),
    ):
        assert not keys(changed) & base
    assert keys(plan_of(dataset="other")) == base


def test_example_tables_follow_the_dataset_alone():
    def tables(plan):
        return {layer: key_of(recipe) for layer, recipe in plan.examples.items()}

    base = tables(plan_of())
    assert list(base) == ["edges", "things"]
    assert tables(plan_of(render={"steps": 7})) == base
    assert not set(tables(plan_of(dataset="other")).values()) & set(base.values())
    assert tables(plan_of(dataset=None)) == {}


def test_shards_cover_the_plan_once():
    plan = plan_of()
    shares = [plan.shard(i, 3) for i in (1, 2, 3)]
    shared = [chunk for chunks in shares for chunk in chunks]
    assert len(shared) == len(plan.chunks)
    assert set(shared) == set(plan.chunks)


def test_a_chunk_is_missing_when_any_of_its_renders_is():
    plan = plan_of()
    one = key_of(plan.renders[plan.chunks[2].renders[3]])
    assert missing_chunks(plan.chunks, plan, lambda key: key != one) == [plan.chunks[2]]
    assert missing_chunks(plan.chunks, plan, lambda _: True) == []


def test_recipes_are_of_the_plans_own_renders():
    plan, other = plan_of(units="things:0"), plan_of(units="things:1")
    render = next(iter(other.renders))
    assert render not in plan.renders
    assert list(plan.renders) == [r for chunk in plan.chunks for r in chunk.renders]
    assert dict(plan.renders).keys() == plan.keys.keys()
