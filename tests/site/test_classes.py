import math

import pytest
from fake import LABELS, TOY_LAYERS, channel, classes

from atlas.site.catalogue import ClassRecord
from atlas.site.classes import class_paths, classes_of
from atlas.site.links import Links

MIXED = TOY_LAYERS[1]


def view(*found, **changes):
    record = channel(MIXED, 0, classes=found or classes(), **changes)
    return classes_of(record, Links(None, {"redbone": "classes/redbone.html"}))


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
    assert classes_of(channel(MIXED, 0, classes=()), Links(None, {})) is None
    assert view(histogram=None).everything is None


def test_rows_lead_to_the_pages_that_there_are():
    pages = {row.label: row.page for row in view().rows}
    assert pages == dict.fromkeys(LABELS) | {"redbone": "../classes/redbone.html"}


def test_means_that_are_no_numbers_are_left_out():
    found = view(ClassRecord("cat", math.nan, 5), ClassRecord("dog", 3.0, 5))
    assert [row.label for row in found.rows] == ["dog"]


@pytest.mark.parametrize(
    ("label", "path"),
    [
        ("great white shark, white shark", "classes/great-white-shark-white-shark.html"),
        ("Crème brûlée", "classes/creme-brulee.html"),
        ("  ../../etc/passwd", "classes/etc-passwd.html"),
        ("a" * 5000, f"classes/{'a' * 60}.html"),
        ("x" * 59 + " y", f"classes/{'x' * 59}.html"),
        ("index", "classes/index-1bc04b52.html"),
        ("猫", "classes/a810bf84.html"),
        ("\udcff", "classes/8f1d0f9c.html"),
    ],
)
def test_a_label_becomes_the_name_of_a_file(label, path):
    assert class_paths([label]) == {label: path}


def test_labels_of_one_name_have_pages_of_their_own():
    labels = ["crane", "Crane", "crane!", "drake", "\u202ecrane", "?", "\udcff", "\udcfe"]
    paths = class_paths(labels)
    assert paths["crane"] == "classes/crane.html"
    assert paths["drake"] == "classes/drake.html"
    assert len(set(paths.values())) == len(labels)
    assert len({path.lower() for path in paths.values()}) == len(labels)
