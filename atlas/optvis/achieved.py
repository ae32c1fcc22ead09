"""What a finished render achieved: numbers of the 8-bit image, whatever made it.

robust          mean score under 8 fresh draws of Distill's transforms, from a stream of the
                render's own that optimization never saw
saturation      share of values ≤ 3 or ≥ 252
high_frequency  share of the power, without the mean, above 1/4 cycle per pixel
diversity       1 − mean cosine of its Gram matrix with those of the other images of its set
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from atlas.optvis.recipe import stream
from atlas.optvis.transform import Transforms

DRAWS = 8
DARK, BRIGHT = 3, 252
HIGH = 0.25
"""Cycles per pixel: half of what an image can hold."""


@dataclass(frozen=True)
class Achieved:
    """See the module; `diversity` is None outside a diverse set."""

    robust: float
    saturation: float
    high_frequency: float
    diversity: float | None = None

    def as_json(self) -> dict[str, float | None]:
        """Plain data, for the store."""
        return asdict(self)


def robust_scores(
    images: Tensor, seeds: Sequence[int], score: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Mean score (B,) under fresh transforms.

    Args:
        images: (B, 3, S, S) in [0, 1].
        score: scores (B,) of images warped by given maps (B, 2, 3).
    """
    size = images.shape[2]
    draws = [Transforms().draw(stream(seed, "fresh"), DRAWS, size) for seed in seeds]
    thetas = torch.from_numpy(np.stack(draws, axis=1)).to(images.device)
    return torch.stack([score(images, theta) for theta in thetas]).mean(0)


def saturation(images: Tensor) -> Tensor:
    """Share of values that are nearly black or white, (B,), for (B, H, W, 3) uint8."""
    extreme = (images <= DARK) | (images >= BRIGHT)
    return extreme.flatten(1).float().mean(1)


def high_frequency(images: Tensor) -> Tensor:
    """Share of power above `HIGH`, (B,), for (B, 3, H, W): all three colours together.

    An image of one colour has no power and counts as 0.
    """
    height, width = images.shape[2:]
    centred = images.double() - images.double().mean((2, 3), keepdim=True)
    power = torch.fft.fft2(centred).abs().square().sum(1)
    fy = torch.fft.fftfreq(height, device=images.device)[:, None]
    fx = torch.fft.fftfreq(width, device=images.device)[None, :]
    high = (fx * fx + fy * fy).sqrt() > HIGH
    total = power.sum((1, 2))
    share = (power * high).sum((1, 2)) / total.clamp(min=1e-30)
    return torch.where(total > 1e-12, share, 0).float()
