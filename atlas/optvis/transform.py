"""Distill's random transforms as one affine warp per image and step.

Olah et al. 2017, appendix: pad 16, jitter 16, scale from a list, rotate from a list, jitter 8,
crop the padding. Each is an affine map of the plane, so one bilinear warp does all five. What
the warp uncovers beyond the image is grey (0.5), as padding is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

DRAWS = 6
"""Random numbers per image and step: two jitters of two, a scale, an angle."""


@dataclass(frozen=True)
class Transforms:
    """Ranges of the random transforms. Jitters in pixels (a window of so many pixels), scales as
    factors, angles in degrees."""

    jitter: int = 16
    scales: tuple[float, ...] = (1.0, 0.975, 1.025, 0.95, 1.05)
    angles: tuple[float, ...] = (-5.0, -4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
    jitter_after: int = 8

    def draw(self, rng: np.random.Generator, steps: int, size: int) -> NDArray[np.float32]:
        """The affine maps of one render for all its steps.

        Fewer steps draw a prefix of what more steps draw.

        Returns:
            (steps, 2, 3) float32, output to input coordinates in `grid_sample`'s units
            (-1 to 1 across the image).
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
        theta = np.concatenate([matrix, offset[:, :, None] * (2 / size)], axis=2)
        return theta.astype(np.float32)


def warp(images: Tensor, theta: Tensor) -> Tensor:
    """Warp each image by its own affine map, bilinear, grey beyond the edge.

    Args:
        images: (B, 3, H, W) in [0, 1].
        theta: (B, 2, 3), output to input coordinates.
    """
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    moved = F.grid_sample(
        images - 0.5, grid, mode="bilinear", padding_mode="zeros", align_corners=False
    )
    return moved + 0.5
