"""Parameterizations: which variables an image is optimized through (Olah et al. 2017,
"Preconditioning").

Each maps a list of variables, batch first, to planes (B, 3, S, S) in a decorrelated colour space;
`Colours` makes an image of them. `encode` goes the other way, so that optimization can start from
a photograph and images can be filtered between steps.

    pixels     the planes themselves
    fourier    rfft2 coefficients / max(f, 1/S)^decay
    laplacian  a pyramid: planes of S, S/2, S/4, S/8, enlarged bilinearly and added (Lucid)
    maco       phases only; magnitudes are those of photographs (Fel et al. 2023, MACO)
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from atlas.optvis.colour import IDENTITY, Colours
from atlas.optvis.recipe import Recipe, stream

START_STD = 0.01
"""Standard deviation of starting variables (Lucid, `param.spatial`)."""

PYRAMID_LEVELS = 4


class Parameterization(ABC):
    """Variables ↔ images of one size."""

    def __init__(self, size: int, colours: Colours) -> None:
        self.size, self.colours = size, colours
        self.device = colours.matrix.device

    def start(self, seeds: Sequence[int]) -> list[Tensor]:
        """Starting variables, each image's from its own seed; batch first, float32."""
        draws = [self.draw(stream(seed, "start")) for seed in seeds]
        return [
            torch.from_numpy(np.stack(parts)).to(self.device) for parts in zip(*draws, strict=True)
        ]

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> list[NDArray[np.float32]]:
        """The starting variables of one image."""

    @abstractmethod
    def planes(self, variables: Sequence[Tensor]) -> Tensor:
        """(B, 3, S, S) colour planes."""

    @abstractmethod
    def encode(self, planes: Tensor) -> list[Tensor]:
        """Variables whose planes are these, or for `maco` as near as its magnitudes allow."""

    def __call__(self, variables: Sequence[Tensor]) -> Tensor:
        """(B, 3, S, S) RGB in (0, 1)."""
        return self.colours(self.planes(variables))

    def variables_of(self, images: Tensor) -> list[Tensor]:
        """Variables of images (B, 3, S, S) in [0, 1]."""
        return self.encode(self.colours.inverse(images))

    def owners(self, alive: Tensor) -> list[Tensor]:
        """For each variable, which of its rows may move, given which images (B,) may."""
        return [alive] * self.parts

    @property
    def own(self) -> int:
        """How many of the variables belong to single images; the others to groups."""
        return self.parts

    parts = 1
    """Number of variables."""


class Pixels(Parameterization):
    """The planes themselves: what the article shows to favour high frequencies."""

    def draw(self, rng: np.random.Generator) -> list[NDArray[np.float32]]:
        return [_normal(rng, (3, self.size, self.size))]

    def planes(self, variables: Sequence[Tensor]) -> Tensor:
        return variables[0]

    def encode(self, planes: Tensor) -> list[Tensor]:
        return [planes.clone()]


