"""Penalties, filters and the patch prior against NumPy written out in loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from atlas.errors import DatasetError, RecipeError
from atlas.optvis import patches
from atlas.optvis.filters import bilateral, gaussian_blur, normalize_laplacian
from atlas.optvis.patches import PatchBase, PatchPrior
from atlas.optvis.penalty import Penalties, contrast, l1, l2, total_variation
from atlas.optvis.recipe import Recipe
from atlas.optvis.regularizer import NAMES, Regularizer, parse_regularizers

RNG = np.random.default_rng(11)
IMAGES = torch.from_numpy(RNG.random((2, 3, 9, 12))).float()
X = IMAGES.double().numpy()


def numbers(values):
    return pytest.approx(values, rel=1e-4)


def test_total_variation_equals_numpy():
    expected = [
        (np.abs(np.diff(x, axis=1)).sum() + np.abs(np.diff(x, axis=2)).sum()) / x.size for x in X
    ]
    assert total_variation(IMAGES).tolist() == numbers(expected)


def test_distances_from_grey_equal_numpy():
    assert l1(IMAGES).tolist() == numbers(np.abs(X - 0.5).mean((1, 2, 3)))
    assert l2(IMAGES).tolist() == numbers(((X - 0.5) ** 2).mean((1, 2, 3)))


def test_the_patch_prior_equals_a_search_of_the_base():
    base = PatchBase(RNG.integers(0, 256, (50, 6, 6, 3), dtype=np.uint8))
    known = base.patches.reshape(50, -1) / 255
    got = PatchPrior(base)(IMAGES).tolist()
    for image, value in zip(X, got, strict=True):
        nearest = []
        for y in range(0, 9 - 5, 3):
            for x in range(0, 12 - 5, 3):
                patch = image[:, y : y + 6, x : x + 6].transpose(1, 2, 0).ravel()
                nearest.append(((known - patch) ** 2).mean(1).min())
        assert value == numbers(np.mean(nearest))


def test_a_patch_of_the_base_costs_nothing():
    base = PatchBase(RNG.integers(0, 256, (5, 8, 8, 3), dtype=np.uint8))
    image = torch.from_numpy(base.patches[3]).permute(2, 0, 1)[None] / 255
    assert float(PatchPrior(base)(image)) == pytest.approx(0, abs=1e-10)


def test_patches_are_drawn_out_of_the_photographs():
    photos = [RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8) for _ in range(3)]
    base = patches.measure([*photos, photos[0][:4]], 12, seed=1)
    assert base.patches.shape == (12, 8, 8, 3)
    windows = {
        photo[y : y + 8, x : x + 8].tobytes()
        for photo in photos
        for y in range(13)
        for x in range(23)
    }
    assert all(patch.tobytes() in windows for patch in base.patches)
    assert base.sha256 == patches.measure(photos, 12, seed=1).sha256
    assert base.sha256 != patches.measure(photos, 12, seed=2).sha256
    with pytest.raises(DatasetError, match="8 pixels"):
        patches.measure([photos[0][:4]], 12)


def test_penalties_are_weighed_and_added():
    base = PatchBase(RNG.integers(0, 256, (5, 8, 8, 3), dtype=np.uint8))
    _, chosen = parse_regularizers(["tv:2", "l1:0.5", "l2:3", "patches:4"])
    penalties = Penalties(Recipe(size=32, regularizers=chosen, patches=base))
    expected = (
        2 * total_variation(IMAGES)
        + 0.5 * l1(IMAGES)
        + 3 * l2(IMAGES)
        + 4 * PatchPrior(base)(IMAGES)
    )
    assert penalties(IMAGES).tolist() == numbers(expected.tolist())
    assert not Penalties(Recipe(size=32, regularizers=()))


def test_contrast_charges_logits_beyond_the_limit():
    x = np.linspace(0.01, 0.99, 300)
    beyond = np.maximum(np.abs(np.log(x / (1 - x))) - 2.0, 0) ** 2
    got = float(contrast(torch.from_numpy(x).float().view(1, 3, 10, 10)))
    assert got == numbers(beyond.mean())
    assert float(contrast(torch.full((1, 3, 4, 4), 0.88))) == 0


@pytest.mark.parametrize("penalty", [total_variation, l1, l2, contrast], ids=lambda p: p.__name__)
def test_penalty_gradients_equal_finite_differences(penalty):
    x = torch.from_numpy(X).requires_grad_()
    (gradient,) = torch.autograd.grad(penalty(x).sum(), x)
    step = torch.from_numpy(RNG.standard_normal(X.shape))
    high, low = (float(penalty(x + s * 1e-7 * step).detach().sum()) for s in (1, -1))
    assert (high - low) / 2e-7 == pytest.approx(float((gradient * step).sum()), rel=1e-3)


def mirrored(x: np.ndarray, radius: int) -> np.ndarray:
    return np.pad(x, ((0, 0), (radius, radius), (radius, radius)), mode="reflect")


@pytest.mark.parametrize("std", [0.4, 1.0, 1.7])
def test_gaussian_blur_equals_numpy(std):
    radius = max(1, math.ceil(4 * std))
    offset = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (offset / std) ** 2)
    kernel = np.outer(weights, weights) / weights.sum() ** 2
    for image, got in zip(X, gaussian_blur(IMAGES, std).numpy(), strict=True):
        padded = mirrored(image, radius)
        for y, x in ((0, 0), (4, 7), (8, 11)):
            window = padded[:, y : y + 2 * radius + 1, x : x + 2 * radius + 1]
            np.testing.assert_allclose(got[:, y, x], (window * kernel).sum((1, 2)), rtol=1e-4)


@pytest.mark.parametrize("std", [0.8, 1.5])
def test_bilateral_filter_equals_numpy(std):
    radius = math.ceil(2 * std)
    got = bilateral(IMAGES, std, 0.3).numpy()
    for image, result in zip(X, got, strict=True):
        padded = mirrored(image, radius)
        for y, x in ((0, 0), (4, 7), (8, 11)):
            total, weights = np.zeros(3), 0.0
            for dy in range(-radius, radius + 1):
                for dx in range(-radius, radius + 1):
                    value = padded[:, y + radius + dy, x + radius + dx]
                    near = (dy * dy + dx * dx) / (2 * std**2)
                    apart = ((value - image[:, y, x]) ** 2).sum() / (2 * 0.3**2)
                    weight = math.exp(-near - apart)
                    total, weights = total + weight * value, weights + weight
            np.testing.assert_allclose(result[:, y, x], total / weights, rtol=1e-4)


def test_filters_leave_a_flat_image_and_strength_zero_alone():
    flat = torch.full((1, 3, 8, 8), 0.3)
    torch.testing.assert_close(gaussian_blur(flat, 1.0), flat)
    torch.testing.assert_close(bilateral(flat, 1.0), flat)
    assert gaussian_blur(IMAGES, 0) is bilateral(IMAGES, 0) is IMAGES
    tiny = torch.rand(1, 3, 3, 3)  # a radius larger than the image mirrors again and again
    assert gaussian_blur(tiny, 3.0).shape == tiny.shape


def test_laplacian_normalization_equals_the_tutorials():
    """DeepDream's: split with a 5 × 5 binomial kernel, each band over its root mean square."""
    gradient = RNG.standard_normal((1, 1, 16, 20))
    row = np.array([1, 4, 6, 4, 1]) / 16
    bands, current = [], gradient[0, 0]
    for _ in range(2):
        low = shrink(current, row)
        bands.append(current - grow(low, row, current.shape))
        current = low
    bands.append(current)
    units = [band / np.sqrt((band**2).mean()) for band in bands]
    expected = units[-1]
    for unit in reversed(units[:-1]):
        expected = grow(expected, row, unit.shape) + unit
    got = normalize_laplacian(torch.from_numpy(gradient), 2)[0, 0].numpy()
    np.testing.assert_allclose(got, expected, atol=1e-9)


