"""A whole pass against brute force; split, merged and resumed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from atlas.errors import WorkError
from atlas.examples import collect as collecting
from atlas.examples import insert, looking, scan
from atlas.examples.collect import chunks, collect, columns_of, finish, passing
from atlas.examples.ranking import priority
from atlas.examples.receptive import theoretical
from atlas.examples.sources import open_source
from atlas.examples.state import State
from atlas.examples.view import Viewing
from atlas.optvis.parameterize import from_uint8
from tests.conftest import make_photo
from tests.toy import ToyNetwork

LAYERS = ("edges", "shapes", "things")
VIEW = Viewing(64, 48)
FIELDS = {name: theoretical(ToyNetwork().path(name)) for name in LAYERS}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """150 pictures of four classes, three of them broken."""
    root = tmp_path_factory.mktemp("many")
    rng = np.random.default_rng(5)
    for i in range(150):
        folder = root / ("n01440764", "zebra", "owl", "cat")[i % 4]
        folder.mkdir(exist_ok=True)
        make_photo(rng, 60 + i % 7, 64).save(folder / f"{i:03}.png")
        if i in (3, 77, 140):
            (folder / f"{i:03}.png").write_bytes(b"broken")
    return open_source(f"folder:{root}")


@pytest.fixture(scope="module")
def taps(toy, source):
    """All activations of every readable image, by layer, and the images' numbers."""
    views, numbers = [], []
    for i in range(len(source)):
        try:
            views.append(VIEW.apply(source.load(i)))
            numbers.append(i)
        except Exception:
            continue
    x = from_uint8(torch.from_numpy(np.stack(views)))
    with torch.inference_mode():
        found = dict(toy.walk(x, LAYERS))
    return {name: t.double().numpy() for name, t in found.items()}, np.array(numbers)


def state_of(toy, source, part=(1, 1), k=6):
    state = State.empty(columns_of(toy, LAYERS).total, k)
    for done in passing(toy, source, LAYERS, state, VIEW, chunks(source, part)):
        state = done
    return state


def same(one, other) -> bool:
    if isinstance(one, torch.Tensor):
        return bool(torch.equal(one.nan_to_num(nan=-77.0), other.nan_to_num(nan=-77.0)))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if hasattr(one, "__dataclass_fields__"):
        return all(same(getattr(one, n), getattr(other, n)) for n in one.__dataclass_fields__)
    return bool(one == other)


