"""Markdown → HTML that is safe to put into a page, whoever wrote it.

CommonMark with tables, definition lists and typographic quotes. Raw HTML is shown as the text it
is; links keep only targets that lead somewhere (http, https, mailto, or a place inside the site),
pictures only those of the site. What comes out passes an allow-list of tags and attributes once
more (nh3), so that nothing rests on one parser alone.

Shortcodes become marks, ``shortcode-DIGEST-NUMBER-``, which `atlas.site.embeds` replaces. The
digest is of the note's own text, so no text can contain a mark of its own.
"""

from __future__ import annotations

import hashlib
import html
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup
from mdit_py_plugins.deflist import deflist_plugin

from atlas.errors import ConfigError
from atlas.site.shortcodes import Shortcode, parse_shortcode, shortcode_plugin
from atlas.site.targets import ANCHOR, SCHEMES, Place, Targets
from atlas.units import quote

MARK = re.compile(r"shortcode-[0-9a-f]{32}-\d+-")
DEEPEST = 40
"""Levels of quotes and lists inside each other, of which a list counts two."""

_HOLDERS = {"blockquote_open", "list_item_open", "dd_open"}
_FORBIDDEN = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff]")
"""Characters that no HTML document may have; NUL is the parser's own business."""
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z“\"(])")

