"""The patch prior: patches of an image should look like patches of photographs.

Wei, Zhou, Torralba & Freeman, *Understanding Intra-Class Knowledge Inside CNN* (2015): every patch
of the image is drawn towards its nearest neighbour in a data base of patches.
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

SIDE = 8
"""Side of the patches measured, in pixels."""

_AT_ONCE = 64_000_000
"""Most distances held at a time."""


@dataclass(frozen=True)
class PatchBase:
    """Patches of photographs, (N, S, S, 3) uint8. Equal when digests are."""

    patches: NDArray[np.uint8] = field(compare=False, repr=False)
    sha256: str = ""

    def __post_init__(self) -> None:
        shape = self.patches.shape
        if len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3 or not shape[0]:
            raise DatasetError("a patch base is (N, S, S, 3) with at least one patch")
        if not self.sha256:
            digest = hashlib.sha256(self.patches.tobytes()).hexdigest()
            object.__setattr__(self, "sha256", digest)

    @property
    def side(self) -> int:
        """Side of a patch in pixels."""
        return int(self.patches.shape[1])


class PatchPrior:
    """Mean squared distance, per value, of an image's patches to their nearest in a base.

    Patches overlap by half. The nearest is looked up without gradient; the distance to it has one.
    """

    def __init__(self, base: PatchBase, device: torch.device | str = "cpu") -> None:
        flat = torch.from_numpy(base.patches).permute(0, 3, 1, 2).flatten(1)
        self._base = flat.to(device).float().div_(255)
        self._norms = self._base.square().sum(1)
        self._side = base.side

    def __call__(self, images: Tensor) -> Tensor:
        """(B,) for images (B, 3, H, W) in [0, 1]."""
        stride = max(1, self._side // 2)
        patches = F.unfold(images, self._side, stride=stride).transpose(1, 2)
        nearest = self._base[self._nearest(patches.detach().flatten(0, 1))].view_as(patches)
        return (patches - nearest).square().mean((1, 2))

    def _nearest(self, patches: Tensor) -> Tensor:
        rows = max(1, _AT_ONCE // len(self._base))
        found = [
            (self._norms - 2 * part @ self._base.T).argmin(dim=1)
            for part in torch.split(patches, rows)
        ]
        return torch.cat(found)


def measure(
    images: Iterable[NDArray[np.uint8]], count: int, seed: int = 0, side: int = SIDE
) -> PatchBase:
    """A base of `count` patches drawn evenly from images (H, W, 3) uint8.

    Every image gives its share at random places; images smaller than a patch give none.

    Raises:
        DatasetError: no image is large enough.
    """
    rng = np.random.Generator(np.random.Philox(key=seed))
    large = [image for image in images if min(image.shape[:2]) >= side]
    if not large:
        raise DatasetError(f"there are no photographs of at least {side} pixels to take patches of")
    patches = np.empty((count, side, side, 3), dtype=np.uint8)
    for number in range(count):
        image = large[number % len(large)]
        y = int(rng.integers(image.shape[0] - side + 1))
        x = int(rng.integers(image.shape[1] - side + 1))
        patches[number] = image[y : y + side, x : x + side]
    return PatchBase(patches)
