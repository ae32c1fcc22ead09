"""Rules of the HTML standard that no parser checks: which element may stand where, and with what.

Not the whole standard, for which there is v.Nu, but what a template or a note gets wrong: block
elements in lines of text, list items without a list, links in links, ids used twice or not there,
and what a strict Content-Security-Policy would not let run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple
from xml.etree.ElementTree import Element

from atlas.site.check.problems import Findings


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PHRASING = _words(
    "a abbr area audio b bdi bdo br button canvas cite code data datalist del dfn em embed i "
    "iframe img input ins kbd label link map mark meter noscript object output picture progress q "
    "ruby rt rp s samp script select slot small span strong sub sup svg math template textarea "
    "time u var video wbr meta"
)
_OTHER = _words(
    "html head body title base style article section nav aside h1 h2 h3 h4 h5 h6 hgroup header "
    "footer address p hr pre blockquote ol ul menu li dl dt dd figure figcaption main search div "
    "table caption colgroup col tbody thead tfoot tr td th form fieldset legend details summary "
    "dialog option optgroup source track selectedcontent"
)
_OBSOLETE_ATTRIBUTES = {"align", "bgcolor", "cellpadding", "cellspacing", "frameborder", "valign"}
_TEXT_ONLY = _words(
    "p h1 h2 h3 h4 h5 h6 span b i em strong small code pre cite q sub sup s u mark abbr dfn kbd "
    "samp var time data bdi bdo label button summary legend output meter progress"
)
"""Elements that hold text and what may stand in a line of text."""
_TRANSPARENT = {"a", "ins", "del", "map", "noscript", "object", "video", "audio", "canvas"}
"""Elements that hold what their parent may hold."""
_ANYWHERE = {"script", "template"}
_CHILDREN = {
    "ul": {"li"}, "ol": {"li"}, "menu": {"li"}, "dl": {"dt", "dd", "div"},
    "table": {"caption", "colgroup", "thead", "tbody", "tfoot", "tr"}, "colgroup": {"col"},
    "thead": {"tr"}, "tbody": {"tr"}, "tfoot": {"tr"}, "tr": {"td", "th"},
    "picture": {"source", "img"}, "datalist": _PHRASING | {"option"},
}  # fmt: skip
_PARENTS = {
    "li": {"ul", "ol", "menu"}, "dt": {"dl", "div"}, "dd": {"dl", "div"}, "figcaption": {"figure"},
    "summary": {"details"}, "option": {"select", "datalist", "optgroup"}, "legend": {"fieldset"},
    "source": {"picture", "video", "audio"}, "title": {"head"}, "base": {"head"},
}  # fmt: skip
_INTERACTIVE = {"a", "button", "details", "embed", "iframe", "input", "label", "select", "textarea"}
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_ID_LISTS = ("aria-labelledby", "aria-describedby", "for", "headers", "list", "form")
_RUNNING_TYPES = {"", "text/javascript", "application/javascript", "module", "importmap"}


class Placed(NamedTuple):
    """An element where it stands: `text` is the ancestor that lets only lines of text in, `inside`
    the link, button or label it is in, both None if there is none; `drawn` is what is in an SVG."""

    element: Element
    tag: str
    parent: str
    text: str | None = None
    inside: str | None = None
    drawn: bool = False


def placed(root: Element) -> Iterator[Placed]:
    """All elements in document order."""
    todo = [Placed(root, str(root.tag), "")]
    while todo:
        here = todo.pop()
        yield here
        tag = here.tag
        text = here.text if tag in _TRANSPARENT else (tag if tag in _TEXT_ONLY else None)
        inside = tag if tag in ("a", "button", "label") else here.inside
        drawn = here.drawn or tag == "svg"
        todo += [
            Placed(child, _name(child.tag), tag, text, inside, drawn)
            for child in reversed(here.element)
            if isinstance(child.tag, str)  # comments have none
        ]


def check_markup(elements: list[Placed], findings: Findings) -> None:
    """Add what is wrong with a page's elements."""
    ids = Counter(e.element.attrib["id"] for e in elements if "id" in e.element.attrib)
    for name, times in ids.items():
        if times > 1:
            findings.add("id", f"the id {name!r} is used {times} times")
        if not name or any(mark.isspace() for mark in name):
            findings.add("id", f"the id {name!r} is empty or has a space in it")
    level = 1
    for here in elements:
        if not here.drawn:
            _place(here, findings)
        _attributes(here, ids, findings)
        if here.tag in _HEADINGS:
            if _HEADINGS[here.tag] > level + 1:
                findings.add("headings", f"{shown(here)} follows a heading of level {level}")
            level = _HEADINGS[here.tag]
    _document(elements, findings)


