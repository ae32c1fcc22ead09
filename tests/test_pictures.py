"""What a notebook user meets: `atlas.render`, pictures, batches, requests."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image

import atlas
from atlas.errors import AtlasError, ObjectiveError, OutputError, RecipeError, UnitError
from atlas.optvis.leaves import Channel
from atlas.optvis.objective import Objective, channel
from atlas.optvis.recipe import Recipe
from atlas.optvis.subject import Aim, Render, diverse, renders_of, single
from atlas.pictures import RECIPE_KEY, Pictures, batches, make, sheet
from atlas.request import split, subjects_of
from atlas.units import Unit

SMALL = {"size": 32, "steps": 2}


@pytest.fixture(scope="module")
def mini():
    return atlas.load_model("googlenet-mini")


def test_a_single_picture_shows_itself_saves_and_carries_its_recipe(mini, tmp_path):
    picture = atlas.render(mini, "mixed4c:42", **SMALL)
    assert picture.image.shape == (32, 32, 3)
    assert picture.image.dtype == np.uint8
    shown = Image.open(io.BytesIO(picture._repr_png_()))
    np.testing.assert_array_equal(np.asarray(shown), picture.image)
    path = picture.save(tmp_path / "a.png")
    with Image.open(path) as saved:
        np.testing.assert_array_equal(np.asarray(saved), picture.image)
        recipe = json.loads(saved.text[RECIPE_KEY])
    assert recipe == json.loads(json.dumps(dict(picture.recipe)))
    assert (recipe["size"], recipe["steps"], recipe["model"]) == (32, 2, "googlenet-mini")
    assert (recipe["layer"], recipe["channel"], recipe["kind"]) == ("mixed4c", 42, "positive")
    assert recipe["seed"] == picture[0].seed
    assert "mixed4c:42 positive, activation" in repr(picture)
    assert picture.achieved.robust != 0
    assert not picture.never_started


def test_other_formats_are_known_by_their_suffix(mini, tmp_path):
    picture = atlas.render(mini, "mixed4c:42", **SMALL)
    with Image.open(picture.save(tmp_path / "a.webp")) as saved:
        assert saved.format == "WEBP"
    assert picture.save(tmp_path / "b").name == "b.png"
    with pytest.raises(OutputError, match=r"\.txt is no image format"):
        picture.save(tmp_path / "a.txt")
    assert not (tmp_path / "a.txt").exists()


def test_lists_are_batched_and_keep_their_order(mini, monkeypatch):
    calls = []
    from atlas import pictures

    whole = pictures.optimize

    def counted(network, subjects, *args, **more):
        calls.append([str(s.objective) for s in subjects])
        return whole(network, subjects, *args, **more)

    monkeypatch.setattr(pictures, "optimize", counted)
    found = atlas.render(
        mini,
        ["mixed4c:3", "conv2d0:1", "class:1", "mixed4c:1-2", channel("conv2d0", 2)],
        **SMALL,
    )
    assert [p.name for p in found] == [
        *("mixed4c:3 positive", "conv2d0:1 positive", "class:1", "mixed4c:1 positive"),
        *("mixed4c:2 positive", "conv2d0:2 positive"),
    ]
    assert sorted(map(sorted, calls)) == [
        ["class:1"],
        ["conv2d0:1", "conv2d0:2"],
        ["mixed4c:1", "mixed4c:2", "mixed4c:3"],
    ]
    assert len(found[1:3]) == 2
    assert found.sheet(3).size == (3 * 32 + 8, 2 * 32 + 4)
    with pytest.raises(AtlasError, match=r"these are 6 pictures; take one of them"):
        _ = found.image


def test_kinds_frames_and_film_strips(mini):
    found = atlas.render(mini, "conv2d1:3", ["negative", "diverse"], images=3, **SMALL)
    assert [p.render.kind for p in found] == ["diverse"] * 3 + ["negative"]
    assert found[3].activation <= 0
    frames = atlas.render(mini, "conv2d1:3..conv2d1:5", frames=3, **SMALL)
    assert len(frames) == 3
    strip = atlas.render(mini, "conv2d1:3", size=32, steps=4, checkpoints=[0, 4])
    assert list(strip.strip) == [0, 4]
    assert strip.film_strip().size == (2 * 32 + 4, 32)


def test_recipes_are_given_by_their_fields(mini, tmp_path):
    Image.new("RGB", (40, 40), (200, 30, 30)).save(tmp_path / "red.png")
    (maco,) = atlas.render(mini, "conv2d1:3", parameterization="maco", **SMALL)
    assert maco.recipe["spectrum"]
    red = atlas.render(mini, "conv2d1:3", size=32, steps=0, start=tmp_path / "red.png")
    np.testing.assert_array_equal(red.image[5, 5], (200, 30, 30))
    other = atlas.render(mini, "conv2d1:3", colours=np.eye(3), regularize=[], **SMALL)
    assert other.recipe["colours"] == np.eye(3).tolist()
    assert other.recipe["regularizers"] == []
    with pytest.raises(RecipeError, match="a recipe has no 'stepz'; it has"):
        atlas.render(mini, "conv2d1:3", stepz=3)
    with pytest.raises(RecipeError, match="-1"):
        atlas.render(mini, "conv2d1:3", steps=-1)
    with pytest.raises(RecipeError, match="31"):
        atlas.render(mini, "conv2d1:3", size=31)


def test_another_seed_is_another_image(mini):
    images = [atlas.render(mini, "conv2d1:3", seed=s, **SMALL).image for s in (0, 0, 1)]
    np.testing.assert_array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


def test_a_unit_is_the_same_image_however_it_is_asked_for(toy):
    unit = Unit("things", 4)
    for text, kind in (
        ("things:4", "positive"),
        ("objects:4", "positive"),
        ("things_1x1:4", "positive"),
        ("-things:4", "negative"),
        ("neuron:things:4", "neuron"),
    ):
        assert subjects_of(text, toy) == renders_of(unit, (kind,)), text
    assert subjects_of(channel("things", 4), toy) == renders_of(unit, ("positive",))
    assert subjects_of("things:4", toy, ("negative",)) == renders_of(unit, ("negative",))
    (opposite,) = subjects_of("-things:4", toy, ("negative",))
    assert opposite.objective == channel("things", 4)


def test_requests(toy):
    assert len(subjects_of("things:0-3, edges", toy)) == 12
    assert len(subjects_of("class:tabby, class:crane", toy)) == 2
    assert len(subjects_of("class:'crane, the machine'", toy)) == 1
    assert len(subjects_of("dir:edges:[1,2,3,4,5,6,7,8], things:1", toy)) == 2
    assert len(subjects_of(["things:1", "things:1"], toy)) == 1
    assert len(subjects_of("class:owl", toy, ("diverse",), images=5)) == 5
    (frame, *_), last = subjects_of("edges:1..class:owl", toy), "class:6"
    assert str(frame.objective) == "edges:1"
    assert str(subjects_of("edges:1..class:owl", toy)[-1].objective) == last
    for wrong, error in (
        ([], ObjectiveError),
        ("things:1,", UnitError),
        ("things:1..things:2..things:3", ObjectiveError),
        ("things:1..things:1", ObjectiveError),
        ("things:99", UnitError),
    ):
        with pytest.raises((error, ObjectiveError, UnitError)):
            subjects_of(wrong, toy)
    with pytest.raises(RecipeError, match="kind neuron"):
        subjects_of("class:owl", toy, ("neuron",))
    with pytest.raises(RecipeError, match="not 1"):
        subjects_of("things:1", toy, ("diverse",), images=1)


@pytest.mark.parametrize(
    ("text", "separator", "parts"),
    [
        ("a:1, b:2", ",", ["a:1", "b:2"]),
        ("class:'a, b', c:1", ",", ["class:'a, b'", "c:1"]),
        ("class:jack-o'-lantern, c:1", ",", ["class:jack-o'-lantern", "c:1"]),
        ("dir:l:[1,2],x:1", ",", ["dir:l:[1,2]", "x:1"]),
        ("invert:l:../a.jpg..b:2", "..", ["invert:l:../a.jpg", "b:2"]),
        ("", ",", [""]),
    ],
)
def test_splitting_spares_brackets_quotes_and_paths(text, separator, parts):
    assert split(text, separator) == parts


def test_batches_keep_sets_whole_and_layers_apart():
    things = [renders_of(Unit("things", c), ("positive",))[0] for c in range(5)]
    edges = [renders_of(Unit("edges", c), ("positive",))[0] for c in range(2)]
    quartet = diverse(channel("things", 1))
    subjects = [*things[:3], *edges, *quartet, *things[3:]]
    found = batches(subjects, 4)
    assert sorted(row for rows in found for row in rows) == list(range(len(subjects)))
    for rows in found:
        assert len({subjects[row].objective.layers for row in rows}) == 1
    assert sum(set(range(5, 9)) <= set(rows) for rows in found) == 1
    assert max(map(len, found)) <= 4


def test_pictures_of_a_network_of_ones_own(toy):
    """Anything with named layers will do; the recipe says which."""
    aims = [single(Objective.of(Channel("things_bottleneck", 1))), *diverse(channel("edges", 1), 2)]
    found = make(toy, aims, Recipe(size=32, steps=2))
    assert isinstance(found, Pictures)
    assert [isinstance(p.render, Aim) for p in found] == [True] * 3
    assert found[0].recipe["objective"] == "things_bottleneck:1"
    assert found[1].recipe["role"] == "diverse"
    assert not any(isinstance(p.render, Render) for p in found)


def test_sheets_lie_on_white():
    images = [np.full((8, 8, 3), 10 * i, dtype=np.uint8) for i in range(3)]
    pixels = np.asarray(sheet(images, 2))
    assert pixels.shape == (20, 20, 3)
    assert (pixels[3, 13], pixels[13, 3]) == (pytest.approx([10] * 3), pytest.approx([20] * 3))
    assert pixels[13, 13].tolist() == pixels[3, 9].tolist() == [255] * 3
