"""Distill's random transforms as one affine warp per image and step.

Olah et al. 2017, appendix: pad 16, jitter 16, scale from a list, rotate from a list, jitter 8,
crop the padding. Each is an affine map of the plane, so one bilinear warp does all five. What
the warp uncovers beyond the image is grey (0.5), as padding is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

DRAWS = 6
"""Random numbers per image and step: two jitters of two, a scale, an angle."""


@dataclass(frozen=True)
class Transforms:
    """Ranges of the random transforms. Jitters in pixels (a window of so many pixels), scales as
    factors, angles in degrees. `pad` is a grey border in pixels that the network gets to see;
    the recipe's own padding is cropped again and so needs none."""

    jitter: int = 16
    scales: tuple[float, ...] = (1.0, 0.975, 1.025, 0.95, 1.05)
    angles: tuple[float, ...] = (-5.0, -4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
    jitter_after: int = 8
    pad: int = 0

    @property
    def identity(self) -> bool:
        """Whether these change nothing."""
        return self == NO_TRANSFORMS

    def seen(self, size: int) -> int:
        """Side in pixels of what the network sees of an image of side `size`."""
        return size + 2 * self.pad

    def draw(self, rng: np.random.Generator, steps: int, size: int) -> NDArray[np.float32]:
        """The affine maps of one render for all its steps.

        Fewer steps draw a prefix of what more steps draw.

        Returns:
            (steps, 2, 3) float32, output to input coordinates in `grid_sample`'s units
            (-1 to 1 across the image, and across what is seen of it).
        """
        u = rng.random((steps, DRAWS))
        shift = np.floor(u[:, 0:2] * (self.jitter + 1)) - self.jitter / 2
        scale = np.asarray(self.scales)[(u[:, 2] * len(self.scales)).astype(int)]
        angle = np.asarray(self.angles)[(u[:, 3] * len(self.angles)).astype(int)]
        after = np.floor(u[:, 4:6] * (self.jitter_after + 1)) - self.jitter_after / 2
        # An output pixel p is looked up at R(-θ)/s · (p + after) + shift.
        radians = angle * (math.pi / 180)
        cos, sin = np.cos(radians) / scale, np.sin(radians) / scale
        matrix = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], -2)
        offset = np.einsum("sij,sj->si", matrix, after) + shift
        linear = matrix * (self.seen(size) / size)
        theta = np.concatenate([linear, offset[:, :, None] * (2 / size)], axis=2)
        return theta.astype(np.float32)


NO_TRANSFORMS = Transforms(0, (1.0,), (0.0,), 0)
"""The image as it is."""


def warp(images: Tensor, theta: Tensor, side: int | None = None) -> Tensor:
    """Warp each image by its own affine map, bilinear, grey beyond the edge.

    Args:
        images: (B, 3, H, W) in [0, 1].
        theta: (B, 2, 3), output to input coordinates.
        side: of the result, in pixels; by default that of the images.
    """
    height, width = images.shape[2:]
    if side is not None:
        height = width = side
    grid = _grid(theta, height, width)
    moved = F.grid_sample(
        images - 0.5, grid, mode="bilinear", padding_mode="zeros", align_corners=False
    )
    return moved + 0.5


def _grid(theta: Tensor, height: int, width: int) -> Tensor:
    """Where each output pixel is looked up, (B, H, W, 2).

    `F.affine_grid`, without its product of matrices of three columns: on a CPU a tenth of the time.
    """
    x, y = (
        (torch.arange(n, device=theta.device, dtype=theta.dtype) * 2 + 1) / n - 1
        for n in (width, height)
    )
    rows = theta[:, :, 1:2] * y + theta[:, :, 2:3]
    grid = theta[:, :, 0, None, None] * x + rows[:, :, :, None]
    return grid.permute(0, 2, 3, 1)
