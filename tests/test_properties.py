"""Whatever is put in, keys, specs, plans, shards and merges give a value or one sentence."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from atlas.config import MOST_SHARDS, Config, load_config
from atlas.entry import NAME, entry_of
from atlas.envelope import EnvelopeError, canonical, seal, unseal
from atlas.errors import AtlasError, StoreError, UnitError, in_one_line
from atlas.examples.sources import open_source
from atlas.keys import key_of, name_of
from atlas.merge import merge, open_sources
from atlas.opening import opened
from atlas.options import config_of, shard_of
from atlas.plan import balanced, cut, make_plan, missing_chunks
from atlas.recipes import recipe_of
from atlas.store import Store
from atlas.units import Unit, parse_units
from tests.toy import ToyNetwork

LAYERS = ToyNetwork.layers
UNITS = [Unit(layer.name, index) for layer in LAYERS for index in range(layer.channels)]

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
recipes = st.dictionaries(st.text(), plain, max_size=6)
specs = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="edgshapin:-,0123456789 all\n\t", max_size=40),
    st.lists(st.sampled_from(["edges", "shapes:3", "things:0-15", "objects:2", "all"])).map(
        ",".join
    ),
)


def is_one_line(error: AtlasError) -> bool:
    """Whether it is a sentence without whatever names of the user's it quotes."""
    text = str(error)
    return bool(text) and "\n" not in text.strip() and len(text) < 2000


def result(call, *arguments):
    """What a call returns, or the error that explains why it does not."""
    try:
        return call(*arguments)
    except AtlasError as error:
        return error


@given(recipes, st.randoms())
def test_keys_follow_content_and_not_order(recipe, random):
    names = list(recipe)
    random.shuffle(names)
    assert key_of({name: recipe[name] for name in names}) == key_of(recipe)
    assert NAME.fullmatch(f"{key_of(recipe)}.png")


@given(recipes, recipes)
def test_keys_differ_where_recipes_do(one, two):
    assert (key_of(one) == key_of(two)) == (canonical(one) == canonical(two))


@given(recipes, st.text())
def test_every_recipe_has_a_name(recipe, stage):
    for known in ("render", "examples", "examples-part", "field", "map", stage):
        assert isinstance(name_of(recipe | {"stage": known}), str)


@given(recipes, recipes, plain)
def test_sealed_files_come_apart(recipe, facts, data):
    content = canonical(data).encode()
    opened = unseal(seal(content, "json", recipe, facts), "json")
    assert opened.content == content
    assert canonical([opened.recipe, opened.facts]) == canonical([recipe, facts])


@given(st.binary(max_size=300), st.sampled_from(["png", "json", "safetensors", "", "exe"]))
def test_any_bytes_are_an_entry_or_none(data, suffix):
    with pytest.raises(EnvelopeError):
        unseal(data, suffix)
    with pytest.raises(EnvelopeError):
        entry_of(f"{'0' * 64}.{suffix}", data)


@given(recipes, recipes, st.data())
def test_a_changed_byte_never_goes_unnoticed(recipe, facts, data):
    sealed = bytearray(seal(b"[1, 2]", "json", recipe, facts))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(EnvelopeError):
        unseal(bytes(sealed), "json")


@given(specs)
def test_a_unit_spec_is_units_or_one_sentence(spec):
    units = result(parse_units, spec, LAYERS)
    if isinstance(units, UnitError):
        assert is_one_line(units)
    else:
        assert units
        assert list(units) == [unit for unit in UNITS if unit in units]


@given(st.text(max_size=20) | st.text(alphabet="0123456789/ -+", max_size=12))
@example("1/" + "9" * 5000)
@example(f"1/{MOST_SHARDS + 1}")
@example("1/2" + "\n" * 2000)
def test_a_shard_is_two_numbers_or_one_sentence(text):
    shard = result(shard_of, text)
    if isinstance(shard, AtlasError):
        assert is_one_line(shard)
    else:
        assert 1 <= shard[0] <= shard[1] <= MOST_SHARDS


paths = st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=20)
names = paths.map(lambda text: text.translate({ord("/"): "|", ord("."): ","}))
options = st.fixed_dictionaries(
    {
        **{name: st.none() | paths for name in ("model", "weights", "dataset", "store", "out")},
        **{name: st.none() | paths for name in ("preset", "kinds", "device", "engine")},
        **{name: st.none() | st.integers() for name in ("limit", "size", "steps", "seed")},
        "units": st.none() | specs,
        "config_file": st.none(),
    },
    optional={
        "regularize": paths, "parameterization": paths, "optimizer": paths, "colours": paths,
        "spectrum": paths, "patches": paths, "start": paths, "site_url": paths,
        "media_base_url": paths, "decay": st.floats(), "learning_rate": st.floats(),
        "stop": st.floats(), "diversity": st.floats(), "settle": st.floats(),
    },
)  # fmt: skip


@settings(deadline=None)
@given(options)
def test_options_are_a_plan_or_one_sentence(options):
    config = result(config_of, options)
    if isinstance(config, AtlasError):
        assert is_one_line(config)
        return
    recipe = result(recipe_of, config.render)
    if isinstance(recipe, AtlasError):
        assert is_one_line(recipe)
        return
    plan = result(make_plan, config, recipe, ToyNetwork(), "digest", "cpu")
    if isinstance(plan, AtlasError):
        assert is_one_line(plan)
    else:
        assert set(plan.keys) == set(plan.renders)