_TAGS = {
    *("p", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "dl", "dt", "dd", "blockquote", "hr"),
    *("pre", "code", "em", "strong", "a", "img", "br", "div"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
_ATTRIBUTES = {
    "a": {"href", "title"},
    "img": {"src", "alt", "title", "loading"},
    "ol": {"start"},
    "th": {"scope", "class"},
    "td": {"class"},
    "div": {"class", "role", "tabindex", "aria-label"},
    "pre": {"tabindex"},
    **{f"h{level}": {"id"} for level in range(2, 7)},
}


@dataclass(frozen=True)
class Prose:
    """What a text became.

    `html` and `opening` have marks where `shortcodes` stand. `opening` is the first sentence, with
    links as seen from the root of the site. `title` is the text of a heading of the first level
    that begins the note, and is taken out of it. `links` are the pages of other notes it leads to.
    """

    html: Markup
    title: str | None
    opening: Markup
    shortcodes: Mapping[str, Shortcode]
    links: frozenset[str]


def render_prose(
    text: str, place: Place | None = None, summary: tuple[int, str] | None = None
) -> Prose:
    """Convert a note.

    Args:
        summary: Markdown to take for the first sentence, and the number of its line.

    Raises:
        ConfigError: a malformed shortcode, a link to a note that does not exist, or quotes and
            lists inside each other without end; with file and line.
    """
    return _Conversion(place or Place(), _FORBIDDEN.sub("\ufffd", text), summary).run()


def ascii_slug(words: str, most: int = 60) -> str:
    """`words` in lower-case letters and digits of ASCII with hyphens between; may be empty."""
    plain = unicodedata.normalize("NFKD", words[: 4 * most]).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:most].rstrip("-")


class _Conversion:
    """One note on its way to HTML."""

    def __init__(self, place: Place, text: str, summary: tuple[int, str] | None) -> None:
        self._place, self._text, self._summary = place, text, summary
        everything = f"{summary} {text}".encode("utf-8", "replace")
        self._digest = hashlib.sha256(everything).hexdigest()[:32]
        self._shortcodes: dict[str, Shortcode] = {}
        self._targets = Targets(place)
        self._ids: dict[str, int] = {}

    def run(self) -> Prose:
        env: dict[str, object] = {}
        tokens = _PARSER.parse(self._text, env)
        self._check_depth(tokens)
        self._finish(tokens, self._place.first)
        title = None
        if tokens and tokens[0].tag == "h1" and tokens[0].type == "heading_open":
            title = _plain(tokens[1])
            tokens = tokens[3:]
        self._head(tokens)
        body = self._safe(tokens, env)
        line, opening = self._summary or (self._place.first, _first_sentence(tokens))
        inline = _PARSER.parseInline(_FORBIDDEN.sub("\ufffd", opening), env)
        self._finish(inline, line, at_root=True)
        first = self._safe(inline, env)
        return Prose(body, title, first, dict(self._shortcodes), frozenset(self._targets.pages))

    def _check_depth(self, tokens: Sequence[Token]) -> None:
        for token in tokens:
            if token.type in _HOLDERS and token.level >= DEEPEST - 1 and token.map:
                line = token.map[0] + self._place.first
                raise self._place.error(line, "quotes and lists are inside each other too deep")

    def _finish(self, tokens: Sequence[Token], first: int, at_root: bool = False) -> None:
        """What is left to do about shortcodes, links and pictures.

        Args:
            first: the number of the first line in the file.
            at_root: whether links are to be as seen from the root of the site.
        """
        line = first
        for token in tokens:
            line = token.map[0] + first if token.map else line
            if token.type == "shortcode":
                self._mark(token, line, block=True)
            self._finish_inline(token.children or [], line, at_root)

    def _finish_inline(self, tokens: Sequence[Token], line: int, at_root: bool) -> None:
        inside = 0
        for token in tokens:
            if token.type in ("softbreak", "hardbreak"):
                line += 1
            elif token.type == "link_open":
                inside += 1
                target = self._targets.of(str(token.attrs.pop("href", "")), line, at_root)
                token.attrs |= {} if target is None else {"href": target}
            elif token.type == "link_close":
                inside -= 1
            elif token.type == "image":
                self._image(token, line, at_root)
            elif token.type == "shortcode":
                if inside:
                    raise self._place.error(line, f"{quote(token.content)} inside a link")
                self._mark(token, line, block=False)

    def _mark(self, token: Token, line: int, block: bool) -> None:
        try:
            shortcode = parse_shortcode(token.content, block)
        except ConfigError as error:
            raise self._place.error(line, str(error)) from error
        mark = f"shortcode-{self._digest}-{len(self._shortcodes)}-"
        self._shortcodes[mark] = shortcode
        token.type, token.content = "text", mark + ("\n" if block else "")
        token.meta = {"words": shortcode.label or shortcode.units[0]}

    def _image(self, token: Token, line: int, at_root: bool) -> None:
        if any(child.type == "shortcode" for child in token.children or ()):
            raise self._place.error(line, "a shortcode in the description of a picture")
        target = self._targets.picture(str(token.attrs.get("src", "")), line, at_root)
        if target is None:
            token.type, token.content = "html_inline", f"<em>{html.escape(_plain(token))}</em>"
        else:
            token.attrs |= {"src": target, "loading": "lazy"}

    def _head(self, tokens: Sequence[Token]) -> None:
        """Headings: from h2 on and none left out, each with an id of its own."""
        above: list[int] = []
        for opening, inline, closing in zip(tokens, tokens[1:], tokens[2:], strict=False):
            if opening.type != "heading_open":
                continue
            level = int(opening.tag[1])
            while above and above[-1] >= level:
                above.pop()
            above.append(level)
            opening.tag = closing.tag = f"h{min(len(above) + 1, 6)}"
            opening.attrs["id"] = self._id(_plain(inline))

    def _id(self, words: str) -> str:
        slug = ANCHOR + (ascii_slug(words) or "section")
        number, unique = self._ids.get(slug, 0) + 1, slug
        while number > 1 and (unique := f"{slug}-{number}") in self._ids:
            number += 1
        self._ids[slug] = number
        self._ids.setdefault(unique, 1)
        return unique

    def _safe(self, tokens: Sequence[Token], env: dict[str, object]) -> Markup:
        text = _PARSER.renderer.render(_framed(tokens), _PARSER.options, env)
        clean = nh3.clean(
            text, tags=_TAGS, attributes=_ATTRIBUTES, url_schemes=SCHEMES, link_rel=None
        )
        return Markup(clean.strip())


def _framed(tokens: Sequence[Token]) -> list[Token]:
    """Tables and code in boxes that scroll, by hand and by keyboard.

    A table's box is named after the heading above it.
    """
    found: list[Token] = []
    heading = ""
    for i, token in enumerate(tokens):
        if token.type == "heading_open":
            heading = _plain(tokens[i + 1])
        elif token.type == "table_open":
            label = html.escape(f"Table: {heading}" if heading else "Table")
            box = f'<div class="scroll" role="group" tabindex="0" aria-label="{label}">\n'
            found.append(Token("html_block", "", 0, content=box))
        elif token.type in ("th_open", "td_open"):
            side = str(token.attrs.pop("style", "")).removeprefix("text-align:")
            token.attrs |= {"class": side} if side in ("right", "center") else {}
            token.attrs |= {"scope": "col"} if token.type == "th_open" else {}
        elif token.type in ("fence", "code_block"):
            code = f'<pre tabindex="0"><code>{html.escape(token.content)}</code></pre>\n'
            token = Token("html_block", "", 0, content=code)
        found.append(token)
        if token.type == "table_close":
            found.append(Token("html_block", "", 0, content="</div>\n"))
    return found


def _plain(token: Token) -> str:
    """The words of a block or picture."""
    parts = []
    for child in token.children or ():
        if child.type in ("softbreak", "hardbreak"):
            parts.append(" ")
        elif child.type == "image":
            parts.append(_plain(child))
        elif child.type in ("text", "code_inline"):
            parts.append(child.meta.get("words", child.content))
    return "".join(parts).strip()


def _first_sentence(tokens: Sequence[Token]) -> str:
    """Of the first paragraph, as Markdown."""
    for opening, inline in pairwise(tokens):
        if opening.type == "paragraph_open" and opening.level == 0:
            return _SENTENCE.split(" ".join(inline.content.split()), maxsplit=1)[0]
    return ""


def _parser() -> MarkdownIt:
    options = {"html": False, "typographer": True, "maxNesting": DEEPEST}
    parser = MarkdownIt("commonmark", options).enable(["table", "smartquotes"])
    return parser.use(deflist_plugin).use(shortcode_plugin)


_PARSER = _parser()
