"""Parameterizations and colours against NumPy, torch-lucent and their own inverses."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas.errors import DatasetError, RecipeError
from atlas.optvis import colour, spectrum
from atlas.optvis.colour import ARTICLE, IDENTITY, Colours
from atlas.optvis.parameterize import (
    Fourier,
    LaplacianPyramid,
    PhaseOnly,
    Pixels,
    Shared,
    from_uint8,
    parameterization_of,
    to_uint8,
)
from atlas.optvis.recipe import Recipe

RNG = np.random.default_rng(4)


def smooth_photos(count: int, size: int) -> list[np.ndarray]:
    """Photographs in the way of real ones: 1/f noise with correlated colours."""
    fy, fx = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]
    falling = 1 / np.maximum(np.hypot(fy, fx), 1 / size)
    photos = []
    for _ in range(count):
        noise = np.fft.rfft2(RNG.standard_normal((3, size, size)))
        planes = np.fft.irfft2(noise * falling, s=(size, size)) * 0.01
        rgb = np.einsum("rc,cyx->yxr", np.array(ARTICLE), planes) * 40
        photos.append((255 / (1 + np.exp(-rgb))).round().astype(np.uint8))
    return photos


SPECTRUM = spectrum.measure(smooth_photos(40, 32), 32)


def kinds(size: int, colours: Colours) -> dict:
    return {
        "pixels": Pixels(size, colours),
        "fourier": Fourier(size, colours),
        "fourier, decay 1.5": Fourier(size, colours, 1.5),
        "laplacian": LaplacianPyramid(size, colours),
    }


def article_matrix() -> np.ndarray:
    matrix = np.array(ARTICLE)
    return matrix / np.linalg.norm(matrix, axis=0).max()


def to_rgb(planes: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.einsum("rc,cyx->ryx", matrix, planes)))


@pytest.mark.parametrize("decay", [0.0, 1.0, 1.7])
@pytest.mark.parametrize("size", [32, 33, 48])
def test_fourier_equals_numpy(size, decay):
    parameterization = Fourier(size, Colours(), decay)
    (variable,) = parameterization.start([5])
    ours = parameterization([variable])[0].numpy()
    coefficients = variable[0, ..., 0].numpy() + 1j * variable[0, ..., 1].numpy()
    fy, fx = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]
    scaled = coefficients / np.maximum(np.hypot(fx, fy), 1 / size) ** decay
    planes = np.fft.irfft2(scaled, s=(size, size), axes=(1, 2), norm="ortho")
    np.testing.assert_allclose(ours, to_rgb(planes, article_matrix()), atol=1e-5)


def test_fourier_equals_lucents():
    """The same coefficients give the same image, but for lucent's division of planes by 4."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lucent.optvis import param
    (coefficients,), image = param.image(64)
    theirs = torch.logit(image().detach()) * 4
    parameterization = Fourier(64, Colours())
    ours = torch.logit(parameterization([coefficients.detach()]))
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_pixels_equal_numpy_with_and_without_decorrelation():
    for matrix, expected in ((ARTICLE, article_matrix()), (IDENTITY, np.eye(3))):
        parameterization = Pixels(32, Colours(matrix))
        variables = parameterization.start([5])
        planes = variables[0][0].numpy()
        got = parameterization(variables)[0].numpy()
        np.testing.assert_allclose(got, to_rgb(planes, expected), atol=1e-6)


def bilinear(plane: np.ndarray, size: int) -> np.ndarray:
    """Enlarge one axis after the other, half-pixel centres, edges repeated."""
    own = plane.shape[0]
    at = np.clip((np.arange(size) + 0.5) * own / size - 0.5, 0, own - 1)
    low = np.floor(at).astype(int)
    high, t = np.minimum(low + 1, own - 1), at - np.floor(at)
    weights = np.zeros((size, own))
    np.add.at(weights, (np.arange(size), low), 1 - t)
    np.add.at(weights, (np.arange(size), high), t)
    return weights @ plane @ weights.T


