"""Rankings and buckets against brute force, and as monoids."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas.examples import insert
from atlas.examples.buckets import BUCKETS, Buckets
from atlas.examples.ranking import NONE, Ranking, priority

C = 6


def data(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Values (N, C) of very different ranges, some tied, image numbers and positions."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((count, C)) * [1, 1e-3, 1e4, 1, 0, 5] + [0, 7, -3e4, 0, 2.5, 0]
    values[:, 3] = np.round(values[:, 3])  # ties
    values[:, 5] = np.abs(values[:, 5]) ** 3
    order = rng.permutation(count * 3)[:count]
    return (
        torch.from_numpy(values).float(),
        torch.from_numpy(order),
        torch.from_numpy(rng.integers(0, 49, (count, C))).int(),
    )


def ranked(values, images, where, k=5) -> Ranking:
    n = len(images)
    one = Ranking(values.double(), images[:, None].expand(n, C), values, where)
    return Ranking.empty(k, (C,)).merge(one, k)


def same(one, other) -> bool:
    if isinstance(one, torch.Tensor):
        return bool(torch.equal(one.nan_to_num(nan=-77.0), other.nan_to_num(nan=-77.0)))
    return all(same(getattr(one, n), getattr(other, n)) for n in one.__dataclass_fields__)


def bucketed(values, images, where, batch=7) -> Buckets:
    state = Buckets.empty(C, 3)
    for i in range(0, len(images), batch):
        state = state.update(values[i : i + batch], images[i : i + batch], where[i : i + batch])
    return state


@pytest.mark.parametrize("count", [0, 3, 60])
def test_rankings_equal_brute_force(count):
    values, images, where = data(count)
    got = ranked(values, images, where)
    for c in range(C):
        rows = sorted(range(count), key=lambda i, c=c: (-float(values[i, c]), int(images[i])))[:5]
        assert got.image[: len(rows), c].tolist() == [int(images[i]) for i in rows]
        assert got.value[: len(rows), c].tolist() == [float(values[i, c]) for i in rows]
        assert got.where[: len(rows), c].tolist() == [int(where[i, c]) for i in rows]
        assert (got.image[len(rows) :, c] == NONE).all()


@pytest.mark.parametrize("make", [ranked, bucketed])
def test_merging_parts_in_any_order_equals_one_pass(make):
    values, images, where = data(90)
    whole = make(values, images, where)
    cuts = [(0, 11), (11, 12), (12, 60), (60, 90)]
    parts = [make(values[a:b], images[a:b], where[a:b]) for a, b in cuts]
    for order in itertools.permutations(range(4)):
        merged = parts[order[0]]
        for i in order[1:]:
            merged = merged.merge(parts[i])
        assert same(merged, whole)
    assert same(parts[0].merge(parts[1].merge(parts[2])), parts[0].merge(parts[1]).merge(parts[2]))


@pytest.mark.parametrize("k", [1, 5, 200])
@pytest.mark.parametrize("batch", [1, 16, 60])
def test_updating_in_the_order_of_the_dataset_is_merging(k, batch):
    values, _, where = data(120, seed=3)
    values[7, 0], values[9, 0], values[11] = 0.0, -0.0, values[4]
    images = torch.arange(120) * 3
    found = Ranking.empty(k, (C,))
    for i in range(0, 120, batch):
        at = slice(i, i + batch)
        number = images[at, None].expand(-1, C)
        found = found.update(Ranking(values[at].double(), number, values[at], where[at]))
    assert same(found, ranked(values, images, where, k))


def test_a_ranking_merged_with_itself_is_itself():
    whole = ranked(*data(40))
    assert same(whole.merge(whole), whole)
    assert same(whole.merge(Ranking.empty(5, (C,))), whole)


@pytest.mark.parametrize("numba", [True, False])
def test_buckets_equal_brute_force(monkeypatch, numba):
    if not numba:
        monkeypatch.setattr(insert, "compiled", lambda _: None)
    values, images, where = data(400)
    got = bucketed(values, images, where, 16)
    keys = priority(images)
    for c in range(C):
        column = values[:, c].double().numpy()
        w = 2.0 ** int(got.exponent[c])
        first = int(np.floor(column.min() / w))
        assert int(got.first[c]) == first
        last = int(np.floor(column.max() / w)) - first
        assert last < BUCKETS
        if column.min() < column.max():
            finer = np.floor(column.max() / w * 2) - np.floor(column.min() / w * 2)
            assert finer >= BUCKETS
        place = (np.floor(column / w) - first).astype(int)
        assert got.counts[c].tolist() == np.bincount(place, minlength=BUCKETS).tolist()
        for b in range(BUCKETS):
            rows = sorted(np.flatnonzero(place == b), key=lambda i: float(keys[i]))[:3]
            kept = got.images.image[:, c, b]
            assert kept[: len(rows)].tolist() == images[rows].tolist()
            assert (kept[len(rows) :] == NONE).all()
            np.testing.assert_array_equal(got.images.value[: len(rows), c, b], values[rows, c])
            np.testing.assert_array_equal(got.images.where[: len(rows), c, b], where[rows, c])


@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=40),
    st.integers(1, 5),
    st.randoms(use_true_random=False),
)
@settings(max_examples=40, deadline=None)
def test_buckets_do_not_depend_on_order_or_batches(numbers, batch, random):
    values = torch.tensor(numbers, dtype=torch.float32)[:, None]
    images = torch.arange(len(numbers))
    where = torch.zeros(len(numbers), 1, dtype=torch.int32)

    def state(order):
        found = Buckets.empty(1, 2)
        for i in range(0, len(order), batch):
            rows = order[i : i + batch]
            found = found.update(values[rows], images[rows], where[rows])
        return found

    order = list(range(len(numbers)))
    one = state(order)
    random.shuffle(order)
    assert same(one, state(order))
    assert int(one.counts.sum()) == len(numbers)


def test_priorities_are_a_uniform_shuffle():
    keys = priority(torch.arange(100_000)).numpy()
    assert len(np.unique(keys)) == 100_000
    assert 0 <= keys.min() < keys.max() < 1
    counts = np.histogram(keys, 50, (0, 1))[0]
    assert ((counts - 2000) ** 2 / 2000).sum() < 90
    order = np.argsort(keys)[:5000]
    assert abs(order.mean() - 50_000) < 1500
    assert abs(np.corrcoef(keys[:-1], keys[1:])[0, 1]) < 0.02


def test_the_priority_is_splitmix64s():
    def reference(n: int) -> float:
        mask = 2**64 - 1
        z = ((n + 1) * 0x9E3779B97F4A7C15) & mask
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return ((z ^ (z >> 31)) >> 11) / 2**53

    numbers = [0, 1, 2, 12345, 1_281_166]
    assert priority(torch.tensor(numbers)).tolist() == [reference(n) for n in numbers]