def shown(here: Placed) -> str:
    """An element as it is named in a message."""
    for name in ("id", "class", "href", "src"):
        if value := here.element.attrib.get(name):
            return f"<{here.tag} {name}={value[:40]!r}>"
    return f"<{here.tag}>"


def _name(tag: str) -> str:
    """An element's name without its namespace, which tells SVG's elements from HTML's."""
    return tag.rpartition("}")[2]


def _place(here: Placed, findings: Findings) -> None:
    tag, parent = here.tag, here.parent
    if tag not in _PHRASING and tag not in _OTHER and "-" not in tag:
        findings.add("element", f"{shown(here)} is obsolete or no element of HTML")
        return
    heading_in_summary = here.text in ("summary", "legend") and tag in _HEADINGS
    if here.text is not None and tag not in _PHRASING and not heading_in_summary:
        findings.add("element", f"{shown(here)} cannot stand in <{here.text}>")
    allowed = _CHILDREN.get(parent)
    if allowed is not None and tag not in allowed and tag not in _ANYWHERE:
        findings.add("element", f"{shown(here)} cannot stand directly in <{parent}>")
    if (parents := _PARENTS.get(tag)) is not None and parent not in parents:
        findings.add("element", f"{shown(here)} has to stand directly in <{min(parents)}>")
    if here.inside is not None and tag in _INTERACTIVE and not _fits(here):
        findings.add("element", f"{shown(here)} cannot stand in <{here.inside}>")
    if tag == "details" and (not len(here.element) or here.element[0].tag != "summary"):
        findings.add("element", f"{shown(here)} has no <summary> as its first element")


def _fits(here: Placed) -> bool:
    """Whether something interactive may stand in the link, button or label that it is in."""
    if here.tag == "input" and here.element.attrib.get("type") == "hidden":
        return True
    if here.tag == "a" and "href" not in here.element.attrib:
        return here.inside != "a"
    return here.inside == "label" and here.tag != "label"


def _attributes(here: Placed, ids: Counter[str], findings: Findings) -> None:
    attributes = here.element.attrib
    if "style" in attributes:
        findings.add("inline", f"{shown(here)} has a style of its own; use a class")
    if here.tag == "style":
        findings.add("inline", "<style> in the page; put it into a stylesheet")
    if here.tag == "script" and "src" not in attributes:
        kind = attributes.get("type", "").lower()
        if kind in _RUNNING_TYPES:
            findings.add("inline", "a script in the page; put it into a file")
    for name in attributes:
        if name.startswith("on"):
            findings.add("inline", f"{shown(here)} has the event handler {name}")
        elif name in _OBSOLETE_ATTRIBUTES:
            findings.add("attribute", f"{shown(here)} has the obsolete attribute {name}")
    for name in _ID_LISTS:
        for wanted in attributes.get(name, "").split():
            if wanted not in ids:
                findings.add("id", f"{shown(here)} names the id {wanted!r}, which is not there")


def _document(elements: list[Placed], findings: Findings) -> None:
    """What a page as a whole has to have."""
    amounts = Counter(here.tag for here in elements)
    if not elements[0].element.attrib.get("lang", "").strip():
        findings.add("document", "<html> has no lang")
    if amounts["h1"] != 1:
        findings.add("document", f"has {amounts['h1'] or 'no'} <h1>; a page has one")
    titles = [here.element for here in elements if here.tag == "title" and here.parent == "head"]
    if not titles or not "".join(titles[0].itertext()).strip():
        findings.add("document", "has no title")
    metas = [here.element.attrib for here in elements if here.tag == "meta"]
    if not any(meta.get("charset", "").lower() in ("utf-8", "utf8") for meta in metas):
        findings.add("document", "does not say that it is UTF-8 (<meta charset>)")
    if not any(meta.get("name") == "viewport" for meta in metas):
        findings.add("document", "has no <meta name=viewport>, so phones shrink it")
