"""Makes the made-up atlas of `fake.py` importable from all tests of the site, and builds it."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def toy_site(tmp_path_factory):
    """The site of the whole toy atlas, to be looked at only."""
    from building import build

    out = tmp_path_factory.mktemp("toy-site")
    build(out)
    return out
