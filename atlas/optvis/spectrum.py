"""The power spectrum of photographs, which MACO holds an image to (Fel et al. 2023).

Measured over crops, as the 3 × 3 cross-power of red, green and blue logits at every frequency.
From that follows the spectrum of any linear mix of them, whatever colour matrix a recipe has.
Crops are weighed with a Hann window: without one their edges, which do not meet, would show as a
bright cross.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from atlas.errors import DatasetError
from atlas.optvis.colour import IDENTITY, Colours


@dataclass(frozen=True)
class Spectrum:
    """Mean cross-power of RGB logits of crops, (3, 3, S, S // 2 + 1), on the rfft2 grid
    (orthonormal scaling), and the mean square of their means, (3, 3). Equal when digests are."""

    power: NDArray[np.float32] = field(compare=False, repr=False)
    mean_square: NDArray[np.float32] = field(compare=False, repr=False)
    sha256: str = ""

    def __post_init__(self) -> None:
        size = self.power.shape[2] if self.power.ndim == 4 else 0
        if self.power.shape != (3, 3, size, size // 2 + 1) or self.mean_square.shape != (3, 3):
            raise DatasetError("a spectrum is (3, 3, S, S // 2 + 1) and (3, 3)")
        if not (np.isfinite(self.power).all() and np.isfinite(self.mean_square).all()):
            raise DatasetError("a spectrum must be finite")
        if not self.sha256:
            data = self.power.tobytes() + self.mean_square.tobytes()
            object.__setattr__(self, "sha256", hashlib.sha256(data).hexdigest())

    @property
    def size(self) -> int:
        """Side of the crops it was measured over, in pixels."""
        return int(self.power.shape[2])

    def magnitude(self, size: int, colours: Colours) -> Tensor:
        """Root mean square magnitude of the planes of `colours` at `size`, (3, size, size//2+1).

        Looked up at equal cycles per pixel, as of a larger crop of the same photographs.
        """
        device = colours.matrix.device
        unmix = colours.inverse_matrix
        power = torch.from_numpy(self.power).to(device)
        mixed = torch.einsum("cr,rsyx,cs->cyx", unmix, power, unmix).clamp(min=0).sqrt()
        # Times f it is nearly flat, which interpolates well; at f = 0 it goes on as around it.
        flat = mixed * _frequency(self.size, device).clamp(min=1 / self.size)
        ring = [(0, 1), (1, 0), (1, 1), (-1, 0), (-1, 1)]
        flat[:, 0, 0] = torch.stack([flat[:, y, x] for y, x in ring]).mean(0)
        magnitude = _resample(flat, size) / _frequency(size, device).clamp(min=1 / size)
        means = torch.from_numpy(self.mean_square).to(device)
        dc = torch.einsum("cr,rs,cs->c", unmix, means, unmix).clamp(min=0).sqrt()
        magnitude[:, 0, 0] = dc * size
        return magnitude


def _frequency(size: int, device: torch.device | str) -> Tensor:
    fy = torch.fft.fftfreq(size, device=device)[:, None]
    fx = torch.fft.rfftfreq(size, device=device)[None, :]
    return torch.sqrt(fx * fx + fy * fy)


def _resample(grid: Tensor, size: int) -> Tensor:
    """Bilinear look-up of (3, S, S // 2 + 1) on another rfft2 grid, periodic in fy."""
    own = grid.shape[1]
    if own == size:
        return grid.clone()
    device = grid.device
    fy, fx = torch.fft.fftfreq(size, device=device), torch.fft.rfftfreq(size, device=device)
    y = (fy * own) % own
    x = (fx * own).clamp(max=grid.shape[2] - 1)
    wrapped = torch.cat([grid, grid[:, :1]], dim=1)
    columns = (2 * x / (grid.shape[2] - 1) - 1).expand(size, -1)
    rows = (2 * y / own - 1)[:, None].expand(-1, len(x))
    at = torch.stack([columns, rows], dim=-1)
    return F.grid_sample(wrapped[None], at[None], padding_mode="border", align_corners=True)[0]


def measure(crops: Iterable[NDArray[np.uint8]], size: int) -> Spectrum:
    """The spectrum of square crops (size, size, 3) uint8.

    Raises:
        DatasetError: there are none.
    """
    window = np.hanning(size + 1)[:size]
    window = np.outer(window, window)
    window /= np.sqrt((window**2).mean())
    to_logits = Colours(IDENTITY)
    power = np.zeros((3, 3, size, size // 2 + 1))
    means = np.zeros((3, 3))
    count = 0
    for crop in crops:
        rgb = torch.from_numpy(crop.astype(np.float32) / 255).permute(2, 0, 1)[None]
        logits = to_logits.inverse(rgb)[0].double().numpy()
        mean = logits.mean((1, 2))
        coefficients = np.fft.rfft2((logits - mean[:, None, None]) * window, norm="ortho")
        power += np.einsum("ryx,syx->rsyx", coefficients, coefficients.conj()).real
        means += np.outer(mean, mean)
        count += 1
    if not count:
        raise DatasetError("there are no photographs to measure")
    return Spectrum((power / count).astype(np.float32), (means / count).astype(np.float32))