def shrink(x: np.ndarray, row: np.ndarray) -> np.ndarray:
    padded = np.pad(x, 2)
    out = np.empty(((x.shape[0] + 1) // 2, (x.shape[1] + 1) // 2))
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = row @ padded[2 * i : 2 * i + 5, 2 * j : 2 * j + 5] @ row
    return out


def grow(x: np.ndarray, row: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Zeros between the values, then the same kernel times four."""
    spread = np.zeros((shape[0] + 4, shape[1] + 4))
    spread[2 : 2 * x.shape[0] + 1 : 2, 2 : 2 * x.shape[1] + 1 : 2] = x
    out = np.empty(shape)
    for i in range(shape[0]):
        for j in range(shape[1]):
            out[i, j] = 4 * row @ spread[i : i + 5, j : j + 5] @ row
    return out


def test_a_gradient_that_is_zero_stays_zero():
    assert not normalize_laplacian(torch.zeros(1, 3, 16, 16), 4).any()


def test_every_name_of_the_spectrum_is_read():
    for name in NAMES:
        transforms, others = parse_regularizers([name])
        assert transforms.identity == (name == "none" or bool(others))
    _, others = parse_regularizers(["tv:0.25", "gradient-laplacian"])
    assert others == (Regularizer("tv", 0.25), Regularizer("gradient-laplacian", 4))
    assert [str(other) for other in others] == ["tv:0.25", "gradient-laplacian:4"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["tvv"], "unknown regularizer 'tvv'; choose from none, transforms, pad"),
        (["tv:much"], "'tv:much': the strength .* must be a number from 0"),
        (["tv:nan"], "'tv:nan'"),
        (["tv:-1"], "'tv:-1'"),
        (["jitter:2.5"], "'jitter:2.5': .*whole number"),
        (["none:1"], "'none' takes no number"),
        (["none", "tv"], "'none' goes with no others"),
        (["tv", "tv:2"], "'tv' is named twice"),
        (["transforms", "jitter:4"], "'jitter' is part of 'transforms'"),
        (["scale:0.5"], "'scale:0.5'"),
    ],
)
def test_bad_names_are_refused_with_the_offending_part(names, message):
    with pytest.raises(RecipeError, match=message):
        parse_regularizers(names)


def test_total_variation_has_the_gradient_of_its_definition():
    x = torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(0)).requires_grad_()
    apart = (x[..., 1:] - x[..., :-1]).abs().sum((1, 2, 3))
    expected = (apart + (x[:, :, 1:] - x[:, :, :-1]).abs().sum((1, 2, 3))) / x[0].numel()
    found = total_variation(x)
    torch.testing.assert_close(found, expected)
    weights = torch.tensor([0.5, -2.0])
    grads = [torch.autograd.grad((v * weights).sum(), x)[0] for v in (found, expected)]
    torch.testing.assert_close(*grads)