@pytest.mark.parametrize("layer", LAYERS)
def test_tables_equal_brute_force(toy, source, taps, layer):
    found = collect(toy, source, LAYERS, 6, VIEW)
    assert [name for name, _ in found.skipped] == [
        source.items[i].id for i in range(150) if i not in taps[1]
    ]
    table, (maps, numbers) = found.tables[layer], taps
    a = maps[layer]
    flat = a.reshape(*a.shape[:2], -1)
    high, low = flat.max(2), flat.min(2)
    keys = priority(torch.from_numpy(numbers)).numpy()
    width = a.shape[3]
    assert table.images == 147
    for c in range(a.shape[1]):
        for value, image, position, found_values in (
            (high, table.top_image, table.top_position, table.top_value),
            (-low, table.bottom_image, table.bottom_position, -table.bottom_value),
        ):
            rows = np.argsort(-value[:, c], kind="stable")[:6]
            np.testing.assert_array_equal(image[c], numbers[rows])
            np.testing.assert_allclose(found_values[c], value[rows, c], rtol=1e-4, atol=1e-6)
            y, x = position[c].T
            picked = a[rows, c, y, x] if value is high else -a[rows, c, y, x]
            np.testing.assert_allclose(picked, value[rows, c], rtol=1e-4, atol=1e-6)
        sample = np.argsort(keys)[:25]
        np.testing.assert_array_equal(table.sample_image[c], numbers[sample])
        np.testing.assert_allclose(table.sample_value[c], high[sample, c], rtol=1e-4, atol=1e-6)
        # Histogram: buckets of a power of two, the finest of which 128 reach.
        w = 2.0 ** int(table.histogram_exponent[c])
        column = high[:, c].astype(np.float32).astype(np.float64)
        place = np.floor(column / w).astype(int) - int(table.histogram_first[c])
        assert place.min() == 0
        expected = np.bincount(place, minlength=128)
        assert np.abs(expected - table.histogram[c]).sum() <= 2  # values on an edge, by rounding
        kept = [
            i
            for bucket in range(128)
            for i in sorted(np.flatnonzero(place == bucket), key=lambda i: keys[i])[:5]
        ]
        edges = (column - column.min()) / (column.max() - column.min()) * 10
        for band in range(10):
            members = [i for i in kept if min(int(edges[i]), 9) == band]
            members.sort(key=lambda i: keys[i])
            got = table.band_image[c, band]
            if np.array_equal(expected, table.histogram[c]):
                np.testing.assert_array_equal(got[got >= 0], numbers[members[:5]])
        labels = np.array([source.items[i].label for i in numbers])
        means = {label: high[labels == label, c].mean() for label in set(labels)}
        best = sorted(means, key=lambda label: -means[label])
        assert [table.labels[i] for i in table.class_index[c, :4]] == best
        np.testing.assert_allclose(
            table.class_means[c], [means[label] for label in table.labels], rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(
            table.class_mean[c, :4], [means[label] for label in best], rtol=1e-4, atol=1e-5
        )
    stats = table.stats
    np.testing.assert_allclose(stats["mean"], flat.mean((0, 2)), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(stats["std"], flat.std((0, 2)), rtol=1e-5)
    np.testing.assert_allclose(stats["fires"], (high > 0).mean(0))
    np.testing.assert_allclose(stats["min"], low.min(0), rtol=1e-5)
    np.testing.assert_allclose(stats["max"], high.max(0), rtol=1e-5)
    np.testing.assert_allclose(
        stats["best_score"], np.maximum(flat, 0).mean(2).max(0), rtol=1e-4, atol=1e-7
    )
    np.testing.assert_allclose(
        stats["best_negative_score"], np.maximum(-flat, 0).mean(2).max(0), rtol=1e-4, atol=1e-6
    )
    assert (table.class_count.sum(), width) == (147, a.shape[3])


@pytest.mark.parametrize("count", [1, 3, 7])
def test_parts_merged_in_any_order_are_one_pass(toy, source, count):
    whole = state_of(toy, source)
    parts = [state_of(toy, source, (i, count)) for i in range(1, count + 1)]
    rng = np.random.default_rng(count)
    for _ in range(3):
        order = rng.permutation(count)
        merged = parts[order[0]]
        for i in order[1:]:
            merged = merged.merge(parts[i])
        assert same(finish_(toy, source, merged), finish_(toy, source, whole))
        assert same(merged.total(), whole.total())


def test_a_pass_on_a_gpu_is_one_on_a_cpu(toy, source, monkeypatch):
    """Its stand-in: batches of 64 as a whole, by PyTorch, one after the other."""
    here = finish_(toy, source, state_of(toy, source))
    sizes = []
    see = looking.look_at

    def noted(network, x, *arguments):
        sizes.append(len(x))
        return see(network, x, *arguments)

    monkeypatch.setattr(looking, "look_at", noted)
    for module in (looking, collecting):
        monkeypatch.setattr(module, "shared", lambda _: False)
    for module in (scan, insert):
        monkeypatch.setattr(module, "compiled", lambda _: None)
    there = finish_(toy, source, state_of(toy, source))
    assert sizes == [63, 63, 21]  # of 64, 64 and 22, three of which cannot be read
    assert there.pop("skipped") == here.pop("skipped")
    for number, array in here.items():
        torch.testing.assert_close(there[number], array, rtol=1e-5, atol=1e-5, equal_nan=True)


def finish_(toy, source, state):
    found = finish(source, columns_of(toy, LAYERS), FIELDS, state, 6, VIEW)
    arrays = [
        torch.from_numpy(np.ascontiguousarray(getattr(table, name)))
        for table in found.tables.values()
        for name in table.__dataclass_fields__
        if isinstance(getattr(table, name), np.ndarray)
    ]
    return dict(enumerate(arrays)) | {"skipped": found.skipped}


def test_merging_is_commutative_associative_and_idempotent(toy, source):
    a, b, c = (state_of(toy, source, (i, 3)) for i in (1, 2, 3))
    assert same(a.merge(b), b.merge(a)) or same(
        finish_of_sets(a.merge(b)), finish_of_sets(b.merge(a))
    )
    left, right = a.merge(b).merge(c), a.merge(b.merge(c))
    assert same(finish_of_sets(left), finish_of_sets(right))
    assert same(a.merge(a), a)
    with pytest.raises(WorkError, match="overlap"):
        a.merge(a.merge(b))


def finish_of_sets(state):
    """A state without the order in which its dicts were filled."""
    return {
        name: dict(sorted(value.items())) if isinstance(value, dict) else value
        for name, value in vars(state).items()
    }


def test_a_pass_goes_on_where_it_stopped(toy, source, monkeypatch):
    whole = state_of(toy, source)
    monkeypatch.setattr(collecting, "TOGETHER", 4)
    state = State.empty(columns_of(toy, LAYERS).total, 6)
    for stop in (1, 1):
        for done in itertools.islice(
            passing(toy, source, LAYERS, state, VIEW, chunks(source)), stop
        ):
            state = done
    assert 0 < state.images < whole.images
    for done in passing(toy, source, LAYERS, state, VIEW, chunks(source)):
        state = done
    assert same(finish_(toy, source, state), finish_(toy, source, whole))


def test_chunks_cover_the_dataset_once(source):
    every = chunks(source)
    assert [i for chunk in every for i in chunk] == list(range(150))
    for count in (1, 2, 3, 7, 20):
        parts = [chunks(source, (i, count)) for i in range(1, count + 1)]
        assert [chunk for part in parts for chunk in part] == every
