"""Whether pages need anything is told from outside, and only when nothing can have changed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "site"))

from fake import TOY_LAYERS as LAYERS
from fake import FakeMedia, catalogue, channel

from atlas.config import Config
from atlas.site import SiteOptions, build_site
from atlas.stamp import Memo, keep, stamp_of, unchanged
from atlas.store import Store

RECIPE = {"stage": "render", "n": 1}


@pytest.fixture
def made(tmp_path):
    """A project whose pages have just been made, with one entry in its store."""
    photos = tmp_path / "photos" / "cats"
    photos.mkdir(parents=True)
    (photos / "one.jpg").write_bytes(b"1")
    content = tmp_path / "content"
    content.mkdir()
    (content / "mine.md").write_text("# Mine\n\nText.\n")
    config = Config.model_validate(
        {
            "store": tmp_path / "store",
            "dataset": {"source": f"folder:{tmp_path / 'photos'}"},
            "site": {"out": tmp_path / "site", "content": content},
        }
    )
    store = Store(config.store)
    store.put(RECIPE, b"bytes", "png", {})
    channels = [channel(LAYERS[1], i) for i in range(2)]
    options = SiteOptions(format="jpeg", content=content)
    build_site(catalogue(channels=channels), FakeMedia(), config.site.out, Memo(store), options)
    keep(config, store)
    store.close()
    return config


def test_nothing_to_do_right_after(made):
    report = unchanged(made)
    assert (report.pages_written, report.sheets_encoded, report.removed) == (0, 0, 0)
    files = [path for path in made.site.out.rglob("*") if path.is_file()]
    assert report.files == len(files)
    assert report.bytes == sum(path.stat().st_size for path in files)


def put(config, recipe):
    store = Store(config.store)
    store.put(recipe, b"more", "png", {})
    store.close()


@pytest.mark.parametrize(
    "change",
    [
        lambda c: (c.site.content / "mine.md").write_text("# Mine\n\nOther text.\n"),
        lambda c: (c.site.content / "new.md").write_text("# New\n"),
        lambda c: put(c, {"stage": "render", "n": 2}),
        lambda c: put(c, {"stage": "examples", "n": 2}),
        lambda c: os.utime(Path(c.dataset.source.removeprefix("folder:")) / "cats/one.jpg", (1, 1)),
        lambda c: (Path(c.dataset.source.removeprefix("folder:")) / "two.jpg").write_bytes(b"2"),
        lambda c: (c.site.out / "index.html").write_text("touched"),
        lambda c: (c.site.out / "media/layers/mixed3a-00.jpg").unlink(),
    ],
)
def test_whatever_might_matter_is_noticed(made, change):
    change(made)
    assert unchanged(made) is None


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("site", {"title": "Another"}),
        ("site", {"quality": 30}),
        ("render", {"steps": 3}),
        ("dataset", {"limit": 1}),
    ],
)
def test_another_config_is_another_stamp(made, section, values):
    other = getattr(made, section).model_copy(update=values)
    assert unchanged(made.model_copy(update={section: other})) is None


def test_a_dataset_on_the_hub_has_no_stamp(made):
    hub = made.model_copy(
        update={"dataset": made.dataset.model_copy(update={"source": "hf:someone/photos"})}
    )
    store = Store(made.store)
    assert stamp_of(hub, store) is None
    store.close()


def test_what_cannot_be_read_is_no_error_here(made, tmp_path):
    gone = made.dataset.model_copy(update={"source": f"folder:{tmp_path / 'gone'}"})
    assert unchanged(made.model_copy(update={"dataset": gone})) is None
    assert unchanged(made.model_copy(update={"store": tmp_path / "gone"})) is None
    assert not (tmp_path / "gone").exists()
