"""Unit specs: what they mean, and one sentence for everything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas.errors import UnitError
from atlas.models.dialect import CAFFE, layers_of
from atlas.units import Unit, by_layer, find_layer, parse_units

LAYERS = layers_of(CAFFE)


def test_specs_name_channels_ranges_and_layers_in_network_order():
    units = parse_units("mixed4c:447, mixed4a:0-2,mixed4c:1,mixed4c:447", LAYERS)
    assert [str(u) for u in units] == [
        "mixed4a:0", "mixed4a:1", "mixed4a:2", "mixed4c:1", "mixed4c:447",
    ]  # fmt: skip
    assert len(parse_units("mixed5b", LAYERS)) == 1024
    assert len(parse_units("all", LAYERS)) == 5808
    assert by_layer(units) == {"mixed4a": [0, 1, 2], "mixed4c": [1, 447]}


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("inception4c", "mixed4c"),
        ("inception_4c/output", "mixed4c"),
        ("conv3", "conv2d2"),
        ("conv1/7x7_s2", "conv2d0"),
        ("MIXED3A", "mixed3a"),
    ],
)
def test_other_libraries_names_are_aliases(alias, name):
    assert parse_units(f"{alias}:5", LAYERS) == (Unit(name, 5),)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mixed9z:3", "unknown layer 'mixed9z'"),
        ("mixed4f:3", "did you mean mixed4"),
        ("mixed4c:512", "mixed4c has channels 0 to 511"),
        ("mixed4c:500-600", "'mixed4c:500-600' is out of range"),
        ("mixed4c:9-3", "runs backwards"),
        ("mixed4c:-1", "cannot read 'mixed4c:-1'"),
        ("mixed4c:1,,mixed4c:2", "empty part"),
        ("", "empty part"),
        ("mixed4c:x", "cannot read 'mixed4c:x'"),
    ],
)
def test_bad_specs_show_the_offending_part(spec, message):
    with pytest.raises(UnitError, match=message):
        parse_units(spec, LAYERS)


@given(st.text())
def test_any_text_gives_units_or_one_line(text):
    try:
        units = parse_units(text, LAYERS)
    except UnitError as error:
        lines = str(error).splitlines()
        assert len(lines) == 1
    else:
        assert all(0 <= u.index < find_layer(u.layer, LAYERS).channels for u in units)


@given(st.sets(st.sampled_from([Unit(la.name, i) for la in LAYERS for i in (0, 7, 63)])))
def test_writing_units_down_and_reading_them_back(units):
    if units:
        assert set(parse_units(",".join(map(str, units)), LAYERS)) == units


def test_branches_cover_every_channel_once():
    for layer in LAYERS:
        assert [layer.branch_of(i).name for i in range(layer.channels)] == [
            b.name for b in layer.branches for _ in range(b.start, b.stop)
        ]
