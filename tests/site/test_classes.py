import math

import pytest
from fake import TOY_LAYERS, catalogue, channel, classes

from atlas.site.catalogue import ClassRecord
from atlas.site.classes import classes_of

MIXED = TOY_LAYERS[1]


def view(*found, **changes):
    return classes_of(channel(MIXED, 0, classes=found or classes(), **changes))


def test_bars_are_shares_of_the_strongest_and_all_photographs_come_last():
    found = view(ClassRecord("cat", 200.0, 1300), ClassRecord("dog", 50.0, 7))
    assert [(r.label, r.mean, r.count, r.bar) for r in found.rows] == [
        ("cat", "200", "1,300", "100%"),
        ("dog", "50.0", "7", "25%"),
    ]
    assert (found.everything.label, found.everything.count) == ("all photographs", "1,000")


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((1, 1), "There is one photograph of each"),
        ((50, 1), "Where there is only one, that is its maximum"),
        ((50, 60), "By the mean of the maxima over the photographs of a class."),
    ],
)
def test_the_note_is_honest_about_single_photographs(counts, words):
    note = view(*(ClassRecord(f"c{i}", 9.0 - i, n) for i, n in enumerate(counts))).note
    assert words in note
    assert ("one" in note) == (1 in counts)


def test_means_below_zero_have_no_bar():
    found = view(ClassRecord("cat", -1.0, 5), ClassRecord("dog", -3.0, 5))
    assert [row.bar for row in found.rows] == ["0%", "0%"]


def test_without_labels_there_is_no_table():
    assert classes_of(channel(MIXED, 0, classes=())) is None
    assert view(histogram=None).everything is None


def test_a_class_has_its_channels_by_selectivity():
    channels = [
        channel(MIXED, i, classes=(ClassRecord("owl", 5.0, 3, z), ClassRecord("bee", 1.0, 2, -z)))
        for i, z in enumerate((1.5, math.nan, 4.0, 1.5))
    ]
    found = catalogue(channels=channels).by_class()
    assert list(found) == ["bee", "owl"]
    assert [c.index for c, _ in found["owl"]] == [2, 0, 3, 1]
    assert [c.index for c, _ in found["bee"]] == [0, 3, 2, 1]
