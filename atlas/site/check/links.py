"""Where a reference in a page or a stylesheet leads, worked out without touching the disk.

It has to lead to a file, by a relative address: that works from a disk and a server alike.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from atlas.site.check.folder import Folder

_CSS_URL = re.compile(r"""url\(\s*(?:"([^"]*)"|'([^']*)'|([^"')\s]*))\s*\)""", re.IGNORECASE)
_CSS_IMPORT = re.compile(r"""@import\s+(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_CSS_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True)
class Reference:
    """A reference taken apart: `path` is a file's path in the site, `fragment` what follows ``#``.

    `elsewhere` is the whole address if it leads to another origin, `wrong` says what is wrong with
    it if it cannot lead anywhere from a disk and a server alike.
    """

    path: str = ""
    fragment: str = ""
    elsewhere: str = ""
    wrong: str = ""


def resolve(page: str, url: str, base: str = "") -> Reference:
    """What `url` on the page at path `page` means.

    `base` is an address (ending in ``/``) whose files lie in this very folder: where the site
    will be, or where its media will be.
    """
    target = url.strip(" \t\n\r\f")
    if base and target.startswith(base):
        return _within("", target[len(base) :], url)
    try:
        parts = urlsplit(target)
    except ValueError:
        return Reference(wrong=f"links to {url!r}, which is no address")
    if parts.scheme or target.startswith(("//", "\\\\", "/\\")):
        return Reference(elsewhere=target)
    if target.startswith(("/", "\\")):
        return Reference(wrong=f"links to {url!r}, which from a disk leads nowhere; drop the /")
    return _within(page, target, url)


def _within(page: str, target: str, url: str) -> Reference:
    """A relative address, seen from `page`."""
    parts = urlsplit(target)
    fragment = unquote(parts.fragment)
    if not parts.path:
        return Reference(path=page, fragment=fragment)
    path = unquote(parts.path)
    if "\\" in path:
        return Reference(wrong=f"links to {url!r} with a backslash; write /")
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(page), path))
    if joined == ".." or joined.startswith("../"):
        return Reference(wrong=f"links to {url!r}, which leads out of the site")
    if path.endswith(("/", "/.", "/..")) or path in (".", ".."):
        joined += "/"
    return Reference(path=joined, fragment=fragment)


def missing(reference: Reference, url: str, folder: Folder) -> str | None:
    """What is wrong with a reference into the site, in words; None if its file is there."""
    path = reference.path
    if folder.has(path):
        return None
    if path.endswith("/") or path in folder.folders:
        return f"links to {url!r}, a folder; name the page in it, for that works from a disk too"
    if (other := folder.by_lower_case.get(path.lower())) is not None:
        return f"links to {url!r}, but the file is called {other}"
    return f"links to {url!r}, which does not exist"


def of_stylesheet(text: str) -> Iterator[str]:
    """The addresses a stylesheet loads."""
    bare = _CSS_COMMENT.sub(" ", text)
    for pattern in (_CSS_URL, _CSS_IMPORT):
        for match in pattern.finditer(bare):
            yield next((group for group in match.groups() if group is not None), "")


def of_srcset(text: str) -> Iterator[str]:
    """The addresses in a ``srcset``."""
    for candidate in text.split(","):
        if words := candidate.split():
            yield words[0]
