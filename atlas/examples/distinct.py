"""Choosing examples that do not show the same place twice.

Windows cut out of the same photograph overlap, and a channel's best windows crowd around one
spot. Of each channel's images, best first, one is taken, and those that overlap it by more than a
third are passed over.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MAX_OVERLAP = 1 / 3
"""Largest share of the smaller of two crops that both may show."""


def choose(
    boxes: NDArray[np.int64],
    photos: NDArray[np.int64],
    k: int,
    blocked: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """The best `k` candidates of each channel of which no two overlap too much.

    Args:
        boxes: (C, P, 4) crops of the candidates in photograph pixels, best first.
        photos: (C, P) which photograph each is of.
        blocked: (C, P) candidates that may not be taken.

    Returns:
        (C, k) indices into the candidates, −1 where there are no more.
    """
    channels = np.arange(len(boxes))
    free = np.ones(photos.shape, bool) if blocked is None else ~blocked
    chosen = np.full((len(boxes), k), -1)
    for rank in range(k):
        first = free.argmax(axis=1)
        found = free[channels, first]
        chosen[found, rank] = first[found]
        near = overlaps(
            boxes, photos, boxes[channels, first][:, None], photos[channels, first][:, None]
        )
        free &= ~(near & found[:, None])
        free[channels, first] = False
    return chosen


def overlaps(
    boxes: NDArray[np.int64],
    photos: NDArray[np.int64],
    other: NDArray[np.int64],
    other_photo: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Whether crops (…, 4) share more than `MAX_OVERLAP` of the smaller with `other`."""
    low = np.maximum(boxes[..., :2], other[..., :2])
    high = np.minimum(boxes[..., 2:], other[..., 2:])
    shared = np.clip(high - low, 0, None).prod(axis=-1)
    smaller = np.minimum(_area(boxes), _area(other))
    result: NDArray[np.bool_] = (photos == other_photo) & (shared > MAX_OVERLAP * smaller)
    return result


def _area(boxes: NDArray[np.int64]) -> NDArray[np.int64]:
    area: NDArray[np.int64] = (boxes[..., 2:] - boxes[..., :2]).prod(axis=-1)
    return area
