"""The text syntax: what is read, and how what cannot be read is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas.errors import AtlasError, ObjectiveError, UnitError
from atlas.optvis.leaves import (
    Channel,
    ClassScore,
    Direction,
    LayerEnergy,
    Match,
    Neuron,
    Photo,
)
from atlas.optvis.objective import Objective, Term, channel
from atlas.optvis.syntax import Readers, parse_objective, random_direction

PHOTO = Photo("a photo.jpg", "0" * 64, np.zeros((32, 32, 3), dtype=np.uint8))
READERS = Readers(vector=lambda _: np.arange(1, 9), photo=lambda _: PHOTO)
EIGHT = tuple(float(i) for i in range(1, 9))


@pytest.mark.parametrize(
    ("text", "leaf"),
    [
        ("edges:3", Channel("edges", 3)),
        ("-edges:3", Channel("edges", 3, -1)),
        (" − edges : 3 ", Channel("edges", 3, -1)),
        ("--edges:3", Channel("edges", 3)),
        ("objects:3", Channel("things", 3)),
        ("things_3x3:2", Channel("things", 8)),
        ("things:3x3:2", Channel("things", 8)),
        ("objects/1x1:5", Channel("things", 5)),
        ("things_bottleneck:1", Channel("things_bottleneck", 1)),
        ("neuron:edges:2", Neuron("edges", 2)),
        ("neuron:edges:2:4:5", Neuron("edges", 2, (4, 5))),
        ("layer:shapes", LayerEnergy("shapes")),
        ("deepdream:shapes", LayerEnergy("shapes", rectified=True)),
        ("class:tabby", ClassScore(0)),
        ("class:Tiger_Cat", ClassScore(5)),
        ("class:tiger cat", ClassScore(5)),
        ("class:'tiger cat'", ClassScore(5)),
        ("class:black-and-tan coonhound", ClassScore(4)),
        ("class:jack-o'-lantern", ClassScore(3)),
        ("class:crane", ClassScore(1)),
        ("class:7", ClassScore(7)),
        ("class:n00000007", ClassScore(7)),
        ("logit:owl", ClassScore(6)),
        ("prob:owl", ClassScore(6, "prob")),
        ("lse:owl", ClassScore(6, "lse")),
        ("logprob:owl", ClassScore(6, "lse")),
        ("dir:edges:[1,2,3,4,5,6,7,8]", Direction("edges", EIGHT)),
        ("dir:edges:v-1.npy^2", Direction("edges", EIGHT, 2.0)),
        ("invert:edges:x.jpg", Match("edges", PHOTO)),
        ("caricature:edges:'a b.jpg'^3", Match("edges", PHOTO, "caricature", 3.0)),
    ],
)
def test_leaves(toy, text, leaf):
    assert parse_objective(text, toy, READERS) == Objective.of(leaf)


def test_random_directions_are_unit_vectors_of_their_seed(toy):
    (leaf,) = parse_objective("dir:shapes:random:7", toy).leaves
    assert np.linalg.norm(leaf.vector) == pytest.approx(1)
    assert leaf.vector == tuple(random_direction(12, 7))
    assert leaf != parse_objective("dir:shapes:random:8", toy).leaves[0]
    many = np.stack([random_direction(12, seed) for seed in range(2000)])
    np.testing.assert_allclose(many.T @ many / 2000, np.eye(12) / 12, atol=0.015)


@pytest.mark.parametrize(
    ("text", "objective"),
    [
        ("edges:1+shapes:2", channel("edges", 1) + channel("shapes", 2)),
        ("edges:1-shapes:2", channel("edges", 1) - channel("shapes", 2)),
        ("edges:1 - -shapes:2", channel("edges", 1) - channel("shapes", 2, -1)),
        ("2*edges:1 + .5×shapes:2", 2 * channel("edges", 1) + 0.5 * channel("shapes", 2)),
        ("edges:1*2e-1", 0.2 * channel("edges", 1)),
        ("edges:1*shapes:2", channel("edges", 1) * channel("shapes", 2)),
        ("-(edges:1+shapes:2)", -(channel("edges", 1) + channel("shapes", 2))),
        (
            "2*(edges:1 + shapes:2)*edges:3",
            2 * ((channel("edges", 1) + channel("shapes", 2)) * channel("edges", 3)),
        ),
        ("class:tabby - class:owl", Objective.of(ClassScore(0)) - Objective.of(ClassScore(6))),
        (
            "class:black-and-tan coonhound-edges:1",
            Objective.of(ClassScore(4)) - channel("edges", 1),
        ),
    ],
)
def test_arithmetic(toy, text, objective):
    if "coonhound-edges" in text:  # a hyphen between letters belongs to the name
        with pytest.raises(ObjectiveError, match="coonhound-edges"):
            parse_objective(text, toy)
        text = text.replace("-edges", " - edges")
    assert parse_objective(text, toy) == objective


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("edges", "edges is a layer: write edges:CHANNEL"),
        ("edges:99", "'edges:99': edges has channels 0 to 7"),
        ("things_3x3:10", "things_3x3 has channels 0 to 9"),
        ("foo:3", "unknown layer 'foo'"),
        ("edge:3", "did you mean edges"),
        ("things:9x9:2", "'9x9:2'"),
        ("class:tabbi", "unknown class 'tabbi'; did you mean tabby"),
        ("class:lantern", r"did you mean jack-o'-lantern \(3\)"),
        ("class:10", "classes 0 to 9"),
        ("class:", "class is missing"),
        ("dir:edges:[1,2]", "has length 2, but edges has 8 channels"),
        ("dir:edges:[1,x]", r"'\[1,x\]' is no list"),
        ("dir:edges:[0,0,0,0,0,0,0,0]", "not all zero"),
        ("dir:edges:[nan,0,0,0,0,0,0,0]", "finite"),
        ("dir:shapes:v.npy", "'v.npy' has length 8, but shapes has 12"),
        ("dir:edges:random", "random:7"),
        ("neuron:edges:2:4", "y, after x"),
        ("edges:1+", "missing at the end"),
        ("edges:1 2", "cannot read '2'"),
        ("edges:1x", "'1x' is not a channel number"),
        ("(edges:1", "not closed"),
        ("edges:1)", r"cannot read '\)'"),
        ("2", "2 is a number by itself"),
        ("edges:0-4", "-4 is a number by itself"),
        ("edges:1 / 2", "cannot read '/ 2'"),
        ("1e999*edges:1", "'1e999' is too large"),
        ("(" * 99 + "edges:1" + ")" * 99, "too long"),
        ("edges:99999999999", "too large"),
    ],
)
def test_what_cannot_be_read_is_shown(toy, text, message):
    with pytest.raises((ObjectiveError, UnitError), match=message) as caught:
        parse_objective(text, toy, READERS)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_files_cannot_be_read_without_readers(toy):
    for text in ("invert:edges:x.jpg", "dir:edges:x.npy"):
        with pytest.raises(ObjectiveError, match="cannot be read here"):
            parse_objective(text, toy)


def test_a_network_without_names_takes_numbers(toy):
    class Nameless(type(toy)):
        labels = class_ids = ()

    assert parse_objective("class:3", Nameless()).leaves == (ClassScore(3),)
    with pytest.raises(ObjectiveError, match="have no names; give a number from 0 to 9"):
        parse_objective("class:tabby", Nameless())


LEAVES = st.sampled_from(
    [
        Channel("edges", 3),
        Channel("shapes", 2, -1),
        Neuron("things", 5),
        Neuron("edges", 1, (2, 3)),
        LayerEnergy("shapes"),
        ClassScore(4, "prob"),
        Direction("edges", tuple(random_direction(8, 3)), 2.0, "random:3"),
    ]
)
WEIGHTS = st.sampled_from([1.0, -1.0, 0.5, -2.0, 3.25])
TERMS = st.builds(Term, WEIGHTS, st.lists(LEAVES, min_size=1, max_size=3).map(tuple))


@given(st.lists(TERMS, min_size=1, max_size=4).map(tuple))
@settings(max_examples=100, deadline=None)
def test_an_objective_is_read_back_from_its_text(toy, terms):
    objective = Objective(terms)
    assert parse_objective(str(objective), toy) == objective


@given(st.text(alphabet="edgshap:0123456789+-*()[]'^. classdirneuo,", max_size=40))
@settings(max_examples=400, deadline=None)
def test_any_text_is_read_or_refused_in_one_line(toy, text):
    message = ""
    try:
        parse_objective(text, toy, READERS)
    except AtlasError as error:
        message = str(error)
    assert "\n" not in message


@pytest.mark.real
def test_names_of_the_real_network(real_net):
    cases = {
        "class:tabby": ClassScore(281),
        "class:n02123045": ClassScore(281),
        "class:crane bird": ClassScore(134),
        "mixed4c_5x5:12": Channel("mixed4c", 128 + 256 + 12),
        "inception_4c/5x5:12": Channel("mixed4c", 128 + 256 + 12),
        "mixed4c_pool_reduce:63": Channel("mixed4c", 511),
        "inception_4c/5x5_reduce:3": Channel("mixed4c_5x5_bottleneck", 3),
        "inception4c.branch2.0:3": Channel("mixed4c_3x3_bottleneck", 3),
        "inception4c:447": Channel("mixed4c", 447),
    }
    for text, leaf in cases.items():
        assert parse_objective(text, real_net) == Objective.of(leaf), text
