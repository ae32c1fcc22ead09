"""Which channels belong together: those that answer to the same classes, and those of one class.

Both come of the means of a channel's maxima over the photographs of each class, of which the
example tables have all. Two channels are *similar* by the cosine of their class means, each taken
as its distance from the channel's mean over classes: their correlation over classes. A class's
channels are the most *selective* for it: those whose mean over its photographs is most standard
deviations above the mean of the maxima of all photographs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from atlas.examples.table import ExampleTable
from atlas.photographs import histogram_of
from atlas.site.catalogue import MemberRecord, SimilarRecord
from atlas.units import Unit

SIMILAR = 6
MEMBERS = 24
"""Channels of a class that are named."""
LEAST_CLASSES = 20
"""With fewer classes a high correlation is too often chance: of 5,808 random profiles the one most
like a given one has, in the median, a cosine of 0.91 over 10 classes, 0.74 over 20, 0.26 over 200
and 0.11 over 1,000 (measured)."""
ROUNDING = 1e-6
"""Share of a channel's class means below which their differences are rounding, as of a channel that
is dead: without this all of those would be most similar."""

_BLOCK = 512


def similar(
    tables: Mapping[str, ExampleTable], units: Sequence[Unit], most: int = SIMILAR
) -> dict[Unit, tuple[SimilarRecord, ...]]:
    """The channels most like each of `units` among them, most similar first; only such above zero.

    Empty without classes enough, and for a channel whose classes are all alike.
    """
    rows = [unit for unit in units if unit.layer in tables]
    labels = {tables[unit.layer].labels for unit in rows}
    if len(labels) != 1 or len(next(iter(labels))) < LEAST_CLASSES:
        return {}
    profiles = _profiles(tables, rows)
    found = {}
    for start in range(0, len(rows), _BLOCK):
        cosines = profiles[start : start + _BLOCK] @ profiles.T
        own = np.arange(len(cosines))
        cosines[own, start + own] = -1
        for row, of_row in enumerate(cosines):
            found[rows[start + row]] = tuple(
                SimilarRecord(rows[i].layer, rows[i].index, round(float(of_row[i]), 4))
                for i in _largest(of_row, most).tolist()
                if of_row[i] > 0
            )
    return found


def members(
    tables: Mapping[str, ExampleTable], units: Sequence[Unit], most: int = MEMBERS
) -> dict[str, tuple[MemberRecord, ...]]:
    """The channels among `units` that are most selective for each class, by label.

    A class for which no channel's mean is above that of all photographs has none.
    """
    rows = [unit for unit in units if unit.layer in tables]
    found: dict[str, tuple[MemberRecord, ...]] = {}
    if not rows:
        return found
    moments = np.array([_moments(tables[unit.layer], unit.index) for unit in rows])
    mean, std = moments.T
    layers = list(dict.fromkeys(unit.layer for unit in rows))
    labels = sorted({label for layer in layers for label in tables[layer].labels})
    means = np.full((len(rows), len(labels)), np.nan, dtype=np.float32)
    for layer in layers:
        at = [i for i, unit in enumerate(rows) if unit.layer == layer]
        place = {label: i for i, label in enumerate(labels)}
        columns = np.array([place[label] for label in tables[layer].labels], dtype=np.int64)
        picked = tables[layer].class_means[[rows[i].index for i in at]]
        means[np.array(at)[:, None], columns[None]] = picked
    for column, label in enumerate(labels):
        with np.errstate(divide="ignore", invalid="ignore"):
            selectivity = np.where(std > 0, (means[:, column] - mean) / std, np.nan)
        selectivity = np.where(np.isfinite(selectivity), selectivity, -np.inf)
        found[label] = tuple(
            MemberRecord(
                rows[i].layer,
                rows[i].index,
                float(means[i, column]),
                float(f"{selectivity[i]:.4g}"),
            )
            for i in np.argsort(-selectivity, kind="stable")[:most].tolist()
            if selectivity[i] > 0
        )
    return found


def counts(tables: Mapping[str, ExampleTable]) -> dict[str, int]:
    """How many photographs each class has, by label."""
    return {
        label: int(number)
        for table in tables.values()
        for label, number in zip(table.labels, table.class_count.tolist(), strict=True)
    }


def _largest(values: NDArray[np.float32], most: int) -> NDArray[np.intp]:
    """Where the `most` largest values are, largest first, of equals the first."""
    most = min(most, len(values))
    least = np.partition(values, len(values) - most)[len(values) - most]
    places = np.flatnonzero(values >= least)
    return places[np.argsort(-values[places], kind="stable")][:most]


def _profiles(tables: Mapping[str, ExampleTable], units: Sequence[Unit]) -> NDArray[np.float32]:
    """(units, classes): class means about their mean, of length 1, or 0 where all are alike."""
    classes = tables[units[0].layer].class_means.shape[1]
    profiles = np.empty((len(units), classes), dtype=np.float32)
    for profile, unit in zip(profiles, units, strict=True):
        means = tables[unit.layer].class_means[unit.index].astype(np.float64)
        apart = means - means.mean()
        length = np.linalg.norm(apart)
        alike = length <= ROUNDING * np.linalg.norm(means)
        profile[:] = 0 if alike else apart / length
    return profiles


def _moments(table: ExampleTable, channel: int) -> tuple[float, float]:
    """Mean and standard deviation of the images' maxima, as the histogram knows them."""
    histogram = histogram_of(table, channel)
    return (histogram.mean, histogram.std) if histogram is not None else (np.nan, np.nan)