@settings(deadline=None)
@given(st.text(max_size=60) | st.builds("{} = {}".format, st.text(max_size=12), st.text()))
def test_a_config_file_is_a_config_or_one_sentence(text):
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "atlas.toml"
        path.write_text(text, encoding="utf-8")
        config = result(load_config, path, {})
    assert isinstance(config, Config) or is_one_line(config)


@settings(deadline=None)
@given(st.sampled_from(["folder:", "parquet:", "", "sample:", ":"]), names)
def test_a_dataset_is_a_source_or_one_sentence(kind, rest):
    source = result(open_source, kind + rest)
    assert not isinstance(source, AtlasError) or str(source)


@settings(deadline=None)
@given(names)
@example("\0")
@example("x" * 300)
def test_a_store_is_opened_or_one_sentence(text):
    def put(folder):
        with opened(load_config(None, {"store": folder}).store, "write", "atlas build") as store:
            return store.put({"stage": "render"}, b"1", "json", {})

    with tempfile.TemporaryDirectory() as name:
        key = result(put, f"{name}/in/{text}")
    assert key == key_of({"stage": "render"}) or is_one_line(key)


@given(st.text())
def test_whatever_is_said_is_said_on_one_line(text):
    shown = in_one_line(text)
    assert shown.isprintable()
    assert in_one_line(shown) == shown
    if text.isprintable():
        assert shown.split() == text.split()


kinds = st.lists(
    st.sampled_from(["neuron", "positive", "diverse", "negative"]), min_size=1, unique=True
)
configs = st.fixed_dictionaries(
    {
        "units": st.lists(st.sampled_from(UNITS), min_size=1, unique=True).map(
            lambda units: ",".join(map(str, units))
        ),
        "render": st.fixed_dictionaries({"kinds": kinds, "chunk": st.integers(0, 9)}),
    }
)


def plan_of(config, device="cpu"):
    config = Config.model_validate(config)
    return make_plan(config, recipe_of(config.render), ToyNetwork(), None, device)


@settings(deadline=None)
@given(configs, st.sampled_from(["cpu", "cuda"]), st.randoms())
def test_a_plan_holds_every_render_once_and_only_its_chunks_depend_on_the_device(
    config, device, random
):
    plan = plan_of(config, device)
    renders = [render for chunk in plan.chunks for render in chunk.renders]
    assert len(renders) == len(set(renders))
    assert set(renders) == set(plan.renders) == set(plan.keys)
    assert len(set(plan.keys.values())) == len(renders)
    assert plan.keys == plan_of(config).keys
    for chunk in plan.chunks:
        assert {render.unit.layer for render in chunk.renders} == {chunk.layer}
    # What is missing decides which chunks are made, never how they are cut.
    done = {key for key in plan.keys.values() if random.random() < 0.5}
    missing = missing_chunks(plan.chunks, plan, done.__contains__)
    assert set(missing) <= set(plan.chunks)
    assert {r for c in missing for r in c.renders} >= {
        render for render, key in plan.keys.items() if key not in done
    }


@given(
    st.dictionaries(st.sampled_from(UNITS), st.integers(1, 7), min_size=1),
    st.integers(1, 9),
    st.integers(1, 40),
    st.fixed_dictionaries({layer.name: st.integers(1, 1000) for layer in LAYERS}),
)
def test_shards_are_a_partition_and_no_heavier_than_they_must_be(counts, run, count, costs):
    of_unit = {unit: [(unit, i) for i in range(counts[unit])] for unit in sorted(counts)}
    chunks = cut(of_unit, run, "cpu")
    shares = balanced(chunks, count, costs)
    assert sorted(itertools.chain(*shares), key=chunks.index) == chunks
    assert shares == balanced(chunks, count, costs)
    loads = [sum(costs[c.layer] * len(c.renders) for c in share) for share in shares]
    dearest = max(costs[chunk.layer] * len(chunk.renders) for chunk in chunks)
    assert max(loads) - min(loads) <= dearest


@settings(deadline=None, max_examples=25)
@given(
    st.lists(
        st.dictionaries(st.integers(0, 5), st.sampled_from([0, 0, 0, 1]), max_size=6),
        min_size=1, max_size=4,
    ),
    st.permutations(range(4)),
)  # fmt: skip
def test_a_merge_is_the_union_in_any_order_or_a_conflict(contents, order):
    """`contents` are stores: by number of the work its result, of which there may be two."""
    results: dict[int, set[int]] = {}
    for number, result in itertools.chain(*(content.items() for content in contents)):
        results.setdefault(number, set()).add(result)
    with tempfile.TemporaryDirectory() as name:
        folders = []
        for i, content in enumerate(contents):
            folders.append(Path(name) / f"{i}")
            store = Store(folders[-1])
            for number, result in content.items():
                recipe = {"stage": "render", "channel": number}
                store.put(recipe, b"%d" % result, "json", {"activation": result})
            store.close()
        target = Store(Path(name) / "target")
        sources = open_sources([folders[i] for i in order if i < len(folders)])
        try:
            if any(len(values) > 1 for values in results.values()):
                with pytest.raises(StoreError) as caught:
                    merge(target, sources)
                assert is_one_line(caught.value)
                assert list(target.files()) == []
            else:
                assert merge(target, sources).copied == len(results)
                assert merge(target, sources).copied == 0
                assert {row.facts["activation"] for row in target.rows("render").values()} == {
                    result for values in results.values() for result in values
                }
                assert len(target.rows("render")) == len(results)
        finally:
            for store in (target, *sources):
                store.close()
