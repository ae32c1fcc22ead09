"""One page read whole: parsed by the HTML standard, every reference followed, everything counted.

The parser is html5lib, slow beside those in C, but of all parsers for Python the one that names
every parse error the standard knows, those of the tree as well as those of the characters; 30 kB
take it about 12 ms.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, NamedTuple

import html5lib
from html5lib.constants import E as EXPLAINED

from atlas.site.check.budgets import Weight, check_weight
from atlas.site.check.folder import Folder
from atlas.site.check.links import Reference, missing, of_srcset, resolve
from atlas.site.check.markup import Placed, check_markup, placed, shown
from atlas.site.check.policy import check_policy
from atlas.site.check.problems import Findings, Problem

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

COMPARE = "compare.html"
"""A page whose fragment says what it shows: units, with commas between them."""
LIMIT = 2_000_000
"""Bytes of HTML above which a page is not parsed: more than ten times the largest budget."""
PATIENCE = 20.0
"""Seconds one page may take; a page made to exhaust the parser ends here."""

_LEADS_OUT = {"canonical", "alternate", "author", "license", "me"}
"""Relations of a ``<link>`` that load nothing."""
_LOADED = {
    "img": ("src",), "script": ("src",), "iframe": ("src",), "source": ("src",), "video": ("src",),
    "audio": ("src",), "embed": ("src",), "track": ("src",), "input": ("src",),
    "object": ("data",), "image": ("href", "{http://www.w3.org/1999/xlink}href"),
    "use": ("href", "{http://www.w3.org/1999/xlink}href"),
}  # fmt: skip


@dataclass(frozen=True)
class Context:
    """What pages are checked against.

    Attributes:
        folder: the site's files.
        kinds: ``channel`` or ``layer`` for the pages that have budgets of their own, by path.
        url: where the site will be, ending in ``/``; empty if it does not say.
        media: where its media will be, ending in ``/``; empty if inside of it.
    """

    folder: Folder
    kinds: dict[str, str]
    url: str = ""
    media: str = ""


class Picture(NamedTuple):
    """An ``<img>`` of a file of the site: `width` and `height` as the page gives them, and of how
    many tiles it shows one; all 0 where the page does not say."""

    path: str
    width: int
    height: int
    tiles: int


@dataclass
class PageFacts:
    """What was found on one page; paths are relative to the site.

    `anchors` are the places on other pages that it links to, as path and fragment; `links` is the
    number of references of all kinds.
    """

    path: str
    problems: list[Problem] = field(default_factory=list)
    ids: frozenset[str] = frozenset()
    anchors: set[tuple[str, str]] = field(default_factory=set)
    pictures: set[Picture] = field(default_factory=set)
    links: int = 0


def read_page(path: str, context: Context) -> PageFacts:
    """Check one page by itself: all but what needs another page or the inside of an image."""
    findings = Findings(path)
    facts = PageFacts(path)
    text = _text(path, context.folder, findings)
    if text is not None:
        try:
            with _deadline(PATIENCE):
                _read(text, facts, context, findings)
        except TimeoutError:
            findings.add("too large", f"takes more than {PATIENCE:.0f} s to parse; not checked")
    facts.problems = list(findings)
    return facts


def addresses_of(path: str, folder: Folder) -> tuple[str, str]:
    """The address of the site and the address of its media as the page at `path` gives them.

    Both end in ``/`` and are empty where the page does not say: the first is in its canonical link,
    the second in ``data-media`` of its root element, where the scripts look for it, too.
    """
    text = _text(path, folder, Findings(path))
    if text is None:
        return "", ""
    root = html5lib.parse(text, namespaceHTMLElements=False)
    links = (link.attrib for link in root.iter("link") if link.attrib.get("rel") == "canonical")
    url = next((link.get("href", "").removesuffix(path) for link in links), "")
    return url if url.endswith("/") else "", root.attrib.get("data-media", "")


def _text(path: str, folder: Folder, findings: Findings) -> str | None:
    """The text of a page; None, with a finding, if there is none to read."""
    try:
        data = folder.read(path, LIMIT)
    except OSError as error:
        findings.add("unreadable", f"cannot be read: {error.strerror or error}")
        return None
    if data is None:
        size = folder.files.get(path, 0)
        findings.add("too large", f"{size:,} bytes of HTML; above {LIMIT:,} nothing is checked")
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        findings.add("encoding", f"is not UTF-8 (byte {error.start:,})")
        return None


def _read(text: str, facts: PageFacts, context: Context, findings: Findings) -> None:
    parser = html5lib.HTMLParser(namespaceHTMLElements=False)
    root: Element = parser.parse(text)
    for (line, _), code, values in parser.errors:
        findings.add("html", f"line {line}: {EXPLAINED.get(code, code) % values}")
    elements = list(placed(root))
    facts.ids = frozenset(e.element.attrib["id"] for e in elements if "id" in e.element.attrib)
    check_markup(elements, findings)
    # A host may show 404.html at any address, so it alone has to name the site's.
    check_policy(elements, context.media, context.url if facts.path == "404.html" else "", findings)
    weight = Weight(context.folder.files[facts.path], len(elements))
    for here in elements:
        _follow(here, facts, weight, context, findings)
    check_weight(context.kinds.get(facts.path, ""), weight, context.folder, findings)


def _follow(
    here: Placed, facts: PageFacts, weight: Weight, context: Context, findings: Findings
) -> None:
    """Follow an element's references."""
    attributes = here.element.attrib
    if here.tag in ("a", "area"):
        if "href" in attributes:
            _link(attributes["href"], facts, context, findings)
    elif here.tag == "link":
        relations = set(attributes.get("rel", "").lower().split())
        url = attributes.get("href", "")
        if relations <= _LEADS_OUT:
            _address(here, url, "canonical" in relations, facts, context, findings)
        elif path := _load(here, url, facts, context, findings):
            weight.others.add(path)
    elif here.tag == "meta":
        if attributes.get("property", "") in ("og:image", "og:url"):
            whole = attributes["property"] == "og:url"
            _address(here, attributes.get("content", ""), whole, facts, context, findings)
    elif here.tag == "base":
        if attributes.get("href") != context.url or facts.path != "404.html":
            findings.add("link", f"{shown(here)}: only 404.html has a base, the site's address")
    else:
        _loads(here, facts, weight, context, findings)


