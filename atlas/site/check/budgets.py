"""What a page may weigh, so that a site stays quick on a phone and a page can be taken in.

Sizes are those of the files, uncompressed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from atlas.site.check.folder import Folder
from atlas.site.check.problems import Findings, Problem

CHANNEL_HTML = 30_000
CHANNEL_ALL = 350_000
"""A channel's page with all its images, stylesheets and scripts."""
LAYER_HTML = 150_000
LAYER_FIRST_VIEW = 1_000_000
"""The images of a layer's page that are loaded at once, and the first `IN_VIEW` of the others."""
LAYER_ELEMENTS = 800
IN_VIEW = 40
CSS = 20_000
JS = 30_000


@dataclass
class Weight:
    """A page's size in bytes, its number of elements, and the files of the site that it loads.

    `images` are loaded at once, `lazy` ones when they come into view, both in document order;
    `others` are stylesheets, scripts and icons.
    """

    html: int
    elements: int
    images: list[str] = field(default_factory=list)
    lazy: list[str] = field(default_factory=list)
    others: set[str] = field(default_factory=set)


def check_weight(kind: str, weight: Weight, folder: Folder, findings: Findings) -> None:
    """Add the budgets that a page of this kind exceeds: ``channel``, ``layer`` or any other."""

    def size(paths: set[str]) -> int:
        return sum(folder.files.get(path, 0) for path in paths)

    if kind == "channel":
        everything = weight.html + size({*weight.images, *weight.lazy, *weight.others})
        _over("bytes of HTML", weight.html, CHANNEL_HTML, findings)
        _over("bytes with its images, styles and scripts", everything, CHANNEL_ALL, findings)
    elif kind == "layer":
        view = size({*weight.images, *weight.lazy[:IN_VIEW]})
        _over("bytes of HTML", weight.html, LAYER_HTML, findings)
        _over("bytes of images in the first view", view, LAYER_FIRST_VIEW, findings)
        _over("elements", weight.elements, LAYER_ELEMENTS, findings)


def check_static(folder: Folder) -> Iterator[Problem]:
    """The budgets of all stylesheets together, and of all scripts but for data."""
    for suffix, start, limit in ((".css", "", CSS), (".js", "static/js/", JS)):
        paths = [p for p in folder.files if p.endswith(suffix) and p.startswith(start)]
        amount = sum(folder.files[path] for path in paths)
        if amount > limit:
            text = f"{amount:,} bytes in all *{suffix} files; the budget is {limit:,}"
            yield Problem("static", "budget", text)


def _over(unit: str, amount: int, limit: int, findings: Findings) -> None:
    if amount > limit:
        findings.add("budget", f"{amount:,} {unit}; the budget is {limit:,}")
