"""`atlas init`: a project that explains itself, builds, and overwrites nothing."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from atlas.config import Config, load_config
from atlas.errors import OutputError
from atlas.site.check import check_site, lines
from atlas.site.resources import shipped
from atlas.skeleton import make_project

FILES = {
    "atlas.toml", ".gitignore", "content/index.md", "content/first-look.md",
    "content/layers/mixed4c.md", "templates/README.md",
}  # fmt: skip


def files(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def project(tmp_path):
    make_project(tmp_path / "demo")
    return tmp_path / "demo"


def test_it_writes_a_config_texts_and_templates(tmp_path):
    folder = tmp_path / "a" / "demo"
    assert set(make_project(folder)) == {folder / name for name in FILES}
    assert files(folder) == FILES
    for name in ("index.md", "layers/mixed4c.md"):
        assert (folder / "content" / name).read_text() == (shipped("content") / name).read_text()


def test_it_may_join_what_is_there(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    make_project(tmp_path)
    assert files(tmp_path) == FILES | {"notes.txt"}


@pytest.mark.parametrize("name", sorted(FILES))
def test_it_overwrites_nothing_and_then_writes_nothing(tmp_path, name):
    mine = tmp_path / name
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_text("mine")
    with pytest.raises(OutputError, match=f"{re.escape(str(mine))} exists already"):
        make_project(tmp_path)
    assert files(tmp_path) == {name}
    assert mine.read_text() == "mine"


def test_a_link_that_leads_nowhere_is_not_written_through(tmp_path):
    (tmp_path / "atlas.toml").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="exists already"):
        make_project(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_cannot_be_a_project(tmp_path):
    (tmp_path / "demo").write_text("mine")
    with pytest.raises(OutputError):
        make_project(tmp_path / "demo")


def test_its_config_is_valid_and_belongs_to_its_own_folder(project, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    config = load_config(project / "atlas.toml", {})
    assert config.model.name == "googlenet-mini"
    assert config.dataset.source == "sample"
    places = (config.store, config.site.out, config.site.content, config.site.templates)
    assert places == tuple(project / name for name in ("store", "site", "content", "templates"))


def test_its_config_shows_every_key_with_its_default(project):
    """A key that is added to the config has to be explained here, too."""
    text = (project / "atlas.toml").read_text()
    shown = tomllib.loads(re.sub(r"(?m)^#(?=[a-z_]+ = )", "", text))
    for name, field in Config.model_fields.items():
        default = field.default
        if name not in shown:
            raise AssertionError(f"the skeleton does not show {name}")
        if isinstance(shown[name], dict):
            assert set(shown[name]) == set(type(default).model_fields), name
    lines_of = dict(re.findall(r"(?m)^#([a-z_]+) = (.+)$", text))
    defaults = {
        key: value
        for section in (Config(), *(getattr(Config(), name) for name in Config.model_fields))
        if hasattr(section, "model_dump")
        for key, value in section.model_dump(mode="json").items()
    }
    for key, value in lines_of.items():
        default = defaults[key]
        if default not in (None, []) and key != "learning_rate":
            assert tomllib.loads(f"x = {value}")["x"] == default, key


def test_what_its_readme_lists_are_the_templates_there_are(project):
    listed = set(re.findall(r"`([\w./*]+\.jinja)`", (project / "templates/README.md").read_text()))
    assert listed == {path.name for path in shipped("templates").glob("*.jinja")}


def test_what_it_makes_builds_into_a_site_without_problems(tmp_path):
    pytest.importorskip("skimage", reason="needs the sample extra")
    pytest.importorskip("sklearn", reason="needs the sample extra")

    def atlas(*arguments: str, cwd: Path) -> str:
        command = [sys.executable, "-m", "atlas", *arguments]
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        return done.stdout

    said = atlas("init", "demo", cwd=tmp_path)
    assert said.endswith("now: cd demo && atlas build && atlas serve\n")
    demo = tmp_path / "demo"
    small = ("--units", "mixed4c:192", "--size", "32", "--steps", "4", "--limit", "40")
    atlas("build", "-q", *small, cwd=demo)
    assert lines(check_site(demo / "site").problems, 10) == []
    page = (demo / "site" / "first-look.html").read_text()
    assert 'href="mixed4c/192.html"' in page
    assert "conv2d2:72" in page  # which this atlas does not show, and says so
    assert "My atlas" in (demo / "site" / "index.html").read_text()
    ignored = subprocess.run(
        ["git", "init", "-q", "."], cwd=demo, capture_output=True, check=False
    ).returncode  # fmt: skip
    if ignored == 0:
        status = ["git", "status", "--porcelain", "-uall"]
        found = subprocess.run(status, cwd=demo, capture_output=True, text=True, check=True).stdout
        assert {line[3:] for line in found.splitlines()} == FILES
