"""Image and gradient filters: Gaussian blur, bilateral filter, Laplacian normalization.

All take and return (B, C, H, W). Edges continue by mirroring.

Blur of the image (Nguyen et al. 2015) and of the gradient (Øygård 2015), the bilateral filter
(Tyka 2016) and Laplacian-pyramid normalization of the gradient (Mordvintsev et al. 2015, the
DeepDream tutorial) are the frequency penalties of Olah et al. 2017.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

RANGE_STD = 0.1
"""Of the bilateral filter: how different colours may be, in [0, 1] RGB, to be averaged."""

_BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)


def gaussian_blur(images: Tensor, std: float) -> Tensor:
    """Blur with a Gaussian of `std` pixels, cut off at 4 of them."""
    if std <= 0:
        return images
    radius = max(1, math.ceil(4 * std))
    offset = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    weights = torch.exp(-0.5 * (offset / std) ** 2)
    weights = weights / weights.sum()
    channels = images.shape[1]
    across = weights.view(1, 1, 1, -1).expand(channels, -1, -1, -1)
    images = F.conv2d(_mirror(images, radius, 0), across, groups=channels)
    return F.conv2d(_mirror(images, 0, radius), across.transpose(2, 3), groups=channels)


def bilateral(images: Tensor, std: float, range_std: float = RANGE_STD) -> Tensor:
    """Average over neighbours that are near in space and in colour (Tomasi & Manduchi 1998).

    The window reaches 2 `std` pixels; the distance in colour is Euclidean in RGB.
    """
    if std <= 0:
        return images
    radius = max(1, math.ceil(2 * std))
    height, width = images.shape[2:]
    padded = _mirror(images, radius, radius)
    total, weights = torch.zeros_like(images), torch.zeros_like(images[:, :1])
    for dy in range(2 * radius + 1):
        for dx in range(2 * radius + 1):
            moved = padded[:, :, dy : dy + height, dx : dx + width]
            apart = (moved - images).square().sum(1, keepdim=True)
            near = ((dy - radius) ** 2 + (dx - radius) ** 2) / (2 * std**2)
            weight = torch.exp(-near - apart / (2 * range_std**2))
            total, weights = total + weight * moved, weights + weight
    return total / weights


def normalize_laplacian(gradient: Tensor, levels: int) -> Tensor:
    """Divide each level of the gradient's Laplacian pyramid by its root mean square, per image."""
    bands = []
    for _ in range(levels):
        if min(gradient.shape[2:]) < 4:
            break
        low = _shrink(gradient)
        bands.append(gradient - _grow(low, gradient.shape[2:]))
        gradient = low
    bands.append(gradient)
    result = _unit(bands[-1])
    for band in reversed(bands[:-1]):
        result = _grow(result, band.shape[2:]) + _unit(band)
    return result


def _unit(band: Tensor) -> Tensor:
    rms = band.square().mean((1, 2, 3), keepdim=True).sqrt()
    return torch.where(rms > 0, band / rms.clamp(min=1e-30), 0)


def _shrink(images: Tensor) -> Tensor:
    """Half the size, through the 5 × 5 binomial kernel."""
    return F.conv2d(F.pad(images, (2, 2, 2, 2)), _kernel(images), stride=2, groups=images.shape[1])


def _grow(images: Tensor, size: torch.Size) -> Tensor:
    """Twice the size: the adjoint of `_shrink`, times four."""
    extra = [size[i] - (2 * images.shape[2 + i] - 1) for i in (0, 1)]
    return F.conv_transpose2d(
        images,
        4 * _kernel(images),
        stride=2,
        padding=2,
        output_padding=(extra[0], extra[1]),
        groups=images.shape[1],
    )


def _kernel(images: Tensor) -> Tensor:
    row = torch.tensor(_BINOMIAL, device=images.device, dtype=images.dtype)
    kernel = torch.outer(row, row) / row.sum() ** 2
    return kernel.expand(images.shape[1], 1, 5, 5)


def _mirror(images: Tensor, x: int, y: int) -> Tensor:
    """Pad by mirroring without repeating the edge; as often as it takes on small images."""
    while x or y:
        dx, dy = min(x, images.shape[3] - 1), min(y, images.shape[2] - 1)
        images = F.pad(images, (dx, dx, dy, dy), mode="reflect")
        x, y = x - dx, y - dy
    return images
