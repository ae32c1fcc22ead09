"""The examples of one layer: what a pass has seen of it, as arrays for the store and the site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atlas.examples.buckets import BUCKETS, Buckets
from atlas.examples.ranking import NONE, Ranking
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
    with j = i + `histogram_first`[c] and w = 2^`histogram_exponent`[c]. Band b has the buckets i
    with floor(10·i/n) = b, n being the number from the lowest to the highest that is not empty.

    `stats` are per channel, (C,) float64: min and max over everything, mean and std over all
    positions of all images, `fires` the share of images with any positive value, `best_score` and
    `best_negative_score` the largest mean over space of ReLU(a) and of ReLU(−a) of any image.

    `class_index` (C, 10) are the classes, by place in `labels`, whose images have the highest mean
    of maxima, `class_mean`, −1 for none; `class_count` (labels,) how many images each has.
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
    def of(cls, ranking: Ranking, columns: slice) -> Listed:
        """The lists of some channels of a ranking, (C, k)."""
        image = ranking.image[:, columns].movedim(0, -1)
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
    index, mean = _classes(state, labels, columns)
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
        class_mean=mean,
        class_count=np.array([state.class_count[label] for label in labels], dtype=np.int64),
        labels=labels,
        images=state.images,
        stats=_stats(state, columns, state.images * height * width),
    )


def bands_of(buckets: Buckets, columns: slice) -> Listed:
    """A few images of each band, (C, 10, 5), those of lowest priority first."""
    places = torch.arange(BUCKETS, device=buckets.counts.device)
    counts = buckets.counts[columns]
    filled = torch.where(counts > 0, places, -1).amax(1, keepdim=True) + 1
    band = torch.div(places * BANDS, filled.clamp(min=1), rounding_mode="floor")
    ranking = buckets.images
    k, channels = ranking.k, len(counts)

    def flat(field: Tensor) -> Tensor:  # (k, C, B) to (k · B, C)
        return field[:, columns].transpose(1, 2).reshape(k * BUCKETS, channels)

    of_band = band.T.repeat(k, 1)
    parts = []
    for number in range(BANDS):
        outside = of_band != number
        members = Ranking(
            flat(ranking.key).masked_fill(outside, -torch.inf),
            flat(ranking.image).masked_fill(outside, NONE),
            flat(ranking.value).masked_fill(outside, torch.nan),
            flat(ranking.where),
        )
        parts.append(Ranking.empty(0, (channels,), outside.device).merge(members, k))
    listed = [Listed.of(part, slice(None)) for part in parts]
    return Listed(
        np.stack([one.image for one in listed], axis=1),
        np.stack([one.value for one in listed], axis=1),
        np.stack([one.where for one in listed], axis=1),
    )


def _stats(state: State, columns: slice, positions: int) -> dict[str, NDArray[np.float64]]:
    total = state.total()[:, columns]
    mean = total[0] / positions
    variance = (total[1] / positions - mean.square()).clamp(min=0)
    stats: dict[str, Tensor] = {
        "min": state.bottom.value[0, columns].double(),
        "max": state.top.value[0, columns].double(),
        "mean": mean,
        "std": variance.sqrt(),
        "fires": state.fires[columns] / state.images,
        "best_score": state.best[0, columns],
        "best_negative_score": state.best[1, columns],
    }
    return {name: value.cpu().numpy() for name, value in stats.items()}


def _classes(
    state: State, labels: tuple[str, ...], columns: slice
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    channels = columns.stop - columns.start
    index = np.full((channels, CLASSES), -1, dtype=np.int64)
    mean = np.full((channels, CLASSES), np.nan)
    if labels:
        sums = torch.stack([state.class_sum[label][columns] for label in labels])
        counts = torch.tensor([state.class_count[label] for label in labels], device=sums.device)
        means = sums.double() / FIXED / counts[:, None]
        k = min(CLASSES, len(labels))
        order = means.argsort(dim=0, descending=True, stable=True)[:k]
        index[:, :k] = order.T.cpu().numpy()
        mean[:, :k] = means.gather(0, order).T.cpu().numpy()
    return index, mean
