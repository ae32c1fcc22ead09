"""Optimizers against their definitions, and against each other where they coincide."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from atlas.optvis.colour import ARTICLE
from atlas.optvis.descend import Optimizer
from atlas.optvis.recipe import LEARNING_RATES, Recipe

SIZE = 32


def stepped(name: str, gradients: list[torch.Tensor], own: int | None = None, **more) -> list:
    """What one step adds to variables that are zero."""
    recipe = Recipe(size=SIZE, optimizer=name, parameterization="pixels", settle=0.0, **more)
    variables = [torch.zeros_like(g) for g in gradients]
    Optimizer(variables, recipe, own=own).step(gradients)
    return [v.double().numpy() for v in variables]


@pytest.fixture
def gradient() -> torch.Tensor:
    return torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(3))


def test_sgd_follows_the_gradient(gradient):
    (step,) = stepped("sgd", [gradient], learning_rate=0.5)
    np.testing.assert_allclose(step, 0.5 * gradient.numpy(), rtol=1e-6)


def test_adam_takes_its_first_step_by_the_sign(gradient):
    (step,) = stepped("adam", [gradient])
    np.testing.assert_allclose(step, 0.05 * np.sign(gradient.numpy()), rtol=1e-4)


def test_the_steepest_direction_under_linf_is_the_sign(gradient):
    (step,) = stepped("steepest-linf", [gradient])
    rate = LEARNING_RATES["steepest-linf"]
    np.testing.assert_allclose(step, rate * np.sign(gradient.numpy()), rtol=1e-6)


def test_the_steepest_direction_under_l2_has_the_stated_length(gradient):
    parts = [gradient, gradient[:, :, :16, :16].contiguous()]
    steps = stepped("steepest-l2", parts)
    for image in range(2):
        flat = np.concatenate([s[image].ravel() for s in steps])
        way = np.concatenate([g[image].numpy().ravel() for g in parts])
        assert np.sqrt((flat**2).mean()) == pytest.approx(0.05, rel=1e-5)
        assert flat @ way / np.linalg.norm(flat) / np.linalg.norm(way) == pytest.approx(1)


@pytest.mark.parametrize("decorrelate", [True, False])
def test_the_decorrelated_direction_is_gradient_ascent_in_decorrelated_space(gradient, decorrelate):
    """x = F⁻¹ s M c: the steepest step in c, carried over to x, is P g up to its length."""
    (step,) = stepped("steepest-decorrelated", [gradient], decorrelate=decorrelate)
    f = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.fftfreq(SIZE)[None])
    scale = 1 / np.maximum(f, 1 / SIZE)
    matrix = np.eye(3)
    if not decorrelate:
        matrix = np.array(ARTICLE) / np.linalg.norm(np.array(ARTICLE), axis=0).max()
    g = gradient.double().numpy()

    def linear(x, m):  # c ↦ x, which is its own transpose but for the colours
        return np.fft.ifft2(np.einsum("rc,bcyx->bryx", m, np.fft.fft2(x)) * scale).real

    inner = linear(g, matrix.T)  # gradient with respect to c
    expected = linear(inner / np.sqrt((inner**2).mean((1, 2, 3), keepdims=True)) * 0.05, matrix)
    np.testing.assert_allclose(step, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["steepest-l2", "steepest-decorrelated"])
def test_no_other_direction_of_its_length_gains_more(gradient, name):
    """By definition: compare with random directions of equal length in the same metric."""
    (step,) = stepped(name, [gradient[:1]])
    f = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.fftfreq(SIZE)[None])
    power = 1 / np.maximum(f, 1 / SIZE) ** 2 if "decorrelated" in name else np.ones((SIZE, SIZE))

    def length(x):  # √(xᵀP⁻¹x)
        return np.sqrt((np.abs(np.fft.fft2(x, norm="ortho")) ** 2 / power).sum())

    best = (step * gradient[:1].numpy()).sum() / length(step)
    rng = np.random.default_rng(0)
    for _ in range(20):
        other = np.fft.ifft2(np.fft.fft2(rng.standard_normal(step.shape)) * power).real + step
        assert (other * gradient[:1].numpy()).sum() / length(other) < best


def test_groups_have_a_length_of_their_own(gradient):
    shared = torch.randn(1, 3, 8, 8)
    steps = stepped("steepest-l2", [gradient, shared], own=1)
    assert np.sqrt((steps[1] ** 2).mean()) == pytest.approx(0.05, rel=1e-5)


@pytest.mark.parametrize("name", list(LEARNING_RATES))
def test_a_zero_gradient_moves_nothing(name):
    (step,) = stepped(name, [torch.zeros(2, 3, SIZE, SIZE)])
    assert not step.any()


@pytest.mark.parametrize("name", list(LEARNING_RATES))
def test_a_step_of_one_image_does_not_depend_on_another(gradient, name):
    (both,) = stepped(name, [gradient])
    (alone,) = stepped(name, [gradient[1:]])
    np.testing.assert_allclose(both[1:], alone, atol=1e-7)
