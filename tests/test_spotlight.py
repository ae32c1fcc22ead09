"""Photographs shown whole: the crop's line and the light lie where the geometry says."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from atlas.examples.crop import crop_box
from atlas.examples.receptive import ReceptiveField
from atlas.examples.view import Viewing
from atlas.spotlight import DARK, LIGHT, SIDE, light, lit, middle, outlined

FIELD, VIEWING = ReceptiveField(21, 16, -2), Viewing(256, 224)
SIZES = [(400, 300), (300, 400), (512, 512), (257, 900), (100, 64)]


def hot(y, x, high=14, wide=14):
    map_ = np.full((high, wide), -3, np.float32)
    map_[y, x] = 7
    return map_


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("position", [(2, 11), (9, 4)])
def test_one_hot_position_lights_the_pixels_it_looks_at(size, position):
    """The place comes by another way here: a dot is painted where the position looks at the view,
    and looked for in the picture of the whole."""
    shade = light(hot(*position), FIELD, size, VIEWING)
    centre = np.array([FIELD.centre(p) for p in position[::-1]])
    scale, offset = VIEWING.geometry(np.array(size))
    x, y = (centre + offset) * scale
    xs, ys = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5)
    near = np.hypot(xs - x, ys - y) < 0.05 * min(size)
    dot = Image.fromarray(np.repeat((near * 255).astype(np.uint8)[..., None], 3, 2))
    seen = middle(dot)[..., 0].astype(float)
    grid = np.mgrid[:SIDE, :SIDE] + 0.5

    def centroid(weight):
        return (grid * weight).sum((1, 2)) / weight.sum()

    assert centroid(shade) == pytest.approx(centroid(seen), abs=1.0)
    assert shade.max() == pytest.approx(1, abs=0.07)
    # Neighbouring positions, where it is zero again, are 16 pixels of the view away.
    ys, xs = np.nonzero(shade)
    for values in (ys, xs):
        assert np.ptp(values) + 1 == pytest.approx(2 * 16 * SIDE / 256, abs=2)


def test_light_is_bilinear_between_positions():
    map_ = np.zeros((14, 14), np.float32)
    map_[5, 5], map_[5, 6], map_[6, 5] = 4, 2, 1
    same = Viewing(SIDE, SIDE)
    shade = light(map_, ReceptiveField(1, 16, 8), (SIDE, SIDE), same)
    # Position i is centred at 8.5 + 16 i, the middle of pixel 8 + 16 i.
    assert shade[88, 88] == pytest.approx(1)
    assert shade[88, 104] == pytest.approx(0.5)
    assert shade[88, 92] == pytest.approx(0.75 + 0.25 * 0.5)
    assert shade[96, 96] == pytest.approx((1 + 0.5 + 0.25 + 0) / 4)


def test_beyond_the_outermost_positions_light_stays_and_fades_where_nothing_was_seen():
    map_ = np.full((7, 7), 2, np.float32)
    shade = light(map_, ReceptiveField(100, 32, -34), (256, 256), VIEWING)
    row = shade[SIDE // 2]
    first = int(np.ceil(16 * SIDE / 256))
    np.testing.assert_allclose(row[first:-first], 1)
    assert (np.diff(row[:first]) > 0).all()
    assert row[0] < 0.05
    np.testing.assert_allclose(shade, shade[::-1])


@pytest.mark.parametrize("value", [-1.0, 0.0, np.nan, np.inf])
def test_without_a_positive_value_there_is_no_light(value):
    map_ = np.full((7, 7), value, np.float32)
    shade = light(map_, FIELD, (256, 300), VIEWING)
    assert not shade.any()
    photograph = np.full((SIDE, SIDE, 3), (200, 40, 40), np.uint8)
    picture = lit(photograph, shade)
    assert (np.ptp(picture, axis=2) == 0).all()
    assert picture.max() < 60


def test_full_light_gives_the_photograph_back_and_half_has_a_line():
    photograph = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    np.testing.assert_array_equal(lit(photograph, np.ones((SIDE, SIDE))), photograph)
    ramp = np.tile(np.linspace(0, 1, SIDE), (SIDE, 1))
    picture = lit(np.zeros_like(photograph), ramp)
    line = np.flatnonzero(picture[0, :, 0] > 128)
    assert set(line) == {SIDE // 2 - 1, SIDE // 2}


@pytest.mark.parametrize("size", SIZES)
def test_the_line_goes_around_the_crop(size):
    crop = crop_box(FIELD, (9, 4), size, VIEWING)
    mark = Image.new("RGB", size, (255, 0, 0))
    mark.paste((0, 0, 255), crop)
    square = middle(mark)
    picture = outlined(square, crop, size)
    blue = np.argwhere(square[..., 2] > 200)
    (top, left), (bottom, right) = blue.min(0), blue.max(0)
    white = np.argwhere((picture == LIGHT).all(-1))
    assert white.min(0) == pytest.approx([top - 3, left - 3], abs=1)
    assert white.max(0) == pytest.approx([bottom + 3, right + 3], abs=1)
    inside = (slice(top + 2, bottom - 1), slice(left + 2, right - 1))
    np.testing.assert_array_equal(picture[inside], square[inside])
    assert (picture == DARK).all(-1).any()


@pytest.mark.parametrize("crop", [(0, 0, 64, 64), (0, 30, 34, 64), (63, 63, 64, 64), (-9, 0, 2, 2)])
def test_the_line_is_always_inside(crop):
    square = np.zeros((SIDE, SIDE, 3), np.uint8)
    picture = outlined(square, crop, (64, 64))
    for colour in (LIGHT, DARK):
        where = np.argwhere((picture == colour).all(-1))
        assert where.min() >= 2
        assert where.max() < SIDE - 2
    white = (picture == LIGHT).all(-1)
    rows, columns = np.flatnonzero(white.any(1)), np.flatnonzero(white.any(0))
    assert white[rows[0], columns[0] : columns[-1] + 1].all()  # all four sides are there
    assert white[rows[-1], columns[0] : columns[-1] + 1].all()
    assert white[rows[0] : rows[-1] + 1, columns[0]].all()
    assert white[rows[0] : rows[-1] + 1, columns[-1]].all()
