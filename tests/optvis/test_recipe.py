"""Recipes, subjects and seeds."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas.errors import ObjectiveError, RecipeError
from atlas.optvis.leaves import Photo
from atlas.optvis.objective import channel
from atlas.optvis.recipe import Recipe, from_preset
from atlas.optvis.regularizer import DEFAULT, parse_regularizers
from atlas.optvis.subject import diverse, interpolation, renders_of, seed_for, single
from atlas.units import Unit


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"size": 31}, "31"),
        ({"size": 4097}, "4097"),
        ({"steps": -1}, "-1"),
        ({"learning_rate": 0.0}, "0.0"),
        ({"learning_rate": float("nan")}, "nan"),
        ({"decay": -1.0}, "decay must be .* not -1"),
        ({"diversity": float("nan")}, "diversity"),
        ({"stop": 2.0}, "stop must be 0 to 1"),
        ({"parameterization": "fft"}, "'fft'; choose from fourier, pixels, laplacian, maco"),
        ({"optimizer": "lion"}, "'lion'; choose from adam, sgd, steepest-l2"),
        ({"precision": "int8"}, "'int8'; choose from bfloat16, float32"),
        ({"parameterization": "maco"}, "maco needs a spectrum"),
        ({"optimizer": "steepest-decorrelated"}, "goes with parameterization pixels, not fourier"),
        ({"regularizers": parse_regularizers(["patches"])[1]}, "patches needs a patch base"),
    ],
)
def test_recipes_out_of_range_are_refused(bad, message):
    with pytest.raises(RecipeError, match=message):
        Recipe(**bad)


def test_presets_are_distills_recipe_and_two_quicker_ones():
    assert (from_preset("distill").size, from_preset("distill").steps) == (224, 2560)
    assert (from_preset("draft").size, from_preset("draft").steps) == (96, 64)
    assert from_preset("standard", steps=7).steps == 7
    assert from_preset("distill").regularizers == ()
    assert from_preset("distill").settle == 0
    assert from_preset("distill").precision == "float32"
    assert from_preset("standard") == from_preset("standard", regularize=DEFAULT)
    assert from_preset("standard", optimizer="sgd").optimizer == "sgd"
    with pytest.raises(RecipeError, match="unknown preset 'fast'"):
        from_preset("fast")


def test_every_part_of_a_recipe_is_part_of_its_json():
    """What changes pixels changes the store's key; digests stand for arrays."""
    photo = Photo("p", "1" * 64, np.zeros((32, 32, 3), dtype=np.uint8))
    changes = [
        {"size": 64},
        {"steps": 3},
        {"stop": 0.01},
        {"settle": 0.0},
        {"learning_rate": 0.1},
        {"optimizer": "sgd"},
        {"parameterization": "pixels"},
        {"decay": 1.5},
        {"decorrelate": False},
        {"colours": ((1.0, 0, 0), (0, 1, 0), (0, 0, 1))},
        {"start": photo},
        {"diversity": 2.0},
        {"alignment": 2.0},
        {"shared": False},
        {"redirect_steps": 0},
        {"precision": "float32"},
        {"regularizers": ()},
        {"transforms": parse_regularizers(["jitter"])[0]},
    ]
    texts = [json.dumps(Recipe(**change).as_json()) for change in [{}, *changes]]
    assert len(set(texts)) == len(texts)
    assert Recipe(start=photo) == Recipe(start=Photo("other", "1" * 64, photo.pixels + 1))


@given(st.integers(0, 1023), st.integers(0, 3), st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_seeds_are_stable_and_differ_between_renders(index, number, base):
    seed = seed_for(Unit("mixed4c", index), "diverse", number, base)
    assert 0 <= seed < 2**32
    assert seed == seed_for(Unit("mixed4c", index), "diverse", number, base)
    assert seed != seed_for(Unit("mixed4c", index), "diverse", number + 1, base)


def test_an_objective_of_a_channel_has_the_seeds_of_its_render():
    unit = Unit("mixed4c", 447)
    (render,) = renders_of(unit, ("positive",))
    assert single(channel("mixed4c", 447)).seed == render.seed
    sets = diverse(channel("mixed4c", 447), 4)
    assert [aim.seed for aim in sets] == [r.seed for r in renders_of(unit, ("diverse",))]
    assert len({aim.group for aim in sets}) == 1


def test_interpolations_go_from_one_end_to_the_other():
    first, last = channel("a", 1), channel("b", 2)
    frames = interpolation(first, last, 5)
    assert frames[0].objective == first
    assert frames[4].objective == last
    assert str(frames[1].objective) == "0.75*a:1 + 0.25*b:2"
    assert len({frame.seed for frame in frames}) == 5
    with pytest.raises(RecipeError, match="not 1"):
        interpolation(first, last, 1)
    with pytest.raises(RecipeError, match="not 99"):
        diverse(first, 99)
    with pytest.raises(ObjectiveError, match="itself"):
        interpolation(first, first)
