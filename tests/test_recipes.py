"""From config to recipe and back to options; the files in between."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atlas import measure
from atlas.cli import cli
from atlas.config import RenderSection, load_config
from atlas.errors import AtlasError, ConfigError, ObjectiveError, RecipeError
from atlas.examples.sources import open_source
from atlas.options import config_of
from atlas.optvis.colour import ARTICLE, Colours
from atlas.optvis.recipe import from_preset
from atlas.optvis.regularizer import parse_regularizers
from atlas.recipes import options_of, read_photo, readers, recipe_of


def test_an_empty_config_is_the_standard_recipe():
    assert recipe_of(RenderSection()) == from_preset("standard")


def test_every_key_reaches_the_recipe(tmp_path, photos):
    source = open_source(f"folder:{photos}")
    measure.write_colours(tmp_path / "c.json", measure.colours(source), "photos")
    measure.write_spectrum(tmp_path / "s.st", measure.spectrum_of(source, 32), "photos")
    measure.write_patches(tmp_path / "p.st", measure.patches_of(source, 20), "photos")
    Image.new("RGB", (80, 60), "red").save(tmp_path / "red.png")
    recipe = recipe_of(
        RenderSection(
            size=64,
            steps=3,
            stop=0.1,
            settle=0.5,
            parameterization="maco",
            colours=tmp_path / "c.json",
            spectrum=tmp_path / "s.st",
            patches=tmp_path / "p.st",
            start=tmp_path / "red.png",
            regularize=("jitter:4", "patches:2"),
            optimizer="sgd",
            learning_rate=0.25,
            diversity=2.0,
            precision="float32",
        )
    )
    assert recipe.precision == "float32"
    assert recipe.colours != ARTICLE
    assert recipe.spectrum.size == 32
    assert recipe.patches.patches.shape == (20, 8, 8, 3)
    assert recipe.start.pixels.shape == (60, 60, 3)
    assert (recipe.transforms, recipe.regularizers) == parse_regularizers(["jitter:4", "patches:2"])
    assert (recipe.optimizer, recipe.rate, recipe.stop) == ("sgd", 0.25, 0.1)
    assert (recipe.settle, recipe.diversity, recipe.parameterization) == (0.5, 2.0, "maco")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"preset": "distill"},
        {"regularize": ("jitter:4", "tv:2"), "decorrelate": False},
        {"regularize": (), "parameterization": "pixels", "optimizer": "steepest-decorrelated"},
        {"decay": 1.5, "learning_rate": 0.02, "stop": 0.1, "settle": 0.0, "diversity": 3.0},
    ],
)
def test_the_options_of_a_config_ask_for_the_same_recipe(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    render = RenderSection(**given)
    context = cli.commands["show"].make_context("show", shlex.split(options_of(render)))
    again = config_of(context.params)
    assert recipe_of(again.render) == recipe_of(render)


def test_measured_files_come_back(tmp_path, photos):
    source = open_source(f"folder:{photos}")
    statistics = measure.colours(source)
    measure.write_colours(tmp_path / "c.json", statistics, "photos")
    np.testing.assert_allclose(measure.read_colours(tmp_path / "c.json"), statistics.cholesky)
    about = json.loads((tmp_path / "c.json").read_text())
    assert (about["dataset"], about["images"]) == ("photos", 24)
    spectrum = measure.spectrum_of(source, 64)
    measure.write_spectrum(tmp_path / "s.st", spectrum, "photos")
    again = measure.read_spectrum(tmp_path / "s.st")
    np.testing.assert_allclose(again.power, spectrum.power, rtol=1e-6)
    assert again.sha256 == measure.read_spectrum(tmp_path / "s.st").sha256


def test_measuring_takes_all_pixels_as_they_are(tmp_path):
    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 256, (20 + i, 30, 3), dtype=np.uint8) for i in range(3)]
    for i, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / f"{i}.png")
    (tmp_path / "broken.png").write_bytes(b"nothing")
    got = measure.colours(open_source(f"folder:{tmp_path}"))
    flat = np.concatenate([p.reshape(-1, 3) for p in pictures]) / 255
    np.testing.assert_allclose(got.covariance, np.cov(flat.T, bias=True))
    assert got.images == 3


def test_the_shipped_spectrum_is_that_of_photographs():
    """Falls about as 1/f, and most in luminance."""
    magnitude = measure.read_spectrum().magnitude(128, Colours()).numpy()
    f = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.rfftfreq(128)[None])
    inside = (f > 0.02) & (f < 0.4)
    for plane in magnitude:
        slope = np.polyfit(np.log(f[inside]), np.log(plane[inside]), 1)[0]
        assert -1.6 < slope < -0.9


def test_photographs_that_are_too_small_are_refused(tmp_path):
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    with pytest.raises(AtlasError, match=r"no photograph is 128 × 128.*smaller --size"):
        measure.spectrum_of(open_source(f"folder:{tmp_path}"))


@pytest.mark.parametrize(
    "read", [measure.read_colours, measure.read_spectrum, measure.read_patches]
)
def test_files_of_another_kind_are_refused(tmp_path, read):
    for name, data in (("a", b""), ("b", b"{}"), ("c", b"\xff" * 100)):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ConfigError, match=f"{name} is no .* file; atlas measure-"):
            read(tmp_path / name)
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read(tmp_path / "absent")


def test_a_photograph_is_its_central_square(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 61, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    photo = read_photo(str(tmp_path / "a.png"))
    np.testing.assert_array_equal(photo.pixels, pixels[:, 10:50])
    assert photo.name == "a.png"
    with pytest.raises(ObjectiveError, match=r"absent\.png cannot be read: No such file"):
        read_photo(str(tmp_path / "absent.png"))
    (tmp_path / "text.png").write_text("text")
    with pytest.raises(ObjectiveError, match="not an image"):
        read_photo(str(tmp_path / "text.png"))


def test_directions_come_out_of_npy_files(tmp_path):
    np.save(tmp_path / "v.npy", np.arange(5))
    np.save(tmp_path / "m.npy", np.eye(3))
    np.save(tmp_path / "o.npy", np.array([{}]), allow_pickle=True)
    read = readers(tmp_path).vector
    np.testing.assert_array_equal(read("v.npy"), np.arange(5.0))
    for name in ("m.npy", "o.npy", "absent.npy"):
        with pytest.raises(ObjectiveError, match=name.replace(".", r"\.")):
            read(name)


def test_patches_need_their_file():
    with pytest.raises(RecipeError, match="give --patches FILE"):
        recipe_of(RenderSection(regularize=("patches",)))


def test_files_of_a_config_lie_beside_it(tmp_path):
    (tmp_path / "atlas.toml").write_text(
        '[render]\ncolours = "c.json"\nregularize = ["none"]\n[show]\nobjectives = ["class:3"]\n'
    )
    config = load_config(tmp_path / "atlas.toml", {})
    assert config.render.colours == Path(tmp_path / "c.json")
    assert config.render.regularize == ("none",)
    assert config.show.objectives == ("class:3",)
