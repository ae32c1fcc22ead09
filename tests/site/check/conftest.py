"""Sites of five channels; `site` is one that a test may break."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.site.check.sites import make


@pytest.fixture(scope="session")
def good(tmp_path_factory):
    return make(tmp_path_factory.mktemp("good") / "site")


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """A site that knows its address, with its media elsewhere."""
    out = tmp_path_factory.mktemp("published") / "site"
    return make(out, url="https://example.org/atlas/", media="https://cdn.example.org/a/")


@pytest.fixture
def site(good, tmp_path):
    return Path(shutil.copytree(good, tmp_path / "site"))
