"""Random views of a batch of images, drawn for every image and computed for all at once."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mini_model import normalize, to_rgb
from torch import Tensor

# The recipe of googlenet-mini (its model card).
AREA = (0.6, 1.0)
LOG_ASPECT = 0.2
BRIGHTNESS = (0.8, 1.2)
COLOUR = 0.05
NOISE = 0.10


def _uniform(low: float, high: float, *shape: int, like: Tensor) -> Tensor:
    return torch.empty(shape, device=like.device).uniform_(low, high)


def random_crops(x: Tensor, size: int) -> Tensor:
    """Random resized crops (B, C, size, size) of x (B, C, H, W), mirrored with even odds.

    A crop covers 60–100 % of the image's area at an aspect of e^±0.2. One affine grid does
    cropping, resizing and mirroring together.
    """
    B = len(x)
    area = _uniform(*AREA, B, like=x)
    stretch = _uniform(-LOG_ASPECT / 2, LOG_ASPECT / 2, B, like=x).exp()
    width = (area.sqrt() * stretch).clamp(max=1)
    height = (area.sqrt() / stretch).clamp(max=1)
    centre_x = (1 - width) * _uniform(-1, 1, B, like=x)
    centre_y = (1 - height) * _uniform(-1, 1, B, like=x)
    mirror = 1 - 2 * torch.randint(2, (B,), device=x.device)
    theta = x.new_zeros(B, 2, 3)
    theta[:, 0, 0], theta[:, 0, 2] = width * mirror, centre_x
    theta[:, 1, 1], theta[:, 1, 2] = height, centre_y
    grid = F.affine_grid(theta, [B, x.shape[1], size, size], align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def random_colours(x: Tensor) -> Tensor:
    """Brightness, a shift of each colour, and Gaussian noise of a strength drawn per image.

    Values may leave [0, 1]: clipping would take the noise from dark and bright places only.
    """
    B = len(x)
    x = x * _uniform(*BRIGHTNESS, B, 1, 1, 1, like=x)
    x = x + _uniform(-COLOUR, COLOUR, B, 3, 1, 1, like=x)
    return x + torch.randn_like(x) * _uniform(0, NOISE, B, 1, 1, 1, like=x)


@torch.no_grad()
def augmented_batch(images: Tensor, size: int) -> Tensor:
    """Bytes (B, H, W, 3) to the network's input (B, 3, size, size), augmented anew each time.

    Draws from PyTorch's global generator of the images' device.
    """
    return normalize(random_colours(random_crops(to_rgb(images), size)))
