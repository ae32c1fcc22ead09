"""A finished site, measured: what it has of each kind, and what its pages weigh."""

from __future__ import annotations

import html
import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.parse import unquote, urlsplit

_TAG = re.compile(r"<(img|script|link|source|iframe|object|embed|video|audio)\b([^>]*)>")
_ATTRIBUTE = re.compile(r"""([a-z-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
_CSS_URL = re.compile(r"""(?:url\(\s*|@import\s+)["']?([^"')\s;]+)""")
_CHANNEL = re.compile(r"([^/]+)/\d+\.html")
_LOADING = {"stylesheet", "icon", "preload", "manifest"}


@dataclass(frozen=True)
class Page:
    """A page, the bytes of its HTML, and the files of the site that it loads by itself."""

    path: str
    html: int
    files: frozenset[str]

    def scripts(self) -> set[str]:
        """Its scripts."""
        return {path for path in self.files if path.endswith(".js")}

    def styles(self) -> set[str]:
        """Its stylesheets."""
        return {path for path in self.files if path.endswith(".css")}


class Site:
    """The site in a folder. Everything is read once, when it is opened.

    Attributes:
        sizes: bytes of every file, by its path in the site.
        channels: pages of channels; `layers`: pages of layers.
        elsewhere: what pages and stylesheets ask of other origins.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sizes = {path: stat.st_size for path, stat in stats(root)}
        self.elsewhere: set[str] = set()
        self.channels: list[Page] = []
        self.layers: list[Page] = []
        self.others: list[Page] = []
        pages = sorted(path for path in self.sizes if path.endswith(".html"))
        folders = {found[1] for path in pages if (found := _CHANNEL.fullmatch(path))}
        for path in pages:
            page = self._page(path)
            if _CHANNEL.fullmatch(path):
                self.channels.append(page)
            elif path.partition("/")[0] in folders:
                self.layers.append(page)
            else:
                self.others.append(page)
        for path in (path for path in self.sizes if path.endswith(".css")):
            for url in _CSS_URL.findall((root / path).read_text("utf-8")):
                self._local(path, url)

    @property
    def pages(self) -> list[Page]:
        """All pages."""
        return [*self.channels, *self.layers, *self.others]

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(self.sizes.values())

    def weigh(self, paths: Iterable[str]) -> int:
        """Bytes of some files."""
        return sum(self.sizes.get(path, 0) for path in paths)

    def whole(self, page: Page) -> int:
        """Bytes of a page with everything it loads, wherever one scrolls."""
        return page.html + self.weigh(page.files)

    def kinds(self) -> dict[str, list[int]]:
        """Sizes of the files of each kind, by kind."""
        kinds: dict[str, list[int]] = {}
        for path, size in sorted(self.sizes.items()):
            kinds.setdefault(_kind(path), []).append(size)
        return kinds

    def _page(self, path: str) -> Page:
        text = (self.root / path).read_text("utf-8")
        files = set()
        for tag, inside in _TAG.findall(text):
            attributes = {name: a or b or c for name, a, b, c in _ATTRIBUTE.findall(inside)}
            urls = [attributes[name] for name in ("src", "data", "poster") if name in attributes]
            urls += [one.split()[0] for one in attributes.get("srcset", "").split(", ") if one]
            if tag == "link" and _LOADING & set(attributes.get("rel", "").split()):
                urls.append(attributes.get("href", ""))
            for url in urls:
                local = self._local(path, html.unescape(url))
                if local is not None:
                    files.add(local)
        return Page(path, self.sizes[path], frozenset(files))

    def _local(self, base: str, url: str) -> str | None:
        """The file of the site that a URL in file `base` names, or None where it is elsewhere."""
        parts = urlsplit(url)
        if parts.scheme == "data":
            return None
        if parts.scheme or parts.netloc:
            self.elsewhere.add(url)
            return None
        return posixpath.normpath(posixpath.join(posixpath.dirname(base), unquote(parts.path)))


def stats(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Every file of a folder, by its path in it."""
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            yield path.relative_to(root).as_posix(), path.stat()


def times(root: Path) -> dict[str, tuple[int, int]]:
    """When every file was last written, and which file it is."""
    return {path: (stat.st_mtime_ns, stat.st_ino) for path, stat in stats(root)}


def changed(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> set[str]:
    """The files that are new, gone or written again."""
    return {path for path, _ in before.items() ^ after.items()}


def spread(sizes: Iterable[int]) -> str:
    """Median and largest of some sizes, in kB."""
    every = list(sizes)
    if not every:
        return "none"
    return f"median {median(every) / 1000:.1f} kB, largest {max(every) / 1000:.1f} kB"


def _kind(path: str) -> str:
    parts = path.split("/")
    if parts[0] == "media":
        return "whole" if parts[-1].startswith("whole") else parts[1]
    if path.startswith("manifest"):
        return "manifest"
    if parts[0] == "data":
        return "data"
    return posixpath.splitext(path)[1].removeprefix(".") or "other"
