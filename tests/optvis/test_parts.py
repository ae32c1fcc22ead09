"""Parameterization, transforms, objectives and ReLUs against NumPy, SciPy-free closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas.errors import RecipeError
from atlas.optvis.objective import Objective, gram_cosine, moved_centre
from atlas.optvis.parameterize import (
    COLOUR_CORRELATION,
    FourierImage,
    from_uint8,
    start_spectrum,
    to_uint8,
)
from atlas.optvis.recipe import Recipe, Render, from_preset, renders_of, seed_for, stream
from atlas.optvis.relu import redirected_relu
from atlas.optvis.transform import Transforms, warp
from atlas.units import Unit

UNIT = Unit("things", 3)


@pytest.mark.parametrize("size", [32, 33, 48])
def test_fourier_image_equals_numpy(size):
    spectrum = start_spectrum(renders_of(UNIT, ("positive",)), size)
    ours = FourierImage(size)(spectrum)[0].numpy()
    coefficients = spectrum[0, ..., 0].numpy() + 1j * spectrum[0, ..., 1].numpy()
    fy, fx = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]
    scaled = coefficients / np.maximum(np.hypot(fx, fy), 1 / size)
    planes = np.fft.irfft2(scaled, s=(size, size), axes=(1, 2), norm="ortho")
    matrix = np.array(COLOUR_CORRELATION)
    matrix /= np.linalg.norm(matrix, axis=0).max()
    rgb = np.einsum("rc,cyx->ryx", matrix, planes)
    np.testing.assert_allclose(ours, 1 / (1 + np.exp(-rgb)), atol=1e-5)


def test_start_has_the_stated_spread_and_follows_its_seed():
    renders = (Render(UNIT, "positive", 0, 1), Render(UNIT, "positive", 0, 2))
    both = start_spectrum(renders, 64)
    assert float(both.std()) == pytest.approx(0.01, rel=0.02)
    assert not torch.equal(both[0], both[1])
    assert torch.equal(start_spectrum(renders[1:], 64)[0], both[1])


def test_warp_is_shift_scale_and_rotation_of_the_plane():
    """Compare with a bilinear look-up written out for every pixel."""
    size = 24
    images = torch.rand(1, 3, size, size)
    shift, scale, angle, after = (3.0, -2.0), 1.05, math.radians(5), (-1.0, 2.0)
    theta = _only(shift, scale, math.degrees(angle), after).draw(_fixed(), 1, size)
    got = warp(images, torch.from_numpy(theta))[0].numpy()
    source = images[0].numpy()
    middle = (size - 1) / 2
    for y, x in ((12, 12), (3, 20), (0, 0), (23, 5)):
        px, py = x - middle + after[0], y - middle + after[1]
        qx = (math.cos(angle) * px + math.sin(angle) * py) / scale + shift[0] + middle
        qy = (-math.sin(angle) * px + math.cos(angle) * py) / scale + shift[1] + middle
        expected = np.zeros(3)
        for dy in (0, 1):
            for dx in (0, 1):
                yy, xx = math.floor(qy) + dy, math.floor(qx) + dx
                inside = 0 <= yy < size and 0 <= xx < size
                value = source[:, yy, xx] if inside else np.full(3, 0.5)
                expected += (1 - abs(qy - yy)) * (1 - abs(qx - xx)) * value
        np.testing.assert_allclose(got[:, y, x], expected, atol=1e-4)


class _fixed:  # noqa: N801 - stands in for a generator
    def random(self, shape):
        return np.zeros(shape)


def _only(shift, scale, degrees, after):
    """Transforms with one choice each, whose two jitters are exactly the given ones."""

    class Chosen(Transforms):
        def draw(self, rng, steps, size):
            matrix = super().draw(rng, steps, size)
            linear = matrix[:, :, :2]
            offset = linear @ np.asarray(after) + np.asarray(shift)
            return np.concatenate([linear, offset[:, :, None] * (2 / size)], 2).astype("f4")

    return Chosen(jitter=0, scales=(scale,), angles=(degrees,), jitter_after=0)


def test_transform_draws_cover_the_stated_ranges():
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


def test_objectives_equal_their_definitions():
    taps = torch.randn(4, 16, 6, 7)
    kinds = ("positive", "negative", "neuron", "diverse")
    renders = [Render(Unit("things", 2 * i), kind, 0, i) for i, kind in enumerate(kinds)]
    score = Objective(renders).score(taps)
    a = taps.numpy()
    assert score[0] == pytest.approx(np.maximum(a[0, 0], 0).mean(), rel=1e-5)
    assert score[1] == pytest.approx(-np.maximum(-a[1, 2], 0).mean(), rel=1e-5)
    assert score[2] == pytest.approx(a[2, 4, 3, 3], rel=1e-5)
    assert score[3] == pytest.approx(np.maximum(a[3, 6], 0).mean(), rel=1e-5)


def test_the_neuron_follows_the_centre_of_a_warped_image():
    theta = torch.from_numpy(Transforms().draw(stream(3, "transforms"), 40, 96))
    spot = torch.full((40, 3, 97, 97), 0.5)
    spot[:, :, 47:50, 47:50] = 1.0
    seen = warp(spot, theta)[:, 0] - 0.5
    axis = torch.linspace(-1, 1, 97) * 96 / 97
    weight = seen / seen.sum((1, 2), keepdim=True)
    found = torch.stack([(weight.sum(1) * axis).sum(1), (weight.sum(2) * axis).sum(1)], 1)
    torch.testing.assert_close(moved_centre(theta), found, atol=0.01, rtol=0)
    taps = seen[:, None].clone()
    neurons = [Render(Unit("l", 0), "neuron", 0, i) for i in range(40)]
    assert float(Objective(neurons)(taps, theta=theta).min()) > 0.35


@pytest.mark.parametrize("shape", [(2, 4, 5, 6, 6), (3, 4, 40, 3, 3)])
def test_gram_cosine_equals_its_definition(shape):
    taps = torch.randn(shape, dtype=torch.float64)
    got = gram_cosine(taps).numpy()
    a = taps.flatten(3).numpy()
    gram = np.einsum("gkcn,gkdn->gkcd", a, a).reshape(*shape[:2], -1)
    gram /= np.linalg.norm(gram, axis=2, keepdims=True)
    np.testing.assert_allclose(got, gram @ gram.transpose(0, 2, 1), atol=1e-9)


def test_redirected_relu_only_helps_images_that_are_blocked():
    x = torch.tensor([[1.0, -1.0, -2.0], [-1.0, -1.0, -2.0]], requires_grad=True)
    # Minimizing: a negative gradient pushes x up.
    upstream = torch.tensor([[-1.0, -1.0, -1.0], [-1.0, 2.0, -3.0]])
    (grad,) = torch.autograd.grad(redirected_relu(x), x, upstream)
    assert grad.tolist() == [[-1.0, 0.0, 0.0], [-1.0, 0.0, -3.0]]
    assert torch.equal(redirected_relu(x), x.clamp(min=0))


def test_eight_bit_images_round_trip():
    images = torch.rand(2, 3, 5, 4)
    eight = to_uint8(images)
    assert eight.shape == (2, 5, 4, 3)
    assert float((from_uint8(eight) - images).abs().max()) <= 0.5 / 255 + 1e-6
    assert torch.equal(to_uint8(from_uint8(eight)), eight)


@pytest.mark.parametrize("bad", [{"size": 31}, {"size": 4097}, {"steps": -1}])
def test_recipes_out_of_range_are_refused(bad):
    with pytest.raises(RecipeError, match=str(next(iter(bad.values())))):
        Recipe(**bad)


def test_presets_are_distills_recipe_and_two_quicker_ones():
    assert (from_preset("distill").size, from_preset("distill").steps) == (224, 2560)
    assert (from_preset("draft").size, from_preset("draft").steps) == (96, 64)
    assert from_preset("standard", steps=7).steps == 7
    with pytest.raises(RecipeError, match="unknown preset 'fast'"):
        from_preset("fast")


@given(st.integers(0, 1023), st.integers(0, 3), st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_seeds_are_stable_and_differ_between_renders(index, number, base):
    seed = seed_for(Unit("mixed4c", index), "diverse", number, base)
    assert 0 <= seed < 2**32
    assert seed == seed_for(Unit("mixed4c", index), "diverse", number, base)
    assert seed != seed_for(Unit("mixed4c", index), "diverse", number + 1, base)
