"""What is reported of a finished render, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from atlas.optvis.achieved import DRAWS, high_frequency, robust_scores, saturation
from atlas.optvis.optimize import optimize
from atlas.optvis.parameterize import from_uint8
from atlas.optvis.recipe import Recipe, stream
from atlas.optvis.subject import diverse, renders_of
from atlas.optvis.syntax import parse_objective
from atlas.optvis.transform import Transforms, warp
from atlas.units import Unit

RECIPE = Recipe(size=48, steps=8)


def test_saturation_counts_values_near_the_ends():
    image = np.full((2, 4, 5, 3), 128, dtype=np.uint8)
    image[0, 0, 0] = (3, 4, 252)
    image[1, :2] = (0, 251, 255)
    expected = [2 / 60, 20 / 60]
    assert saturation(torch.from_numpy(image)).tolist() == pytest.approx(expected)


def test_high_frequency_share_of_waves():
    x = np.arange(64)
    slow, fast = np.sin(2 * np.pi * 8 * x / 64), np.sin(2 * np.pi * 24 * x / 64)
    waves = [0.5 + 0.2 * slow, 0.5 + 0.2 * fast, 0.5 + 0.1 * slow + 0.2 * fast, 0.5 + 0 * slow]
    images = np.stack([np.broadcast_to(w, (3, 64, 64)) for w in waves])
    got = high_frequency(torch.from_numpy(images)).tolist()
    assert got == pytest.approx([0, 1, 0.8, 0], abs=1e-6)


def test_high_frequency_share_equals_numpy():
    images = np.random.default_rng(0).random((2, 3, 33, 40))
    power = np.abs(np.fft.fft2(images)) ** 2
    power[:, :, 0, 0] = 0
    high = np.hypot(np.fft.fftfreq(33)[:, None], np.fft.fftfreq(40)[None]) > 0.25
    expected = (power * high).sum((1, 2, 3)) / power.sum((1, 2, 3))
    assert high_frequency(torch.from_numpy(images)).tolist() == pytest.approx(list(expected))


def test_robust_activation_is_the_mean_over_fresh_transforms(toy):
    (result,) = optimize(toy, renders_of(Unit("things", 4), ("positive",)), RECIPE)
    image = from_uint8(torch.from_numpy(result.image[None]))
    thetas = Transforms().draw(stream(result.render.seed, "fresh"), DRAWS, 48)
    scores = [
        float(toy.taps(warp(image, torch.from_numpy(t[None])), "things")[0, 4].relu().mean())
        for t in thetas
    ]
    assert result.achieved.robust == pytest.approx(np.mean(scores), rel=1e-4)
    used = Transforms().draw(stream(result.render.seed, "transforms"), DRAWS, 48)
    assert not np.array_equal(used, thetas)


def test_robust_scores_do_not_depend_on_the_batch():
    images = torch.rand(3, 3, 40, 40)

    def score(x, theta):
        return warp(x, theta).square().mean((1, 2, 3))

    both = robust_scores(images, [1, 2, 3], score)
    torch.testing.assert_close(robust_scores(images[1:2], [2], score), both[1:2])


def test_diversity_is_one_less_the_mean_cosine_of_gram_matrices(toy):
    aims = diverse(parse_objective("things:4", toy), 3)
    results = optimize(toy, [*aims, *renders_of(Unit("things", 5), ("positive",))], RECIPE)
    images = from_uint8(torch.from_numpy(np.stack([r.image for r in results[:3]])))
    a = toy.taps(images, "things").flatten(2).double().numpy()
    gram = np.einsum("kcn,kdn->kcd", a, a).reshape(3, -1)
    gram /= np.linalg.norm(gram, axis=1, keepdims=True)
    cosines = gram @ gram.T
    for i in range(3):
        others = [cosines[i, j] for j in range(3) if j != i]
        assert results[i].achieved.diversity == pytest.approx(1 - np.mean(others), rel=1e-3)
    assert results[3].achieved.diversity is None