@pytest.mark.parametrize("size", [32, 44])
def test_laplacian_pyramid_equals_numpy(size):
    parameterization = LaplacianPyramid(size, Colours())
    variables = parameterization.start([5])
    assert [v.shape[2] for v in variables] == [size, size // 2, size // 4, size // 8]
    planes = sum(np.stack([bilinear(p, size) for p in v[0].double().numpy()]) for v in variables)
    np.testing.assert_allclose(parameterization.planes(variables)[0].numpy(), planes, atol=1e-5)


@pytest.mark.parametrize("size", [32, 33])
def test_maco_keeps_the_magnitudes_of_photographs(size):
    colours = Colours()
    magnitude = SPECTRUM.magnitude(size, colours)
    parameterization = PhaseOnly(size, colours, magnitude)
    (phase,) = parameterization.start([1])
    planes = parameterization.planes([phase])[0].double().numpy()
    got = np.abs(np.fft.rfft2(planes, norm="ortho"))
    expected = magnitude.numpy().copy()
    real = [(0, 0)]  # coefficients without an imaginary part hold r cos φ
    if size % 2 == 0:
        real += [(0, size // 2), (size // 2, 0), (size // 2, size // 2)]
    for y, x in real:
        expected[:, y, x] *= np.abs(np.cos(phase[0, :, y, x].numpy()))
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4)


def test_maco_takes_the_phases_of_a_photograph():
    colours = Colours()
    parameterization = PhaseOnly(32, colours, SPECTRUM.magnitude(32, colours))
    photo = from_uint8(torch.from_numpy(smooth_photos(1, 32)[0])[None])
    planes = colours.inverse(photo)
    again = parameterization.planes(parameterization.encode(planes))
    ours, theirs = np.fft.rfft2(again[0].numpy()), np.fft.rfft2(planes[0].numpy())
    inner = (slice(None), slice(1, 16), slice(1, 16))
    np.testing.assert_allclose(np.angle(ours[inner] / theirs[inner]), 0, atol=1e-2)


@pytest.mark.parametrize("decorrelate", [True, False])
@pytest.mark.parametrize("size", [32, 45])
def test_a_photograph_comes_back_from_its_variables(size, decorrelate):
    photo = torch.from_numpy(RNG.integers(0, 256, (2, size, size, 3), dtype=np.uint8))
    for name, one in kinds(size, Colours(ARTICLE if decorrelate else IDENTITY)).items():
        again = to_uint8(one(one.variables_of(from_uint8(photo))))
        assert torch.equal(again, photo), name


def test_start_follows_its_seed_and_has_the_stated_spread():
    for name, one in kinds(64, Colours()).items():
        both, second = one.start([1, 2]), one.start([2])
        assert float(both[0].std()) == pytest.approx(0.01, rel=0.03), name
        assert not torch.equal(both[0][0], both[0][1])
        assert all(torch.equal(b[1], s[0]) for b, s in zip(both, second, strict=True))


def test_shared_planes_are_added_to_their_group_alone():
    base = Pixels(32, Colours())
    shared = Shared(base, [[0, 2]], 3)
    variables = shared.start([1, 2, 3])
    assert shared.own == 1
    torch.testing.assert_close(shared.planes(variables), base.planes(variables))
    variables[1] += 0.25
    difference = shared.planes(variables) - base.planes(variables)
    torch.testing.assert_close(difference[[0, 2]], torch.full((2, 3, 32, 32), 0.25))
    assert float(difference[1].abs().max()) == 0
    moves = shared.owners(torch.tensor([True, True, False]))
    assert moves[0].tolist() == [True, True, False]
    assert moves[1].tolist() == [False]


def test_recipes_choose_the_parameterization():
    for name, kind in (("pixels", Pixels), ("fourier", Fourier), ("laplacian", LaplacianPyramid)):
        assert type(parameterization_of(Recipe(size=32, parameterization=name))) is kind
    maco = Recipe(size=32, parameterization="maco", spectrum=SPECTRUM)
    assert type(parameterization_of(maco)) is PhaseOnly
    plain = parameterization_of(Recipe(size=32, decorrelate=False))
    assert torch.equal(plain.colours.matrix, torch.eye(3))


def test_colour_statistics_equal_numpy():
    photos = smooth_photos(5, 24) + smooth_photos(2, 31)
    got = colour.measure(iter(photos))
    pixels = np.concatenate([p.reshape(-1, 3) for p in photos]) / 255
    np.testing.assert_allclose(got.mean, pixels.mean(0), rtol=1e-9)
    np.testing.assert_allclose(got.covariance, np.cov(pixels.T, bias=True), rtol=1e-7)
    np.testing.assert_allclose(got.correlation, np.corrcoef(pixels.T), rtol=1e-7)
    np.testing.assert_allclose(got.cholesky @ got.cholesky.T, got.covariance, rtol=1e-9)
    assert np.triu(got.cholesky, 1).max() == 0
    assert (got.images, got.pixels) == (7, len(pixels))


def test_decorrelated_colours_are_uncorrelated():
    """Through the measured matrix, the colours the statistics were taken of become white."""
    pixels = RNG.standard_normal((20000, 3)) @ RNG.standard_normal((3, 3)) * 20 + 128
    image = pixels.clip(0, 255).astype(np.uint8).reshape(200, 100, 3)
    got = colour.measure([image])
    white = (image.reshape(-1, 3) / 255 - got.mean) @ np.linalg.inv(got.cholesky).T
    np.testing.assert_allclose(np.cov(white.T), np.eye(3), atol=1e-3)


def test_grey_photographs_have_no_cholesky_factor():
    grey = np.repeat(RNG.integers(0, 256, (8, 8, 1), dtype=np.uint8), 3, axis=2)
    with pytest.raises(DatasetError, match="grey"):
        _ = colour.measure([grey]).cholesky
    with pytest.raises(DatasetError, match="no photographs"):
        colour.measure([])


@pytest.mark.parametrize("bad", [np.eye(2), np.ones((3, 3)), np.full((3, 3), np.nan)])
def test_a_colour_matrix_must_be_usable(bad):
    with pytest.raises(RecipeError, match="colour matrix"):
        colour.as_matrix(bad)


def test_the_spectrum_equals_its_definition():
    """At its own size, without colours: root mean square windowed coefficients of logits."""
    photos = smooth_photos(6, 16)
    got = spectrum.measure(iter(photos), 16).magnitude(16, Colours(IDENTITY)).numpy()
    x = np.clip(np.stack(photos).transpose(0, 3, 1, 2) / 255, 1 / 1024, 1023 / 1024)
    logits = np.log(x / (1 - x))
    means = logits.mean((2, 3), keepdims=True)
    window = np.outer(*[0.5 - 0.5 * np.cos(2 * np.pi * np.arange(16) / 16)] * 2)
    window /= np.sqrt((window**2).mean())
    power = np.abs(np.fft.rfft2((logits - means) * window, norm="ortho")) ** 2
    expected = np.sqrt(power.mean(0))
    expected[:, 0, 0] = np.sqrt((means**2).mean(0)[:, 0, 0]) * 16
    np.testing.assert_allclose(got, expected, rtol=2e-3)


def test_the_spectrum_at_another_size_is_that_of_a_larger_crop():
    """1/f photographs: magnitudes at equal cycles per pixel do not depend on the crop."""
    magnitude = SPECTRUM.magnitude(96, Colours(IDENTITY)).numpy()
    own = SPECTRUM.magnitude(32, Colours(IDENTITY)).numpy()
    np.testing.assert_allclose(magnitude[:, 3:45:3, 3:45:3], own[:, 1:15, 1:15], rtol=1e-3)
    f = np.hypot(np.fft.fftfreq(96)[:, None], np.fft.rfftfreq(96)[None])
    inside = (f > 0.02) & (f < 0.3)
    slope = np.polyfit(np.log(f[inside]), np.log(magnitude.mean(0)[inside]), 1)[0]
    assert slope == pytest.approx(-1, abs=0.25)


def test_spectra_mix_with_the_colour_matrix():
    """Planes of photographs under another matrix have the power the spectrum foretells."""
    photos, colours = smooth_photos(30, 32), Colours()
    images = from_uint8(torch.from_numpy(np.stack(photos)))
    planes = colours.inverse(images).double().numpy()
    planes -= planes.mean((2, 3), keepdims=True)
    window = np.outer(*[np.hanning(33)[:32]] * 2)
    window /= np.sqrt((window**2).mean())
    power = (np.abs(np.fft.rfft2(planes * window, norm="ortho")) ** 2).mean(0)
    got = spectrum.measure(photos, 32).magnitude(32, colours).numpy()
    np.testing.assert_allclose(got[:, 1:], np.sqrt(power)[:, 1:], rtol=2e-3)


def test_eight_bit_images_round_trip():
    images = torch.rand(2, 3, 5, 4)
    eight = to_uint8(images)
    assert eight.shape == (2, 5, 4, 3)
    assert float((from_uint8(eight) - images).abs().max()) <= 0.5 / 255 + 1e-6
    assert torch.equal(to_uint8(from_uint8(eight)), eight)


@given(st.integers(0, 2**32 - 1), st.integers(32, 40))
@settings(max_examples=20, deadline=None)
def test_images_lie_between_black_and_white(seed, size):
    for one in kinds(size, Colours()).values():
        image = one([v * 1e3 for v in one.start([seed])])
        assert 0 <= float(image.min()) <= float(image.max()) <= 1