def _loads(
    here: Placed, facts: PageFacts, weight: Weight, context: Context, findings: Findings
) -> None:
    """What an element loads by itself."""
    attributes = here.element.attrib
    urls = [attributes[name] for name in _LOADED.get(here.tag, ()) if name in attributes]
    urls += of_srcset(attributes.get("srcset", "")) if here.tag in ("img", "source") else []
    for url in urls:
        path = _load(here, url, facts, context, findings)
        if path is None:
            continue
        if here.tag == "img":
            lazy = attributes.get("loading", "").lower() == "lazy"
            (weight.lazy if lazy else weight.images).append(path)
            facts.pictures.add(_picture(here, path, findings))
        else:
            weight.others.add(path)
    if here.tag == "img":
        _described(here, findings)


def _described(here: Placed, findings: Findings) -> None:
    """An image's size and alternative text."""
    attributes = here.element.attrib
    if not attributes.get("src"):
        findings.add("image", "<img> has no src")
    if not attributes.get("alt", "").strip():
        findings.add("image", f"{shown(here)} has no alternative text")
    for name in ("width", "height"):
        if not _count(attributes.get(name, "")):
            findings.add("image", f"{shown(here)} has no {name} in pixels, so the page jumps")


def _picture(here: Placed, path: str, findings: Findings) -> Picture:
    attributes = here.element.attrib
    width, height = (_count(attributes.get(name, "")) or 0 for name in ("width", "height"))
    words = attributes.get("class", "").split()
    if "s" not in words:
        return Picture(path, width, height, 0)
    counts = {word[0]: count for word in words if (count := _count(word[1:])) is not None}
    tile, tiles = counts.get("i", 0), counts.get("n", 1)
    if tile >= tiles:
        findings.add("tile", f"shows tile {tile} of {path}, counted from 0, of {tiles}")
    return Picture(path, width, height, tiles)


def _count(text: str) -> int | None:
    """A number written in a few ASCII digits; None if it is not that."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else None


def _link(url: str, facts: PageFacts, context: Context, findings: Findings) -> None:
    """A link that a reader follows."""
    facts.links += 1
    reference = resolve(facts.path, url)
    if reference.elsewhere:
        scheme = reference.elsewhere.partition(":")[0].lower()
        if not reference.elsewhere.startswith("//") and scheme not in ("http", "https", "mailto"):
            findings.add("link", f"links to {url!r}; only http, https and mailto lead out")
        return
    if not _found(reference, url, context, findings) or reference.fragment in ("", "top"):
        return
    here = reference.path == facts.path
    if here and reference.fragment in facts.ids:
        return
    if not here or reference.path == COMPARE:
        facts.anchors.add((reference.path, reference.fragment))
    else:
        findings.add("anchor", f"links to {url!r}, but has no such id")


def _address(
    here: Placed, url: str, whole: bool, facts: PageFacts, context: Context, findings: Findings
) -> None:
    """An address given in full: of this page if `whole`, else of a file of the site."""
    facts.links += 1
    bases = [context.url] if whole else [context.url, context.media]
    base = next((base for base in bases if base and url.startswith(base)), None)
    if base is None:
        findings.add("link", f"{shown(here)} {url!r} is not below the site’s address")
        return
    reference = resolve("", url, base)
    if _found(reference, url, context, findings) and whole and reference.path != facts.path:
        findings.add("link", f"{shown(here)} {url!r} is the address of another page")


def _load(
    here: Placed, url: str, facts: PageFacts, context: Context, findings: Findings
) -> str | None:
    """The path of the file an element loads; None, with a finding, if it is none of the site."""
    facts.links += 1
    reference = resolve(facts.path, url, context.media if here.tag == "img" else "")
    if reference.elsewhere:
        findings.add("elsewhere", f"{shown(here)} loads {url!r}, which is not of this site")
        return None
    return reference.path if _found(reference, url, context, findings) else None


def _found(reference: Reference, url: str, context: Context, findings: Findings) -> bool:
    """Whether a reference into the site leads to a file; a finding if it does not."""
    trouble = reference.wrong or missing(reference, url, context.folder)
    if trouble:
        findings.add("link", trouble)
    return not trouble


@contextlib.contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the block after so long, where the system has timers for that."""
    able = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if not able:
        yield
        return

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
