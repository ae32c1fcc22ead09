"""Transforms against a look-up written out for every pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from atlas.optvis.recipe import stream
from atlas.optvis.regularizer import parse_regularizers
from atlas.optvis.transform import NO_TRANSFORMS, Transforms, warp


def look_up(source: np.ndarray, x: float, y: float) -> np.ndarray:
    """Bilinear, grey beyond the edge."""
    total = np.zeros(3)
    size = source.shape[1]
    for dy in (0, 1):
        for dx in (0, 1):
            yy, xx = math.floor(y) + dy, math.floor(x) + dx
            inside = 0 <= yy < size and 0 <= xx < size
            value = source[:, yy, xx] if inside else np.full(3, 0.5)
            total += (1 - abs(y - yy)) * (1 - abs(x - xx)) * value
    return total


class Fixed:
    """Stands in for a generator: always the same number."""

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def random(self, shape):
        return np.full(shape, self.value)


@pytest.mark.parametrize("pad", [0, 3])
def test_a_warp_is_shift_scale_and_rotation_of_the_plane(pad):
    size = 24
    images = torch.rand(1, 3, size, size)
    # A draw of 0 takes the first of each list and shifts by half the window, up and left.
    transforms = Transforms(6, (1.05,), (5.0,), 4, pad)
    theta = transforms.draw(Fixed(), 1, size)
    got = warp(images, torch.from_numpy(theta[0])[None], transforms.seen(size))[0].numpy()
    assert got.shape == (3, size + 2 * pad, size + 2 * pad)
    angle, shift, after = math.radians(5), -3.0, -2.0
    middle, centre = (size + 2 * pad - 1) / 2, (size - 1) / 2
    for y, x in ((12, 12), (3, 20), (0, 0), (23, 5)):
        px, py = x - middle + after, y - middle + after
        qx = (math.cos(angle) * px + math.sin(angle) * py) / 1.05 + shift + centre
        qy = (-math.sin(angle) * px + math.cos(angle) * py) / 1.05 + shift + centre
        expected = look_up(images[0].numpy(), qx, qy)
        np.testing.assert_allclose(got[:, y, x], expected, atol=1e-4)


@pytest.mark.parametrize("name", ["jitter:6", "rotate:30", "scale:1.4", "pad:5"])
def test_each_transform_alone_is_only_that(name):
    transforms, others = parse_regularizers([name])
    assert not others
    assert not transforms.identity
    theta = transforms.draw(stream(1, "transforms"), 500, 64)
    linear, shift = theta[:, :, :2].astype(float), theta[:, :, 2] * 32
    size = np.sqrt(np.linalg.det(linear))
    angle = np.degrees(np.arctan2(linear[:, 0, 1], linear[:, 0, 0]))
    spread = {
        "jitter": np.ptp(shift, axis=0).max(),
        "rotate": np.abs(angle).max(),
        "scale": (1 / size).max(),
        "pad": size.max() * 64,
    }
    still = {"jitter": 0, "rotate": 0, "scale": 1, "pad": 64}
    changed = {"jitter": 6, "rotate": 30, "scale": 1.4, "pad": 74}
    kind = name.partition(":")[0]
    for other, value in spread.items():
        if other != kind and {other, kind} != {"scale", "pad"}:
            assert value == pytest.approx(still[other], abs=1e-4), other
    assert spread[kind] == pytest.approx(changed[kind], rel=1e-5)


def test_transforms_may_be_combined_one_by_one():
    transforms, _ = parse_regularizers(["pad:16", "jitter:16", "scale:1.05", "rotate:5"])
    assert transforms.angles == Transforms().angles
    assert transforms.scales == pytest.approx((1.0, 0.975, 1.025, 1 / 1.05, 1.05))
    assert (transforms.jitter, transforms.jitter_after, transforms.pad) == (16, 0, 16)
    assert parse_regularizers(["none"]) == (NO_TRANSFORMS, ()) == parse_regularizers([])
    assert parse_regularizers(["transforms"]) == (Transforms(), ())


def test_no_transforms_change_nothing():
    images = torch.rand(2, 3, 33, 33)
    theta = NO_TRANSFORMS.draw(stream(1, "transforms"), 1, 33)
    maps = torch.from_numpy(theta).expand(2, -1, -1)
    torch.testing.assert_close(warp(images, maps), images, atol=1e-5, rtol=0)


def test_draws_cover_the_stated_ranges():
    transforms, size = Transforms(), 96
    theta = transforms.draw(stream(7, "transforms"), 4000, size)
    scale = 1 / np.sqrt(np.linalg.det(theta[:, :, :2]))
    assert set((1000 * scale).round().astype(int)) == {950, 975, 1000, 1025, 1050}
    angles = np.degrees(np.arctan2(theta[:, 0, 1], theta[:, 0, 0]))
    assert set(np.round(angles).astype(int)) == set(range(-5, 6))
    offset = theta[:, :, 2] * size / 2
    assert 8 < np.abs(offset).max() < 8 + 1.5 * 4 / 0.95
    # Jitters alone are whole pixels, uniform over their window.
    plain = Transforms(scales=(1.0,), angles=(0.0,), jitter_after=0)
    shifts = plain.draw(stream(7, "transforms"), 4000, size)[:, :, 2] * size / 2
    values, counts = np.unique(np.round(shifts, 3), return_counts=True)
    assert values.tolist() == list(range(-8, 9))
    assert counts.min() > 0.8 * counts.mean()


def test_more_steps_begin_with_the_draws_of_fewer():
    few = Transforms().draw(stream(7, "transforms"), 10, 96)
    many = Transforms().draw(stream(7, "transforms"), 50, 96)
    np.testing.assert_array_equal(few, many[:10])
