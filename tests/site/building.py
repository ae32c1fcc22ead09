"""Builds sites of the made-up atlas of `fake.py`, and reads them back."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from fake import TOY_LAYERS, FakeIndex, FakeMedia, catalogue, channel, snapshot

from atlas.site import SiteOptions, build_site
from atlas.site.catalogue import Catalogue
from atlas.site.write import SiteReport

QUICK = SiteOptions(format="jpeg")
MIXED = TOY_LAYERS[1]

Attributes = dict[str, str]


def build(
    out: Path,
    atlas: Catalogue | None = None,
    options: SiteOptions = QUICK,
    index: FakeIndex | None = None,
    media: FakeMedia | None = None,
) -> SiteReport:
    """Build a site, of the whole toy atlas unless told, into `out`."""
    return build_site(
        atlas or catalogue(), media or FakeMedia(), out, index or FakeIndex(), options
    )


def small(**changes: object) -> Catalogue:
    """An atlas of the first three channels of mixed3a; `changes` replace fields of them all."""
    return catalogue(channels=[channel(MIXED, i, **changes) for i in range(3)])


def manifest_of(out: Path) -> dict[str, Any]:
    """The manifest of a site."""
    found: dict[str, Any] = json.loads((out / "manifest.json").read_bytes())
    return found


def page_of(out: Path, path: str) -> str:
    """The text of a page."""
    return (out / path).read_text("utf-8")


def elements(text: str) -> list[tuple[str, Attributes]]:
    """The start tags of a page in order, with their attributes; without a value they are empty."""
    reader = _Reader()
    reader.feed(text)
    return reader.found


def changed(before: dict[str, tuple[int, bytes]], out: Path) -> set[str]:
    """The files of `out` that are new, gone or written since the snapshot `before`."""
    after = snapshot(out)
    return {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}


def plain_bytes(out: Path) -> Iterator[tuple[str, bytes]]:
    """What every file of a site says, uncompressed; of a table, what its columns hold."""
    import pyarrow.parquet

    for path, (_, data) in snapshot(out).items():
        if path.endswith(".gz"):
            data = gzip.decompress(data)
        elif path.endswith(".parquet"):
            table = pyarrow.parquet.read_table(io.BytesIO(data))
            data += json.dumps(table.to_pydict(), ensure_ascii=False).encode()
        yield path, data


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, Attributes]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))
