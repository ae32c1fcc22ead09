"""A photograph with its crop outlined, and the same lit where a channel fires.

Both are of the middle square of the photograph, which the view of the network lies inside of.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from atlas.examples.receptive import ReceptiveField
from atlas.examples.view import Viewing
from atlas.site.sheets import WHOLE_SIZE as SIDE

VERSION = 1
"""Raise it when the same photograph, crop and map are meant to give other pictures."""

Box = tuple[int, int, int, int]

LIGHT, DARK = (255, 255, 255), (20, 18, 15)
LINE, EDGE = 2, 1
"""Pixels of the light line about a crop, and of the dark one on either side of it."""
MARGIN = 2
"""Pixels of a tile's border that are left alone: a page rounds them off."""

GREY, LIFT = 0.22, 0.05
"""How bright grey is where a channel is silent: 0.22 of what it was, and a little, so that black
is told from unlit. Darker, the photograph is lost; brighter, the light is."""
POWER = 0.7
"""Of the light, on pixels as they are stored: with 1 weak places look silent, with 0.5 all lit."""
LUMA = (0.299, 0.587, 0.114)
HALF = (1.0, 0.72, 0.25)
"""The line about what is above half of the maximum. In the lowest layers light falls on edges a
pixel wide, which no one sees by their brightness alone."""


def middle(image: Image.Image) -> NDArray[np.uint8]:
    """The middle square of an RGB image, as large as its short side, as (SIDE, SIDE, 3)."""
    left, top, side = _square(image.size)
    box = (left, top, left + side, top + side)
    kernel = Image.Resampling.LANCZOS if side > SIDE else Image.Resampling.BICUBIC
    return np.asarray(image.resize((SIDE, SIDE), kernel, box=box))


def outlined(square: NDArray[np.uint8], crop: Box, size: tuple[int, int]) -> NDArray[np.uint8]:
    """`middle` of an image of `size` (width, height) with a line around `crop`, in its pixels.

    The line lies outside of the crop, but always inside of the picture.
    """
    left, top, side = _square(size)
    wide = LINE + 2 * EDGE
    x0, y0, x1, y1 = (
        round((edge - start) * SIDE / side)
        for edge, start in zip(crop, (left, top) * 2, strict=True)
    )
    least, most = MARGIN + wide, SIDE - MARGIN - wide
    x0, y0 = min(max(x0, least), most - 1), min(max(y0, least), most - 1)
    x1, y1 = max(min(x1, most), x0 + 1), max(min(y1, most), y0 + 1)
    picture = Image.fromarray(square)
    draw = ImageDraw.Draw(picture)
    for colour, out, width in ((DARK, wide, wide), (LIGHT, wide - EDGE, LINE)):
        draw.rectangle(
            (x0 - out, y0 - out, x1 + out - 1, y1 + out - 1), outline=colour, width=width
        )
    return np.asarray(picture)


def light(
    map_: NDArray[np.float32], field: ReceptiveField, size: tuple[int, int], viewing: Viewing
) -> NDArray[np.float64]:
    """ReLU(a) / max ReLU(a) of a map (h, w) over `middle` of an image of `size`, (SIDE, SIDE).

    Between the centres of the fields of four positions it is bilinear. Beyond the outermost ones
    it stays what it is there up to the edge of the view; on what the network never saw it fades.
    All zero where the map is nowhere positive.
    """
    peak = float(map_.max())
    if not 0 < peak < np.inf:
        return np.zeros((SIDE, SIDE))
    down, across = (_weights(map_.shape[axis], field, 1 - axis, size, viewing) for axis in (0, 1))
    share: NDArray[np.float64] = np.maximum(map_, 0).astype(np.float64) / peak
    return down @ share @ across.T


def lit(square: NDArray[np.uint8], light: NDArray[np.float64]) -> NDArray[np.uint8]:
    """`middle` in dim grey, its own colours and brightness coming back with `light` (0 to 1)."""
    photograph = square / 255
    grey = (photograph @ LUMA)[..., None] * GREY + LIFT
    share = light[..., None] ** POWER
    picture = grey * (1 - share) + photograph * share
    line = _contour(light, 0.5)[..., None]
    picture = picture * (1 - line) + np.array(HALF) * line
    pixels: NDArray[np.uint8] = np.rint(picture.clip(0, 1) * 255).astype(np.uint8)
    return pixels


def _square(size: tuple[int, int]) -> tuple[float, float, int]:
    """Left and top edge and side of the middle square, in pixels of the image."""
    side = min(size)
    return (size[0] - side) / 2, (size[1] - side) / 2, side


def _weights(
    positions: int, field: ReceptiveField, axis: int, size: tuple[int, int], viewing: Viewing
) -> NDArray[np.float64]:
    """What each position of a map counts in each pixel of a square, (SIDE, positions).

    Args:
        axis: 0 along the width, 1 along the height.
    """
    start, side = _square(size)[axis], min(size)
    scale, offset = viewing.geometry(np.array(size))
    pixel = start + (np.arange(SIDE) + 0.5) * side / SIDE
    view = pixel / scale[axis] - offset[axis]
    at = (view.clip(0, viewing.crop) - field.centre(0)) / field.stride
    at = at.clip(0, positions - 1)
    before = np.minimum(at.astype(int), max(positions - 2, 0))
    weights = np.zeros((SIDE, positions))
    rows = np.arange(SIDE)
    weights[rows, np.minimum(before + 1, positions - 1)] = at - before
    weights[rows, before] += 1 - (at - before)
    unseen = np.maximum(-view, view - viewing.crop).clip(0)
    margin = max(float(offset[axis] - start / scale[axis]), 1.0)
    weights *= (1 - unseen / margin).clip(0)[:, None]
    return weights


def _contour(values: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """How much a line of a pixel's width along `level` covers each pixel, 0 to 1."""
    down, across = np.gradient(values)
    slope = np.hypot(down, across)
    away = np.abs(values - level) / np.maximum(slope, 1e-6)
    covered: NDArray[np.float64] = (1.2 - away).clip(0, 1)
    return covered
