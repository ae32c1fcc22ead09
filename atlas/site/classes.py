"""The classes that fire a channel most, as the rows of a small table with bars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from atlas.site.catalogue import ChannelRecord, ClassRecord
from atlas.site.text import clean, number


@dataclass(frozen=True)
class ClassRow:
    """A row: label, mean of the maxima, number of images, and a bar in per cent of the longest."""

    label: str
    mean: str
    count: str
    bar: str


@dataclass(frozen=True)
class Classes:
    """The rows, strongest first; `everything` is one of all images, to hold them against."""

    rows: tuple[ClassRow, ...]
    everything: ClassRow | None
    note: str


def classes_of(record: ChannelRecord) -> Classes | None:
    """The table of a channel, None without labels."""
    found = [one for one in record.classes if math.isfinite(one.mean)]
    if not found:
        return None
    longest = found[0].mean
    histogram = record.histogram
    everything = None
    if histogram is not None:
        everything = _row("all photographs", histogram.mean, histogram.images, longest)
    rows = tuple(
        _row(clean(one.label, 60) or "no label", one.mean, one.count, longest) for one in found
    )
    return Classes(rows, everything, _note(found))


def _row(label: str, mean: float, count: int, longest: float) -> ClassRow:
    share = min(max(mean / longest, 0.0), 1.0) if longest > 0 else 0.0
    return ClassRow(label, number(mean), f"{count:,}", f"{100 * share:.0f}%")


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
