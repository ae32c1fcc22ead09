"""The examples of one layer: what a pass has seen of it, as arrays for the store and the site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atlas.examples.buckets import Buckets
from atlas.examples.ranking import NONE, Ranking, Sample
from atlas.examples.state import FIXED, MOST_CLASSES, State

BANDS = 10
"""Bands between the smallest and the largest activation (Olah et al. 2017, "spectrum")."""

CLASSES = 10
"""How many of the classes that fire a channel most are kept."""


@dataclass(frozen=True)
class ExampleTable:
    """The examples of one layer of `C` channels; lists are best first.

    `top_*` are by highest maximum over the map, `bottom_*` by lowest minimum, (C, k). `band_*`
    (C, 10, 5) are a few images of every tenth of the range of maxima, drawn evenly, `sample_*`
    (C, 25) a uniform sample of all. `*_image` are int64 indices into the source, −1 for none;
    `*_value` float32, pre-ReLU; `*_position` (…, 2) int64 (y, x) on the map.

    `histogram` (C, 128) int64 counts the images' maxima; channel c's bucket i is [j·w, (j+1)·w)
    with j = i + `histogram_first`[c] and w = 2^`histogram_exponent`[c].

    Band b holds the images whose maximum v has floor(10·(v − low) / (high − low)) = b, low and high
    being the smallest and largest maximum, which itself is in the last. Of each bucket the 5 images
    of lowest `priority` are remembered, and of those in a band the 5 of lowest priority shown.

    `stats` are per channel, (C,) float64: min and max over everything, `lowest_maximum` the
    smallest maximum of an image, mean and std over all positions of all images, `fires` the share
    of images with any positive value, `best_score` and `best_negative_score` the largest mean over
    space of ReLU(a) and of ReLU(−a) of any image.

    `class_means` (C, labels) float32 are the means of the maxima of each class's images,
    `class_count` (labels,) how many images each has; `class_index` (C, 10) are the classes of
    highest mean, by place in `labels`, −1 for none, and `class_mean` float64 their means.
    `images` is how many were readable.
    """

    top_image: NDArray[np.int64]
    top_value: NDArray[np.float32]
    top_position: NDArray[np.int64]
    bottom_image: NDArray[np.int64]
    bottom_value: NDArray[np.float32]
    bottom_position: NDArray[np.int64]
    band_image: NDArray[np.int64]
    band_value: NDArray[np.float32]
    band_position: NDArray[np.int64]
    sample_image: NDArray[np.int64]
    sample_value: NDArray[np.float32]
    sample_position: NDArray[np.int64]
    histogram: NDArray[np.int64]
    histogram_first: NDArray[np.int64]
    histogram_exponent: NDArray[np.int64]
    class_index: NDArray[np.int64]
    class_mean: NDArray[np.float64]
    class_means: NDArray[np.float32]
    class_count: NDArray[np.int64]
    labels: tuple[str, ...]
    images: int
    stats: dict[str, NDArray[np.float64]] = field(default_factory=dict)


_ARRAYS = tuple(f.name for f in fields(ExampleTable) if f.name not in ("labels", "images", "stats"))


def pack(table: ExampleTable) -> dict[str, NDArray[Any]]:
    """The arrays of a table by name; statistics are prefixed ``stats.``."""
    arrays: dict[str, NDArray[Any]] = {n: np.ascontiguousarray(getattr(table, n)) for n in _ARRAYS}
    return arrays | {f"stats.{name}": value for name, value in table.stats.items()}


def unpack(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> ExampleTable:
    """The table that `pack` took apart; `facts` has its number of images and its labels."""
    stats = {n.removeprefix("stats."): v for n, v in arrays.items() if n.startswith("stats.")}
    named = {name: arrays[name] for name in _ARRAYS}
    return ExampleTable(
        **named, labels=tuple(facts["labels"]), images=int(facts["images"]), stats=stats
    )


@dataclass(frozen=True)
class Listed:
    """Images of every channel, best first: image (−1 for none), value and flat position."""

    image: NDArray[np.int64]
    value: NDArray[np.float32]
    where: NDArray[np.int64]

    @classmethod
    def of(cls, ranking: Ranking | Sample, columns: slice) -> Listed:
        """The lists of some channels of a ranking, (C, k)."""
        image = ranking.image
        if isinstance(ranking, Sample):
            image = image[:, None].expand_as(ranking.value)
        image = image[:, columns].movedim(0, -1)
        return cls(
            torch.where(image == NONE, -1, image).cpu().numpy(),
            ranking.value[:, columns].movedim(0, -1).cpu().numpy(),
            ranking.where[:, columns].movedim(0, -1).cpu().numpy().astype(np.int64),
        )

    def take(self, index: NDArray[np.int64]) -> Listed:
        """The entries at `index` (C, k); where that is −1, none."""
        safe, gone = np.maximum(index, 0), index < 0
        return Listed(
            np.where(gone, -1, np.take_along_axis(self.image, safe, axis=1)),
            np.where(gone, np.float32("nan"), np.take_along_axis(self.value, safe, axis=1)),
            np.take_along_axis(self.where, safe, axis=1),
        )

    def positions(self, width: int) -> NDArray[np.int64]:
        """(…, 2), (y, x) on a map of this width."""
        return np.stack([self.where // width, self.where % width], axis=-1)


def table_of(state: State, layer: str, columns: slice, top: Listed, bottom: Listed) -> ExampleTable:
    """The table of a layer that stands at `columns` of a state.

    Args:
        top: its images of highest activation, chosen.
        bottom: of lowest.
    """
    height, width = state.maps[layer]
    sample = Listed.of(state.sample, columns)
    bands = bands_of(state.buckets, columns)
    buckets = state.buckets
    labels = tuple(sorted(state.class_sum)) if len(state.class_sum) <= MOST_CLASSES else ()
    means = _class_means(state, labels, columns)
    index = np.full((means.shape[1], CLASSES), -1, dtype=np.int64)
    strongest = np.argsort(-means, axis=0, kind="stable")[:CLASSES].T
    index[:, : strongest.shape[1]] = strongest
    return ExampleTable(
        top.image,
        top.value,
        top.positions(width),
        bottom.image,
        bottom.value,
        bottom.positions(width),
        bands.image,
        bands.value,
        bands.positions(width),
        sample.image,
        sample.value,
        sample.positions(width),
        histogram=buckets.counts[columns].cpu().numpy(),
        histogram_first=buckets.first[columns].cpu().numpy(),
        histogram_exponent=buckets.exponent[columns].cpu().numpy(),
        class_index=index,
        class_mean=_taken(means.T, index),
        class_means=means.T.astype(np.float32),
        class_count=np.array([state.class_count[label] for label in labels], dtype=np.int64),
        labels=labels,
        images=state.images,
        stats=_stats(state, columns, state.images * height * width),
    )


def bands_of(buckets: Buckets, columns: slice) -> Listed:
    """A few images of each band, (C, 10, 5), those of lowest priority first."""
    ranking = buckets.images
    k = ranking.k

    def flat(field: Tensor) -> Tensor:  # (k, C, B) to (C, k · B)
        return field[:, columns].movedim(0, -1).flatten(1)

    key, image, value, where = map(flat, (ranking.key, ranking.image, ranking.value, ranking.where))
    low, high = buckets.low[columns, None], buckets.high[columns, None]
    span = torch.where(high > low, high - low, 1)
    band = ((value.double() - low) / span * BANDS).floor().clamp(max=BANDS - 1)
    parts = []
    for number in range(BANDS):
        best, at = key.masked_fill(band != number, -torch.inf).topk(k, dim=1)
        none = best == -torch.inf
        parts.append(
            Listed(
                image.gather(1, at).masked_fill(none, -1).cpu().numpy(),
                value.gather(1, at).masked_fill(none, torch.nan).cpu().numpy(),
                where.gather(1, at).masked_fill(none, 0).long().cpu().numpy(),
            )
        )
    return Listed(
        np.stack([part.image for part in parts], axis=1),
        np.stack([part.value for part in parts], axis=1),
        np.stack([part.where for part in parts], axis=1),
    )


def _stats(state: State, columns: slice, positions: int) -> dict[str, NDArray[np.float64]]:
    total = state.total()[:, columns]
    mean = total[0] / positions
    variance = (total[1] / positions - mean.square()).clamp(min=0)
    stats: dict[str, Tensor] = {
        "min": state.bottom.value[0, columns].double(),
        "max": state.top.value[0, columns].double(),
        "lowest_maximum": state.buckets.low[columns],
        "mean": mean,
        "std": variance.sqrt(),
        "fires": state.fires[columns] / state.images,
        "best_score": state.best[0, columns],
        "best_negative_score": state.best[1, columns],
    }
    return {name: value.cpu().numpy() for name, value in stats.items()}


def _class_means(state: State, labels: tuple[str, ...], columns: slice) -> NDArray[np.float64]:
    """The mean of the maxima of each class's images, (labels, C)."""
    if not labels:
        return np.zeros((0, columns.stop - columns.start))
    sums = torch.stack([state.class_sum[label][columns] for label in labels])
    counts = torch.tensor([state.class_count[label] for label in labels], device=sums.device)
    means: NDArray[np.float64] = (sums.double() / FIXED / counts[:, None]).cpu().numpy()
    return means


def _taken(means: NDArray[np.float64], index: NDArray[np.int64]) -> NDArray[np.float64]:
    """`means` (C, labels) at `index` (C, k); not a number where that is −1."""
    if not means.shape[1]:
        return np.full(index.shape, np.nan)
    found = np.take_along_axis(means, np.maximum(index, 0), axis=1)
    return np.where(index < 0, np.nan, found)