class Fourier(Parameterization):
    """Coefficients (B, 3, S, S // 2 + 1, 2), scaled by 1 / max(f, 1/S)^decay, orthonormal FFT."""

    def __init__(self, size: int, colours: Colours, decay: float = 1.0) -> None:
        super().__init__(size, colours)
        self._scale = frequency_scale(size, self.device, decay)[:, :, None]

    def draw(self, rng: np.random.Generator) -> list[NDArray[np.float32]]:
        return [_normal(rng, (3, self.size, self.size // 2 + 1, 2))]

    def planes(self, variables: Sequence[Tensor]) -> Tensor:
        return _from_spectrum(torch.view_as_complex(variables[0] * self._scale), self.size)

    def encode(self, planes: Tensor) -> list[Tensor]:
        return [torch.view_as_real(torch.fft.rfft2(planes, norm="ortho")) / self._scale]


class LaplacianPyramid(Parameterization):
    """Planes of several sizes, the coarser ones enlarged bilinearly, added up."""

    parts = PYRAMID_LEVELS

    def __init__(self, size: int, colours: Colours) -> None:
        super().__init__(size, colours)
        self._sizes = [max(1, size // 2**level) for level in range(PYRAMID_LEVELS)]

    def draw(self, rng: np.random.Generator) -> list[NDArray[np.float32]]:
        return [_normal(rng, (3, side, side)) for side in self._sizes]

    def planes(self, variables: Sequence[Tensor]) -> Tensor:
        total = variables[0]
        for level in variables[1:]:
            total = total + self._enlarged(level)
        return total

    def encode(self, planes: Tensor) -> list[Tensor]:
        levels = []
        for side in reversed(self._sizes[1:]):
            level = F.interpolate(planes, size=(side, side), mode="area")
            levels.append(level)
            planes = planes - self._enlarged(level)
        return [planes, *reversed(levels)]

    def _enlarged(self, level: Tensor) -> Tensor:
        return F.interpolate(level, size=(self.size, self.size), mode="bilinear")


class PhaseOnly(Parameterization):
    """Phases (B, 3, S, S // 2 + 1) of a spectrum whose magnitudes stay.

    Coefficients that are conjugates of each other in the half spectrum get opposite phases, so
    that the image has exactly these magnitudes. The few real ones (the mean, the Nyquist
    frequencies) cannot turn; they are r cos φ, anything from −r to r.
    """

    def __init__(self, size: int, colours: Colours, magnitude: Tensor) -> None:
        super().__init__(size, colours)
        self._magnitude = magnitude
        columns = torch.zeros(size // 2 + 1, dtype=torch.bool, device=self.device)
        columns[0] = True
        columns[-1] |= size % 2 == 0
        opposite = (-torch.arange(size, device=self.device)) % size
        own = opposite == torch.arange(size, device=self.device)
        self._paired, self._opposite = columns[None, :] & ~own[:, None], opposite
        self._real = columns[None, :] & own[:, None]

    def draw(self, rng: np.random.Generator) -> list[NDArray[np.float32]]:
        turns = rng.random((3, self.size, self.size // 2 + 1), dtype=np.float32)
        return [(turns * 2 - 1) * np.float32(math.pi)]

    def planes(self, variables: Sequence[Tensor]) -> Tensor:
        phase = variables[0]
        mirrored = (phase - phase[:, :, self._opposite]) / 2
        phase = torch.where(self._paired, mirrored, phase)
        sine = torch.where(self._real, 0, phase.sin())
        return _from_spectrum(torch.complex(phase.cos(), sine) * self._magnitude, self.size)

    def encode(self, planes: Tensor) -> list[Tensor]:
        coefficients = torch.fft.rfft2(planes, norm="ortho")
        share = (coefficients.real / self._magnitude.clamp(min=1e-12)).clamp(-1, 1)
        return [torch.where(self._real, share.acos(), coefficients.angle())]


class Shared(Parameterization):
    """A parameterization whose images share their low resolutions group by group.

    To each group belong planes of S/2, S/4, S/8 and S/16, enlarged and added to all its images
    (Mordvintsev et al. 2018, *Differentiable Image Parameterizations*, "Aligned neuron
    interpolation"); they start at zero.
    """

    def __init__(self, base: Parameterization, groups: Sequence[Sequence[int]], batch: int) -> None:
        super().__init__(base.size, base.colours)
        self._base, self._groups = base, len(groups)
        self._sizes = [max(1, self.size // 2**level) for level in range(1, 5)]
        self._member = torch.zeros(batch, len(groups), device=self.device)
        for number, rows in enumerate(groups):
            self._member[list(rows), number] = 1.0
        self.parts = base.parts + len(self._sizes)

    @property
    def own(self) -> int:
        return self._base.own

    def draw(self, rng: np.random.Generator) -> list[NDArray[np.float32]]:
        return self._base.draw(rng)

    def start(self, seeds: Sequence[int]) -> list[Tensor]:
        return self._base.start(seeds) + self._zeros()

    def planes(self, variables: Sequence[Tensor]) -> Tensor:
        total = self._base.planes(variables[: self._base.parts])
        for level in variables[self._base.parts :]:
            enlarged = F.interpolate(level, size=(self.size, self.size), mode="bilinear")
            total = total + torch.einsum("bg,gcyx->bcyx", self._member, enlarged)
        return total

    def encode(self, planes: Tensor) -> list[Tensor]:
        return self._base.encode(planes) + self._zeros()

    def owners(self, alive: Tensor) -> list[Tensor]:
        halted = self._member[~alive].sum(0) > 0
        return self._base.owners(alive) + [~halted] * len(self._sizes)

    def _zeros(self) -> list[Tensor]:
        return [torch.zeros(self._groups, 3, s, s, device=self.device) for s in self._sizes]


def parameterization_of(recipe: Recipe, device: torch.device | str = "cpu") -> Parameterization:
    """The parameterization a recipe asks for."""
    matrix = recipe.colours if recipe.decorrelate else IDENTITY
    colours = Colours(matrix, device)
    match recipe.parameterization:
        case "pixels":
            return Pixels(recipe.size, colours)
        case "laplacian":
            return LaplacianPyramid(recipe.size, colours)
        case "maco":
            assert recipe.spectrum is not None  # a recipe checks that
            return PhaseOnly(recipe.size, colours, recipe.spectrum.magnitude(recipe.size, colours))
    return Fourier(recipe.size, colours, recipe.decay)


def frequency_scale(size: int, device: torch.device | str = "cpu", decay: float = 1.0) -> Tensor:
    """1 / max(f, 1/size)^decay on the rfft2 grid, (size, size // 2 + 1); f in cycles per pixel."""
    fy = torch.fft.fftfreq(size, device=device)[:, None]
    fx = torch.fft.rfftfreq(size, device=device)[None, :]
    frequency: Tensor = torch.sqrt(fx * fx + fy * fy)
    return torch.pow(frequency.clamp(min=1.0 / size), -decay)


def to_uint8(images: Tensor) -> Tensor:
    """(B, 3, H, W) in [0, 1] to (B, H, W, 3) uint8, rounded: what is stored and scored."""
    return (images * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def from_uint8(images: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 to (B, 3, H, W) float32 in [0, 1]."""
    return images.permute(0, 3, 1, 2).to(torch.float32).div_(255).contiguous()


def _from_spectrum(coefficients: Tensor, size: int) -> Tensor:
    planes: Tensor = torch.fft.irfft2(coefficients, s=(size, size), norm="ortho")
    return planes


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(START_STD)
