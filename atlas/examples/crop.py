"""From positions on a layer's map to crops of the source photographs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from atlas.examples.receptive import ReceptiveField
from atlas.examples.view import Viewing


def crop_boxes(
    field: ReceptiveField,
    positions: NDArray[np.int64],
    sizes: NDArray[np.int64],
    viewing: Viewing,
) -> NDArray[np.int64]:
    """The squares of the sources that map positions see.

    As large as the receptive field, but no larger than the view: what lies beyond, the network
    never saw. At the border a square is shifted inside the view, never padded or stretched.

    Args:
        field: receptive field of the layer, in pixels of the view.
        positions: (…, 2), (y, x) on the layer's map.
        sizes: (…, 2), (width, height) of the source images in pixels.

    Returns:
        (…, 4), (x0, y0, x1, y1) in source pixels, square to the pixel, inside the source.
    """
    side = min(field.size, viewing.crop)
    centre = field.start + positions[..., ::-1] * field.stride + field.size / 2
    begin = np.clip(centre - side / 2, 0, viewing.crop - side)
    scale, offset = viewing.geometry(sizes)
    low, high = (begin + offset) * scale, (begin + side + offset) * scale
    whole = np.rint((high - low).mean(axis=-1, keepdims=True))
    whole = np.clip(whole, 1, sizes.min(axis=-1, keepdims=True))
    corner = np.clip(np.rint((low + high - whole) / 2), 0, sizes - whole)
    return np.concatenate([corner, corner + whole], axis=-1).astype(np.int64)


def crop_box(
    field: ReceptiveField, position: tuple[int, int], size: tuple[int, int], viewing: Viewing
) -> tuple[int, int, int, int]:
    """`crop_boxes` of one position (y, x) in one source of the given (width, height)."""
    box = crop_boxes(field, np.array(position), np.array(size), viewing)
    x0, y0, x1, y1 = box.tolist()
    return x0, y0, x1, y1
