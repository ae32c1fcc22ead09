"""Which channels belong together, against NumPy that goes through all of them one by one."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest

from atlas.examples.table import ExampleTable
from atlas.kinship import LEAST_CLASSES, MEMBERS, SIMILAR, counts, members, similar
from atlas.site.catalogue import MemberRecord, SimilarRecord
from atlas.units import Unit

LABELS = tuple(f"class {i:02}" for i in range(24))
NONE = np.zeros(0)


def table_of(means, labels=LABELS, count=None, histogram=None):
    """A table of which class means, counts and histograms are known.

    Without `histogram`, every channel has 10 maxima in [0, 1), 20 in [1, 2), 10 in [2, 3): mean
    1.5, standard deviation 0.5^½.
    """
    channels = len(means)
    if histogram is None:
        histogram = np.tile(np.array([10, 20, 10, 0]), (channels, 1))
    known = {
        "class_means": np.asarray(means, dtype=np.float32),
        "class_count": np.full(len(labels), 5) if count is None else np.asarray(count),
        "histogram": histogram,
        "histogram_first": np.zeros(channels, dtype=np.int64),
        "histogram_exponent": np.zeros(channels, dtype=np.int64),
        "labels": labels,
        "images": 40,
    }
    others = {field.name: NONE for field in fields(ExampleTable)}
    return ExampleTable(**others | known)


MEAN, STD = 1.5, 0.5**0.5


@pytest.fixture
def tables():
    """Two layers of 30 and 20 channels with random means of 24 classes."""
    rng = np.random.default_rng(7)
    return {
        "low": table_of(rng.normal(2, 1, (30, 24))),
        "high": table_of(rng.gamma(1, 2, (20, 24))),
    }


UNITS = [Unit("low", i) for i in range(30)] + [Unit("high", i) for i in range(20)]


def correlations(tables, units):
    """The correlation over classes of every two units, from `numpy.corrcoef`."""
    return np.corrcoef(
        np.array([tables[u.layer].class_means[u.index] for u in units], dtype=np.float64)
    )


def test_similar_channels_are_those_of_highest_correlation(tables):
    found = similar(tables, UNITS)
    expected = correlations(tables, UNITS)
    np.fill_diagonal(expected, -1)
    assert list(found) == UNITS
    for row, unit in enumerate(UNITS):
        order = np.argsort(-expected[row])[:SIMILAR]
        assert [one.name for one in found[unit]] == [str(UNITS[i]) for i in order]
        assert [one.cosine for one in found[unit]] == pytest.approx(expected[row, order], abs=6e-5)


def test_only_the_units_of_the_atlas_are_similar(tables):
    few = [Unit("high", 3), Unit("low", 4), Unit("low", 9)]
    found = similar(tables, few)
    expected = correlations(tables, few)
    for row, unit in enumerate(few):
        others = {str(few[i]) for i in range(3) if i != row and expected[row, i] > 0}
        assert {one.name for one in found[unit]} == others


def test_blocks_of_channels_make_no_difference(tables, monkeypatch):
    entire = similar(tables, UNITS)
    monkeypatch.setattr("atlas.kinship._BLOCK", 7)
    assert similar(tables, UNITS) == entire


def test_opposites_are_not_similar():
    profile = np.arange(24.0)
    tables = {"a": table_of([profile, -profile, profile[::-1] * 3 + 1])}
    found = similar(tables, [Unit("a", i) for i in range(3)])
    assert found[Unit("a", 0)] == ()
    assert found[Unit("a", 1)] == (SimilarRecord("a", 2, 1.0),)


def test_ties_come_in_the_order_of_the_atlas():
    profile = np.arange(24.0)
    units = [Unit("a", i) for i in range(9)]
    found = similar({"a": table_of([profile] * 9)}, units, most=3)
    assert [one.index for one in found[units[0]]] == [1, 2, 3]
    assert [one.index for one in found[units[5]]] == [0, 1, 2]


@pytest.mark.parametrize("value", [0.0, 3.0, 0.1, -1 / 3, 123.456])
def test_a_channel_that_answers_to_all_classes_alike_is_similar_to_none(value):
    """Whatever rounding makes of its mean over 200 classes."""
    labels = tuple(f"{i}" for i in range(200))
    profile, alike = np.arange(200.0), np.full(200, value)
    units = [Unit("a", i) for i in range(4)]
    found = similar({"a": table_of([profile, alike, alike, profile], labels)}, units)
    assert found[units[1]] == found[units[2]] == ()
    assert [one.index for one in found[units[0]]] == [3]


def test_a_channel_that_hardly_varies_is_as_good_as_any():
    profile = np.arange(24.0)
    units = [Unit("a", 0), Unit("a", 1)]
    found = similar({"a": table_of([profile, -1000 + profile / 100])}, units)
    assert found[units[0]] == (SimilarRecord("a", 1, 1.0),)


@pytest.mark.parametrize(("classes", "there"), [(LEAST_CLASSES - 1, False), (LEAST_CLASSES, True)])
def test_with_few_classes_similarity_would_be_chance(classes, there):
    rng = np.random.default_rng(1)
    table = table_of(rng.normal(0, 1, (30, classes)), LABELS[:classes])
    found = similar({"a": table}, [Unit("a", i) for i in range(30)])
    assert bool(found) == there


def test_layers_whose_classes_differ_cannot_be_compared(tables):
    other = replace(tables["high"], labels=(*LABELS[:23], "another"))
    assert similar(tables | {"high": other}, UNITS) == {}


def test_units_of_layers_without_a_table_are_similar_to_none(tables):
    lone = {"low": tables["low"]}
    found = similar(lone, UNITS)
    assert found == similar(lone, UNITS[:30])
    assert Unit("high", 0) not in found
    assert similar({}, UNITS) == {}
    assert similar(tables, []) == {}


def selectivity(tables, units, column):
    """Every unit's distance from its own mean over all photographs, in deviations."""
    means = [float(tables[u.layer].class_means[u.index, column]) for u in units]
    return np.array([(value - MEAN) / STD for value in means])


