"""Photographs that go away while a build is at work: it stops, and nothing wrong is kept."""

from __future__ import annotations

import shutil

import pytest

from tests.builds import finished
from tests.forked import Forked

OPTIONS = (
    "build", "--model", "googlenet-mini", "--size", "32", "--steps", "2", "--kinds", "positive",
    "--units", "conv2d0:20-23", "--dataset", "folder:photographs",
)  # fmt: skip

VANISHING = """
import atlas.{module}
owner = atlas.{module}{inside}
right = owner.{name}
def vanishing(*arguments):
    os.rename("photographs/owl", "owl")
    return right(*arguments)
owner.{name} = vanishing
"""


@pytest.mark.parametrize(
    ("module", "inside", "name"),
    [("survey", ".Survey", "whole"), ("fields", ".Fields", "_views"), ("heat", "", "maps_of")],
    ids=["before the pass", "before the fields", "before the maps"],
)
def test_a_build_stops_and_goes_on_when_they_are_back(tmp_path, photos, module, inside, name):
    shutil.copytree(photos, tmp_path / "photographs")
    with Forked(tmp_path) as atlas:
        assert atlas(*OPTIONS).code == 0
        whole = finished(tmp_path)
        shutil.rmtree(tmp_path / "store")
        shutil.rmtree(tmp_path / "site")
        before = VANISHING.format(module=module, inside=inside, name=name)
        stopped = atlas(*OPTIONS, before=before)
        assert stopped.code == 1
        (line,) = (line for line in stopped.err.splitlines() if line.startswith("atlas: "))
        assert line.endswith("run again when the dataset is as it was")
        (tmp_path / "owl").rename(tmp_path / "photographs" / "owl")
        again = atlas(*OPTIONS)
        assert again.code == 0, again.err
    assert finished(tmp_path) == whole
