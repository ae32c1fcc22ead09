"""Colours: decorrelated ↔ RGB, and the matrix between them measured from photographs.

Olah et al. 2017, "Preconditioning": an image is described in a space in which the colours of
natural images are uncorrelated, rgb = sigmoid(M c) with M Mᵀ proportional to their covariance.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atlas.errors import DatasetError, RecipeError

Matrix = tuple[tuple[float, float, float], ...]

ARTICLE: Matrix = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))
"""Square root of the colour covariance of ImageNet (Lucid, `param.color`); rows are R, G, B."""

IDENTITY: Matrix = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
"""Colours as they are."""

_MARGIN = 1 / 1024
"""How far from 0 and 1 a photograph's values are kept, less than half an 8-bit step: a sigmoid
never gets there."""


def as_matrix(rows: NDArray[np.floating] | list[list[float]]) -> Matrix:
    """A 3 × 3 array as plain tuples.

    Raises:
        RecipeError: another shape, not finite, or without an inverse.
    """
    matrix = np.asarray(rows, dtype=np.float64)
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        raise RecipeError("a colour matrix is 3 × 3 finite numbers")
    if abs(np.linalg.det(matrix)) < 1e-12:
        raise RecipeError("a colour matrix must have an inverse")
    return tuple((float(a), float(b), float(c)) for a, b, c in matrix)


def normalized(matrix: Matrix, device: torch.device | str = "cpu") -> Tensor:
    """(3, 3) map from decorrelated colours to RGB logits, divided by its largest column norm."""
    tensor = torch.tensor(matrix, device=device)
    result: Tensor = tensor / torch.linalg.vector_norm(tensor, dim=0).max()
    return result


class Colours:
    """The map between colour planes (B, 3, H, W) and RGB in (0, 1): mix, then sigmoid."""

    def __init__(self, matrix: Matrix = ARTICLE, device: torch.device | str = "cpu") -> None:
        self.matrix = normalized(matrix, device)
        self.inverse_matrix = torch.linalg.inv(self.matrix.double()).float()

    def __call__(self, planes: Tensor) -> Tensor:
        return torch.sigmoid(torch.einsum("rc,bcyx->bryx", self.matrix, planes))

    def inverse(self, images: Tensor) -> Tensor:
        """Planes whose image is `images` (values at the very ends moved in by 1/1024)."""
        logits = torch.logit(images.clamp(_MARGIN, 1 - _MARGIN))
        return torch.einsum("cr,bryx->bcyx", self.inverse_matrix, logits)


@dataclass(frozen=True)
class ColourStatistics:
    """Second-order statistics of RGB in [0, 1] over all pixels of a dataset, each (3,) or (3, 3).

    `cholesky` is the lower triangular L with L Lᵀ = `covariance`.
    """

    images: int
    pixels: int
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]

    @property
    def correlation(self) -> NDArray[np.float64]:
        """Covariance of each pair divided by both standard deviations."""
        std = np.sqrt(np.diag(self.covariance))
        result: NDArray[np.float64] = self.covariance / np.outer(std, std)
        return result

    @property
    def cholesky(self) -> NDArray[np.float64]:
        """Raises DatasetError where the covariance has none: photographs without colours."""
        try:
            factor: NDArray[np.float64] = np.linalg.cholesky(self.covariance).astype(np.float64)
        except np.linalg.LinAlgError as error:
            raise DatasetError(
                "these photographs' colours do not vary independently (are they grey?); "
                "their covariance has no Cholesky factor"
            ) from error

        return factor

    def as_json(self) -> dict[str, object]:
        """Plain data for a file; ``matrix`` is what a recipe takes."""
        return {
            "images": self.images,
            "pixels": self.pixels,
            "mean": self.mean.tolist(),
            "covariance": self.covariance.tolist(),
            "correlation": self.correlation.tolist(),
            "matrix": self.cholesky.tolist(),
        }


def measure(images: Iterable[NDArray[np.uint8]]) -> ColourStatistics:
    """Colour statistics of images (H, W, 3) uint8, every pixel weighing the same.

    Sums are exact integers, so the order of the images does not matter.

    Raises:
        DatasetError: there are none.
    """
    count = pixels = 0
    first = np.zeros(3, dtype=np.int64)
    second = np.zeros((3, 3), dtype=np.int64)
    for image in images:
        values = image.reshape(-1, 3).astype(np.int64)
        first += values.sum(0)
        second += values.T @ values
        count, pixels = count + 1, pixels + len(values)
    if not pixels:
        raise DatasetError("there are no photographs to measure")
    mean = first / pixels
    covariance = second / pixels - np.outer(mean, mean)
    return ColourStatistics(count, pixels, mean / 255, covariance / 255**2)
