"""What a build of the site asks of others: pictures, and a memory between builds.

Both are protocols, so that a test can hand in made-up ones.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from atlas.site.catalogue import CropRecord, RenderRecord, WholeTile


class Media(Protocol):
    """Where pictures come from. Digests change exactly when the pixels do."""

    def render(self, record: RenderRecord) -> NDArray[np.uint8]:
        """The master of a render, (size, size, 3) RGB."""

    def render_digest(self, record: RenderRecord) -> str:
        """A digest of what `render` would return, cheap to get."""

    def crop(self, record: CropRecord) -> NDArray[np.uint8]:
        """A crop in source pixels, (h, w, 3) RGB, square."""

    def crop_digest(self, record: CropRecord) -> str:
        """A digest of what `crop` would return, cheap to get."""

    def photographs_digest(self) -> str:
        """A digest that changes whenever any crop or whole photograph might have changed."""

    def whole(self, tile: WholeTile) -> NDArray[np.uint8]:
        """A picture of the middle square of a photograph, (h, h, 3) RGB."""

    def whole_digest(self, tile: WholeTile) -> str:
        """A digest of what `whole` would return, cheap to get."""


class SheetIndex(Protocol):
    """Remembers which sheet bytes came of which inputs, so that none is encoded twice."""

    def get(self, key: str) -> str | None:
        """The sha256 of the sheet file made from inputs `key`, if one was made before."""

    def put(self, key: str, sha256: str) -> None:
        """Record that inputs `key` gave a file with this digest."""
