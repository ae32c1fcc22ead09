"""Images as decorrelated Fourier coefficients (Olah et al. 2017, "Preconditioning").

A render's variable is its spectrum in a decorrelated colour space: gradient steps of equal size
there move all spatial frequencies and colour directions of natural images alike.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from atlas.optvis.recipe import Render, stream

START_STD = 0.01
"""Standard deviation of the starting coefficients (Lucid, `param.spatial.fft_image`)."""

COLOUR_CORRELATION = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))
"""Square root of the colour covariance of ImageNet (Lucid, `param.color`); rows are R, G, B."""


def start_spectrum(renders: tuple[Render, ...], size: int) -> Tensor:
    """Starting coefficients, each render's from its own seed.

    Returns:
        (B, 3, size, size // 2 + 1, 2) float32, real and imaginary parts, N(0, 0.01²).
    """
    shape = (3, size, size // 2 + 1, 2)
    draws = [stream(r.seed, "start").standard_normal(shape, dtype=np.float32) for r in renders]
    return torch.from_numpy(np.stack(draws) * np.float32(START_STD))


def frequency_scale(size: int, device: torch.device | str = "cpu") -> Tensor:
    """1 / max(f, 1/size) on the rfft2 grid, (size, size // 2 + 1); f in cycles per pixel."""
    fy = torch.fft.fftfreq(size, device=device)[:, None]
    fx = torch.fft.rfftfreq(size, device=device)[None, :]
    frequency = torch.sqrt(fx * fx + fy * fy)
    return 1.0 / frequency.clamp(min=1.0 / size)


def colour_matrix(device: torch.device | str = "cpu") -> Tensor:
    """(3, 3) map from decorrelated colours to RGB logits, divided by its largest column norm."""
    matrix = torch.tensor(COLOUR_CORRELATION, device=device)
    normalized: Tensor = matrix / torch.linalg.vector_norm(matrix, dim=0).max()
    return normalized


class FourierImage:
    """Maps spectra to images: scale by 1/f, inverse FFT (orthonormal), colours, sigmoid."""

    def __init__(self, size: int, device: torch.device | str = "cpu") -> None:
        self.size = size
        self._scale = frequency_scale(size, device)[:, :, None]
        self._colours = colour_matrix(device)

    def __call__(self, spectrum: Tensor) -> Tensor:
        """(B, 3, S, S // 2 + 1, 2) coefficients to (B, 3, S, S) RGB in (0, 1)."""
        scaled = torch.view_as_complex(spectrum * self._scale)
        planes = torch.fft.irfft2(scaled, s=(self.size, self.size), norm="ortho")
        return torch.sigmoid(torch.einsum("rc,bcyx->bryx", self._colours, planes))


def to_uint8(images: Tensor) -> Tensor:
    """(B, 3, H, W) in [0, 1] to (B, H, W, 3) uint8, rounded: what is stored and scored."""
    return (images * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def from_uint8(images: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 to (B, 3, H, W) float32 in [0, 1]."""
    return images.permute(0, 3, 1, 2).to(torch.float32).div_(255).contiguous()
