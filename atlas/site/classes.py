"""Classes: where their pages are, and those that fire a channel most as rows of a small table."""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from atlas.site.catalogue import ChannelRecord, ClassRecord
from atlas.site.links import Links
from atlas.site.text import clean, number

FOLDER = "classes"
"""Where the pages of classes are; `index.html` in it lists them."""


def class_paths(labels: Iterable[str]) -> dict[str, str]:
    """The page of each class, relative to the site: ``classes/great-white-shark.html``.

    A label without a letter or digit of ASCII, and the later of two that would get one name, is
    told apart by a digest of it.
    """
    paths: dict[str, str] = {}
    taken = {"index"}
    for label in labels:
        plain = unicodedata.normalize("NFKD", label[:200]).encode("ascii", "ignore").decode()
        name = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:60].rstrip("-")
        if not name or name in taken:
            digest = hashlib.sha256(label.encode("utf-8", "surrogatepass")).hexdigest()[:8]
            name = f"{name}-{digest}".lstrip("-")
        taken.add(name)
        paths[label] = f"{FOLDER}/{name}.html"
    return paths


@dataclass(frozen=True)
class ClassRow:
    """A row: label, the page of the class (None if it has none), mean of the maxima, number of
    images, and a bar in per cent of the longest."""

    label: str
    page: str | None
    mean: str
    count: str
    bar: str


@dataclass(frozen=True)
class Classes:
    """The rows, strongest first; `everything` is one of all images, to hold them against."""

    rows: tuple[ClassRow, ...]
    everything: ClassRow | None
    note: str


def classes_of(record: ChannelRecord, links: Links) -> Classes | None:
    """The table of a channel, None without labels."""
    found = [one for one in record.classes if math.isfinite(one.mean)]
    if not found:
        return None
    longest = found[0].mean
    histogram = record.histogram
    everything = None
    if histogram is not None:
        everything = _row("all photographs", None, histogram.mean, histogram.images, longest)
    rows = tuple(
        _row(
            clean(one.label, 60) or "no label",
            links.page_of(one.label),
            one.mean,
            one.count,
            longest,
        )
        for one in found
    )
    return Classes(rows, everything, _note(found))


def _row(label: str, page: str | None, mean: float, count: int, longest: float) -> ClassRow:
    share = min(max(mean / longest, 0.0), 1.0) if longest > 0 else 0.0
    return ClassRow(label, page, number(mean), f"{count:,}", f"{100 * share:.0f}%")


def _note(classes: Sequence[ClassRecord]) -> str:
    """What a mean is worth, by how many images there are."""
    counts = [one.count for one in classes]
    if max(counts) == 1:
        return (
            "There is one photograph of each, so its “mean” is the maximum of that one and says "
            "little of the class."
        )
    mean = "By the mean of the maxima over the photographs of a class."
    if min(counts) == 1:
        mean += " Where there is only one, that is its maximum and says little of the class."
    return mean
