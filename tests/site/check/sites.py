"""Small sites to be broken, and what a check says about them."""

from __future__ import annotations

import json
from pathlib import Path

from fake import TOY_LAYERS, FakeIndex, FakeMedia, catalogue, channel

from atlas.site import SiteOptions, build_site
from atlas.site.check import check_site, lines

CONV, MIXED3A = TOY_LAYERS[:2]
PAGE = "conv2d0/0.html"
BODY = "<main id"
"""Where a page's own text begins."""


def make(out: Path, **options: object) -> Path:
    """Five channels of two layers."""
    channels = [channel(CONV, 0), channel(CONV, 1), *(channel(MIXED3A, i) for i in (0, 3, 4))]
    atlas = catalogue(channels=channels)
    build_site(atlas, FakeMedia(), out, FakeIndex(), SiteOptions(**options))  # type: ignore[arg-type]
    return out


def found(folder: Path, **options) -> set[str]:
    return set(lines(check_site(folder, **options).problems, most=1000))


def edit(file: Path, old: str, new: str) -> None:
    """Replace the first `old` of a text file, which has to be there."""
    text = file.read_text("utf-8")
    assert old in text, f"{old!r} is not in {file}"
    file.write_text(text.replace(old, new, 1), "utf-8")


def edit_manifest(site: Path, change) -> None:
    path = site / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