def test_a_class_has_the_channels_most_selective_for_it(tables):
    found = members(tables, UNITS)
    assert list(found) == list(LABELS)
    for column, label in enumerate(LABELS):
        expected = selectivity(tables, UNITS, column)
        order = [i for i in np.argsort(-expected)[:MEMBERS] if expected[i] > 0]
        assert [one.name for one in found[label]] == [str(UNITS[i]) for i in order]
        for one, i in zip(found[label], order, strict=True):
            assert one.selectivity == pytest.approx(expected[i], rel=6e-4)
            mean = tables[UNITS[i].layer].class_means[UNITS[i].index, column]
            assert np.float32(one.mean) == mean


def test_selectivity_is_by_each_channels_own_photographs():
    """The same mean is much where most photographs have little."""
    histogram = np.array([[10, 20, 10, 0], [0, 10, 20, 10], [30, 0, 0, 10]])
    table = table_of(np.full((3, 24), 3.0), histogram=histogram)
    found = members({"a": table}, [Unit("a", i) for i in range(3)])["class 00"]
    deviation = math.sqrt((30 * 0.75**2 + 10 * 2.25**2) / 40)
    assert found == (
        MemberRecord("a", 0, 3.0, float(f"{1.5 / STD:.4g}")),
        MemberRecord("a", 2, 3.0, float(f"{1.75 / deviation:.4g}")),
        MemberRecord("a", 1, 3.0, float(f"{0.5 / STD:.4g}")),
    )


def test_channels_alike_come_in_the_order_of_the_atlas():
    units = [Unit("a", i) for i in range(30)]
    found = members({"a": table_of(np.full((30, 24), 2.0))}, units, most=4)
    assert [one.index for one in found["class 07"]] == [0, 1, 2, 3]


def test_a_class_below_the_mean_of_all_photographs_has_no_channel():
    means = np.full((2, 24), 1.5)
    means[:, 3] = 9.0
    found = members({"a": table_of(means)}, [Unit("a", 0), Unit("a", 1)])
    assert {label for label, some in found.items() if some} == {"class 03"}
    assert [one.index for one in found["class 03"]] == [0, 1]


def test_a_channel_whose_maxima_never_vary_is_in_no_class():
    histogram = np.array([[0, 40, 0, 0], [0, 0, 0, 0], [10, 20, 10, 0]])
    table = table_of(np.full((3, 24), 5.0), histogram=histogram)
    found = members({"a": table}, [Unit("a", i) for i in range(3)])
    assert [one.index for one in found["class 00"]] == [2]


def test_layers_whose_classes_differ_share_those_they_have(tables):
    few = replace(
        tables["high"], labels=LABELS[:2], class_means=tables["high"].class_means[:, :2],
        class_count=np.array([5, 5]),
    )  # fmt: skip
    found = members({"low": tables["low"], "high": few}, UNITS)
    entire = members(tables, UNITS)
    assert found["class 01"] == entire["class 01"]
    assert {one.layer for one in found["class 02"]} == {"low"}


def test_without_tables_or_labels_there_are_no_members(tables):
    assert members({}, UNITS) == {}
    assert members(tables, []) == {}
    bare = table_of(np.zeros((30, 0)), labels=())
    assert members({"low": bare}, UNITS) == {}


def test_classes_are_counted_over_all_layers(tables):
    first = replace(tables["low"], class_count=np.arange(24))
    assert counts({"low": first, "high": first}) == dict(zip(LABELS, range(24), strict=True))
    assert counts({}) == {}
