"""What the network sees of a photograph: short side to 256 px, centre crop of 224 px.

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

    def frame(self, width: int, height: int) -> Frame:
        """The geometry of this viewing for a source of the given size in pixels."""
        side = self.short_side
        if width <= height:
            resized = (side, int(side * height / width))
        else:
            resized = (int(side * width / height), side)
        left = round((resized[0] - self.crop) / 2.0)
        top = round((resized[1] - self.crop) / 2.0)
        return Frame((width, height), resized, (left, top), self.crop)

    def apply(self, image: Image.Image) -> NDArray[np.uint8]:
        """The view of an RGB image, (crop, crop, 3)."""
        frame = self.frame(*image.size)
        left, top = frame.offset
        view = image.resize(frame.resized, Image.Resampling.BILINEAR)
        return np.asarray(view.crop((left, top, left + self.crop, top + self.crop)))


@dataclass(frozen=True)
class Frame:
    """Where a view lies in its source; sizes and offsets are (x, y) in pixels."""

    source: tuple[int, int]
    resized: tuple[int, int]
    offset: tuple[int, int]
    crop: int

    def to_source(self, x: float, y: float) -> tuple[float, float]:
        """A point of the view, in its pixel-edge coordinates (0 to crop), in the source's."""
        return (
            (x + self.offset[0]) * self.source[0] / self.resized[0],
            (y + self.offset[1]) * self.source[1] / self.resized[1],
        )
