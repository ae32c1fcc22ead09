"""Static files: what ships is squeezed, what is the user's is left as it is."""

import re
from dataclasses import replace

import pytest
from building import QUICK, build, small

from atlas.errors import ConfigError
from atlas.site.resources import overlay, shipped, static_files
from atlas.site.sheets import stylesheet

CSS = "/* mine */\n\nbody {\n  color: red ;\n}\n"
JS = "// mine\n\nconst answer = 42 ;\n"


@pytest.fixture
def user(tmp_path):
    """A folder of templates with static files of its own, one in place of a shipped one."""
    for name, text in (("css/atlas.css", CSS), ("js/own.js", JS), ("css/strips.css", CSS)):
        path = tmp_path / "templates" / "static" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "templates" / "static" / "logo.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00 /* */")
    (tmp_path / "templates" / "static" / ".DS_Store").write_bytes(b"junk")
    return tmp_path / "templates"


@pytest.fixture(scope="module")
def ours():
    return dict(static_files((shipped("templates"),)))


def test_every_shipped_file_is_there_and_the_stylesheet_of_strips(ours):
    root = shipped("templates")
    names = {p.relative_to(root).as_posix() for p in (root / "static").rglob("*") if p.is_file()}
    assert ours.keys() == {*names, "static/css/strips.css"}
    assert ours["static/css/strips.css"].decode() == stylesheet()
    icon = "static/icon.svg"
    assert ours[icon] == (root / icon).read_bytes()


def test_what_ships_is_without_comments_and_spaces(ours):
    for name, data in ours.items():
        if name.endswith((".css", ".js")) and "strips" not in name:
            source = (shipped("templates") / name).read_text("utf-8")
            text = data.decode()
            assert len(text) < len(source)
            assert "/*" not in text
            assert re.search(r"^\s*//", text, re.MULTILINE) is None


def test_what_is_squeezed_says_the_same(ours):
    """Every custom property and selector of a class that the stylesheets have is still there."""
    for name in ("static/css/atlas.css", "static/css/tools.css"):
        source = re.sub(r"/\*.*?\*/", "", (shipped("templates") / name).read_text(), flags=re.S)
        words = set(re.findall(r"--[\w-]+|\.[a-z][\w-]*", source))
        assert len(words) > 10
        assert {word for word in words if word not in ours[name].decode()} == set()


def test_all_that_ships_is_within_its_budget(ours):
    sizes = {
        suffix: sum(len(data) for name, data in ours.items() if name.endswith(suffix))
        for suffix in (".css", ".js")
    }
    assert sizes[".css"] <= 20_000
    assert sizes[".js"] <= 30_000


def test_what_is_the_users_comes_first_and_stays_byte_for_byte(user, ours):
    found = dict(static_files(overlay("templates", user)))
    assert found["static/css/atlas.css"] == CSS.encode()
    assert found["static/js/own.js"] == JS.encode()
    assert found["static/logo.png"] == b"\x89PNG\r\n\x1a\n\x00 /* */"
    assert found["static/js/atlas.js"] == ours["static/js/atlas.js"]
    assert found.keys() == ours.keys() | {"static/js/own.js", "static/logo.png"}


def test_the_stylesheet_of_strips_is_nobodys_to_change(user):
    found = dict(static_files(overlay("templates", user)))
    assert found["static/css/strips.css"].decode() == stylesheet()


def test_a_site_has_them_all(user, tmp_path):
    build(tmp_path / "site", small(), replace(QUICK, templates=user))
    for name, data in static_files(overlay("templates", user)):
        assert (tmp_path / "site" / name).read_bytes() == data


def test_folders_are_searched_the_users_first(tmp_path):
    assert overlay("content", None) == (shipped("content"),)
    assert overlay("content", tmp_path) == (tmp_path, shipped("content"))


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"the templates folder .*/nowhere does not exist"):
        overlay("templates", tmp_path / "nowhere")


def test_what_does_not_ship_is_named():
    with pytest.raises(ConfigError, match="the shipped poems is missing"):
        shipped("poems")
