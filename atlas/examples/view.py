"""What the network sees of a photograph: short side to so many pixels, then a centre crop.

The geometry of torchvision's `Resize` and `CenterCrop` on PIL images, bilinear with antialiasing,
and the way back from a pixel of the view to a pixel of the source.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True)
class Viewing:
    """How photographs are brought to the network's input size, in pixels."""

    short_side: int = 256
    crop: int = 224

    def geometry(self, sizes: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """How views lie in sources of `sizes` (…, 2), (width, height).

        A point v of the view, in pixel-edge coordinates (x, y), is ``(v + offset) * scale`` in
        the source.

        Returns:
            scale (…, 2) source pixels per resized pixel, and offset (…, 2) in resized pixels.
        """
        short = sizes.min(axis=-1, keepdims=True)
        resized = self.short_side * sizes // short
        offset = np.rint((resized - self.crop) / 2).astype(np.int64)
        return sizes / resized, offset

    def apply(self, image: Image.Image) -> NDArray[np.uint8]:
        """The view of an RGB image, (crop, crop, 3)."""
        size = np.array(image.size)
        width, height = (self.short_side * size // size.min()).tolist()
        left, top = self.geometry(size)[1].tolist()
        view = image.resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(view.crop((left, top, left + self.crop, top + self.crop)))
