"""Markdown notes → HTML: front matter, headings, and nothing that could run.

Raw HTML in a note is shown as the text it is, and links keep only schemes that lead somewhere
(http, https, mailto, or none). A user's folder overrides the shipped one file by file.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

from markdown import Markdown
from markdown.extensions import Extension
from markdown.treeprocessors import Treeprocessor
from markupsafe import Markup

from atlas.errors import ConfigError

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_NOISE = re.compile(r"[\x00-\x20\x7f]+")
_LEADS_SOMEWHERE = {"http", "https", "mailto"}
_FRONT = re.compile(r"\A\ufeff?---[ \t]*\n(?P<head>.*?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)


@dataclass(frozen=True)
class Note:
    """A Markdown file: its name without suffix, title, HTML, and one sentence that sums it up."""

    name: str
    title: str
    html: Markup
    summary: Markup

    @property
    def lead(self) -> Markup:
        """What stands before the first section heading."""
        return Markup(self.html.partition("<h2")[0])

    @property
    def rest(self) -> Markup:
        """The first section heading and all that follows."""
        return Markup("".join(self.html.partition("<h2")[1:]))


class _Links(Treeprocessor):
    """Takes away link targets that run code, and pictures that would come from elsewhere.

    Runs last and on the unescaped value: ``javascript&#58;…`` is as live as the plain form.
    """

    def run(self, root: Element) -> None:
        for element in root.iter():
            if element.tag == "img":
                if _SCHEME.match(_plain(element.get("src", ""))) or "//" in element.get("src", ""):
                    element.tag, element.text = "em", element.get("alt", "")
                    element.attrib.clear()
            elif "href" in element.attrib:
                scheme = _SCHEME.match(_plain(element.attrib["href"]))
                if scheme and scheme[1].lower() not in _LEADS_SOMEWHERE:
                    del element.attrib["href"]


class _NoHtml(Extension):
    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 (the library's name)
        md.preprocessors.deregister("html_block")
        md.inlinePatterns.deregister("html")
        md.treeprocessors.register(_Links(md), "links", -10)


def render_markdown(text: str) -> Markup:
    """Markdown as HTML that is safe to put into a page, whoever wrote it."""
    converter = Markdown(
        extensions=["tables", "toc", "smarty", "def_list", "fenced_code", "sane_lists", _NoHtml()],
        output_format="html",
    )
    return Markup(converter.convert(text))


def read_note(path: Path) -> Note:
    """Read one Markdown file.

    The front matter is optional: lines ``title: …`` and ``summary: …`` between two lines of three
    dashes. Without a title the first heading serves, then the file's name; without a summary the
    first sentence.

    Raises:
        ConfigError: the file cannot be read, or is not UTF-8.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: it has to be a text file in UTF-8") from error
    head: dict[str, str] = {}
    front = _FRONT.match(text)
    if front:
        text = text[front.end() :]
        for line in front["head"].splitlines():
            key, colon, value = line.partition(":")
            if colon:
                head[key.strip().lower()] = value.strip().strip("\"'")
    heading = re.search(r"^# +(.+?) *#*$", text, re.MULTILINE)
    title = head.get("title") or (heading[1] if heading else path.stem)
    if heading and not head.get("title"):
        text = text[: heading.start()] + text[heading.end() :]
    summary = render_markdown(head.get("summary") or _first_sentence(text))
    inline = re.sub(r"\A<p>|</p>\Z", "", summary)
    return Note(path.stem, title, render_markdown(text), Markup(inline))


def read_notes(folders: Sequence[Path], under: str = "") -> dict[str, Note]:
    """All notes directly in `under` of the folders, by name; an earlier folder wins."""
    paths: dict[str, Path] = {}
    for folder in reversed(folders):
        paths |= {path.stem: path for path in sorted((folder / under).glob("*.md"))}
    return {name: read_note(path) for name, path in sorted(paths.items())}


def _first_sentence(text: str) -> str:
    paragraphs = (part.strip() for part in re.split(r"\n\s*\n", text))
    prose = next((part for part in paragraphs if part and part[0] not in "#|>-*`"), "")
    return re.split(r"(?<=[.!?])\s+(?=[A-Z“\"(])", " ".join(prose.split()), maxsplit=1)[0]


def _plain(target: str) -> str:
    return _NOISE.sub("", html.unescape(target))
