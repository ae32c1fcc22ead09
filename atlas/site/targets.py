"""Where the links of a note lead, and which of them may.

Notes link to notes by file, ``[the method](../method.md#the-classes)``, as editors and code hosts
do; that becomes the page. Other targets are taken as the page sees them. None leaves the site
but by http, https or mailto: no path from the root of a disk or above the site, no other scheme.
"""

from __future__ import annotations

import difflib
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote as percent_encode
from urllib.parse import unquote, urlsplit

from atlas.errors import ConfigError
from atlas.units import quote

ANCHOR = "note-"
"""What ids of headings begin with: templates have ids of their own, and none that begins so."""

SCHEMES = {"http", "https", "mailto"}
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_NOISE = re.compile(r"[\x00-\x20\x7f]+")


@dataclass(frozen=True)
class Place:
    """Where a note stands.

    Attributes:
        file: what messages call it.
        source: its path in the content folder, ``layers/mixed4c.md``.
        page: its page, relative to the site, ``mixed4c/index.html``.
        first: number of its first line in the file.
        notes: the pages of all notes, by `source`.
    """

    file: str = "note.md"
    source: str = "note.md"
    page: str = "note.html"
    first: int = 1
    notes: Mapping[str, str] = field(default_factory=dict)

    def error(self, line: int, what: str) -> ConfigError:
        """What is wrong at a line."""
        return ConfigError(f"{self.file}, line {line}: {what}")


class Targets:
    """The targets of one note’s links; `pages` are those of other notes that were asked for."""

    def __init__(self, place: Place) -> None:
        self.pages: set[str] = set()
        self._place = place

    def of(self, target: str, line: int, at_root: bool = False) -> str | None:
        """Where a link leads, None if that is nowhere it may lead to.

        Args:
            line: of the file, for messages.
            at_root: whether it is to be as seen from the root of the site.

        Raises:
            ConfigError: a link to a note that does not exist.
        """
        bare = _NOISE.sub("", target)
        if scheme := _SCHEME.match(bare):
            return target if scheme[1].lower() in SCHEMES else None
        try:
            parts = urlsplit(bare)
        except ValueError:
            return None
        if not bare or parts.netloc or bare[0] in "/\\":
            return None
        folder = posixpath.dirname(self._place.page)
        path, fragment = unquote(parts.path), parts.fragment
        if path.endswith(".md") or not path:
            page = self._note(path, line) if path else self._place.page
            fragment = fragment and f"#{ANCHOR}{fragment}"
            if not path and not at_root:
                return fragment or None
            return posixpath.relpath(page, "." if at_root else folder or ".") + fragment
        page = posixpath.normpath(posixpath.join(folder, path))
        if page.startswith("..") or "\\" in page:
            return None
        return percent_encode(page) + bare[len(parts.path) :] if at_root else target

    def picture(self, target: str, line: int, at_root: bool = False) -> str | None:
        """Where a picture is, None if it is not of this site."""
        return None if _SCHEME.match(_NOISE.sub("", target)) else self.of(target, line, at_root)

    def _note(self, path: str, line: int) -> str:
        folder, notes = posixpath.dirname(self._place.source), self._place.notes
        source = posixpath.normpath(posixpath.join(folder, path))
        if source not in notes:
            near = difflib.get_close_matches(source[:200], notes, n=1)
            hint = f"; did you mean {posixpath.relpath(near[0], folder or '.')}?" if near else ""
            raise self._place.error(line, f"there is no note {quote(path)} to link to{hint}")
        self.pages.add(notes[source])
        return notes[source]
