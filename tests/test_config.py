"""`atlas.toml`: defaults, overrides, relative paths, and all errors at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from atlas.config import load_config
from atlas.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    path = folder / "atlas.toml"
    path.write_text(text)
    return path


def test_options_lie_over_the_file(tmp_path):
    path = write(tmp_path, 'units = "mixed4c:1"\n[render]\npreset = "draft"\nsteps = 9\n')
    config = load_config(path, {"render.steps": 3, "units": None})
    assert (config.units, config.render.preset, config.render.steps) == ("mixed4c:1", "draft", 3)


def test_another_model_or_preset_drops_what_belonged_to_the_files_own(tmp_path):
    path = write(tmp_path, '[model]\nname = "googlenet"\nweights = "w"\n[render]\nsteps = 9\n')
    config = load_config(path, {"model.name": "googlenet-mini", "render.preset": "draft"})
    assert (config.model.weights, config.render.steps) == (None, None)
    config = load_config(path, {"render.preset": "draft", "render.steps": 5})
    assert config.render.steps == 5


def test_paths_in_a_file_are_relative_to_it(tmp_path):
    path = write(
        tmp_path,
        'store = "cache"\n[model]\nweights = "w.pth"\n[dataset]\nsource = "folder:photos"\n'
        '[site]\nout = "/srv/site"\n',
    )
    config = load_config(path, {})
    assert config.store == tmp_path / "cache"
    assert config.model.weights == tmp_path / "w.pth"
    assert config.dataset.source == f"folder:{tmp_path / 'photos'}"
    assert config.site.out == Path("/srv/site")


def test_every_error_is_named_with_its_key(tmp_path):
    path = write(tmp_path, 'unit = "x"\n[render]\nstep = 3\npreset = "fast"\nsize = "big"\n')
    with pytest.raises(ConfigError) as caught:
        load_config(path, {})
    message = str(caught.value)
    for part in ("unknown key 'unit'", "unknown key 'render.step'", "render.preset", "render.size"):
        assert part in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("text", ["units = [", "\x00", "units = 3"])
def test_what_is_not_toml_or_not_text_is_one_sentence(tmp_path, text):
    with pytest.raises(ConfigError, match=r"atlas\.toml"):
        load_config(write(tmp_path, text), {})


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.toml cannot be read"):
        load_config(tmp_path / "nowhere.toml", {})


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"render.address": "head:6379"}, "render.address: value error, goes with engine ray"),
        ({"render.workers": 2}, "render.workers: value error, goes with engine ray"),
        ({"render.engine": "spark"}, "render.engine: input should be 'local' or 'ray'"),
        *(
            ({"render.engine": "ray", "render.address": address}, "should be HOST:PORT of a Ray")
            for address in ("head", "head:0", "head:65536", "ray://head:1", "a b:1", "head:1\n", "")
        ),
        ({"render.engine": "ray", "render.workers": 0}, "should be greater than or equal to 1"),
    ],
)
def test_what_an_engine_cannot_use_is_refused(tmp_path, monkeypatch, given, error):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=re.escape(error)) as caught:
        load_config(None, given)
    assert len(str(caught.value).split("; ")) == 1


def test_another_engine_drops_what_belonged_to_the_files_own(tmp_path):
    text = '[render]\nengine = "ray"\naddress = "[::1]:6379"\nworkers = 3\n'
    file = write(tmp_path, text)
    own = load_config(file, {}).render
    assert (own.engine, own.address, own.workers) == ("ray", "[::1]:6379", 3)
    other = load_config(file, {"render.engine": "local"}).render
    assert (other.engine, other.address, other.workers) == ("local", None, None)
