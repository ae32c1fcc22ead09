"""Notes: Markdown files with optional front matter, found in the user's folder and the shipped one.

Notes directly in `content/` become pages, those in `content/layers/` stand on the page of the layer
they are named after. A user's folder overrides the shipped one file by file.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from atlas.errors import ConfigError
from atlas.site.prose import ascii_slug, render_prose
from atlas.site.shortcodes import Shortcode
from atlas.site.targets import Place
from atlas.site.text import clean

LARGEST = 128 * 1024
"""Bytes of a note: a chapter of a book, and the most costly text of that size takes 15 s."""

OWN_PAGES = {"404", "compare", "recipe"}
"""Pages at the root of a site that are no notes. `index` is one: the guide on the front page."""

_DEVICES = re.compile(r"con|prn|aux|nul|(?:com|lpt)\d")
"""Names that are no files on Windows, whatever their suffix."""
_FRONT = re.compile(r"\A---[ \t]*\n(?P<head>(?:(?!---[ \t]*$).*\n)*?)---[ \t]*(?:\n|\Z)", re.M)


class Embeds(NamedTuple):
    """What a note shows of the atlas, as it names them: units and labels of classes."""

    units: frozenset[str]
    classes: frozenset[str]


@dataclass(frozen=True)
class Note:
    """A Markdown file as HTML, with marks for its shortcodes until `embeds.expand` fills them in.

    Attributes:
        name: of its page without suffix; of a layer's note the layer's folder.
        html: as its own page is to show it.
        summary: one sentence that sums it up, as a page at the root of the site is to show it.
        file: what messages call it.
        page: its page, relative to the site.
        shortcodes: by their marks.
        links: the pages of notes it leads to, which an atlas need not have.
    """

    name: str
    title: str
    html: Markup
    summary: Markup
    file: str
    page: str
    shortcodes: Mapping[str, Shortcode]
    links: frozenset[str]

    @property
    def lead(self) -> Markup:
        """What stands before the first section heading."""
        return Markup(self.html.partition("<h2")[0])

    @property
    def rest(self) -> Markup:
        """The first section heading and all that follows."""
        return Markup("".join(self.html.partition("<h2")[1:]))

    @property
    def embeds(self) -> Embeds:
        """What its pages depend on beside its own text."""
        codes = self.shortcodes.values()
        return Embeds(
            frozenset(unit for code in codes for unit in code.units),
            frozenset(code.label for code in codes if code.label),
        )


def read_note(path: Path, place: Place | None = None) -> Note:
    """Read one Markdown file.

    The front matter is optional: lines ``title: …`` and ``summary: …`` between two lines of three
    dashes. Without a title a heading of the first level that begins the note serves, then the
    file's name; without a summary the first sentence.

    Raises:
        ConfigError: the file cannot be read, is too large or not UTF-8, or what is in it is not
            right (`render_prose`).
    """
    text = _text(path)
    name = page_name(path.stem)
    place = place or Place(str(path), path.name, f"{name}.html")
    front = _FRONT.match(text)
    head: dict[str, tuple[int, str]] = {}
    first = 1
    if front:
        for number, line in enumerate(front["head"].splitlines(), start=2):
            key, colon, value = line.partition(":")
            if colon and (value := value.strip().strip("\"'")):
                head[key.strip().lower()] = (number, value)
        text = text[front.end() :]
        first += front[0].count("\n")
    prose = render_prose(
        text, Place(place.file, place.source, place.page, first, place.notes), head.get("summary")
    )
    title = head["title"][1] if "title" in head else prose.title or path.stem
    return Note(
        name=name, title=clean(title, 200), html=prose.html, summary=prose.opening,
        file=place.file, page=place.page, shortcodes=prose.shortcodes, links=prose.links,
    )  # fmt: skip


def read_notes(folders: Sequence[Path], under: str = "") -> dict[str, Note]:
    """All notes directly in `under` ("" or "layers") of the folders; an earlier folder wins.

    Those of "" come by the name of their page, those of "layers" by the folder of their layer.

    Raises:
        ConfigError: a note is not right, or would take the place of another page.
    """
    every = {"": _found(folders, ""), "layers": _found(folders, "layers")}
    pages = {
        _source(kind, path): _page(kind, name)
        for kind, notes in every.items()
        for name, paths in notes.items()
        for path in paths
    }
    found = {}
    for name, (path, *_) in every[under].items():
        place = Place(str(path), _source(under, path), _page(under, name), notes=pages)
        found[name] = read_note(path, place)
    return dict(sorted(found.items()))


def page_name(stem: str) -> str:
    """The name of a note's page: lower-case ASCII, and a file name on any system.

    ``Über uns`` becomes ``uber-uns``, and a name that leaves nothing a digest of it.
    """
    name = ascii_slug(stem)
    if not name:
        return "note-" + hashlib.sha256(stem.encode("utf-8", "replace")).hexdigest()[:8]
    return f"note-{name}" if _DEVICES.fullmatch(name) else name


def _found(folders: Sequence[Path], under: str) -> dict[str, list[Path]]:
    """The files of each note by name, those of earlier folders first; only the first is read."""
    found: dict[str, list[Path]] = {}
    for folder in folders:
        own: dict[str, Path] = {}
        for path in sorted((folder / under).glob("*.md")):
            if path.name.startswith("."):
                continue
            name = path.stem if under else page_name(path.stem)
            if not under and name in OWN_PAGES:
                raise ConfigError(
                    f"{path} would take the place of the atlas's own {name}.html; "
                    "call it something else"
                )
            if name in own:
                raise ConfigError(
                    f"{path} and {own[name].name} would both become {_page(under, name)}; "
                    "rename one of them"
                )
            own[name] = path
            found.setdefault(name, []).append(path)
    return found


def _source(under: str, path: Path) -> str:
    return f"{under}/{path.name}" if under else path.name


def _page(under: str, name: str) -> str:
    return f"{name}/index.html" if under else f"{name}.html"


def _text(path: Path) -> str:
    """The text of a file, with plain line ends and without a byte order mark."""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise ConfigError(f"cannot read {path}: it is no file")
        if about.st_size > LARGEST:
            raise ConfigError(
                f"{path} has {about.st_size:,} bytes; a note may have {LARGEST:,}: split it"
            )
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: it has to be a text file in UTF-8") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")
