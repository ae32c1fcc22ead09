"""Where pages point to: pictures, which may be on another host, and the pages of classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from atlas.site.sheets import Picture, Tile


@dataclass(frozen=True)
class Links:
    """`media` is the address that paths of media are put behind, ending in a slash, or None where
    they are inside the site; `classes` are the pages of classes by label, relative to the site."""

    media: str | None
    classes: Mapping[str, str]

    @property
    def origin(self) -> str:
        """The origin of `media`, as a Content-Security-Policy names it; empty inside the site."""
        if self.media is None:
            return ""
        parts = urlsplit(self.media)
        return f"{parts.scheme}://{parts.netloc}"

    def page_of(self, label: str) -> str | None:
        """The page of a class as seen from a layer's folder, None if it has none."""
        path = self.classes.get(label)
        return path and f"../{path}"

    def picture(self, tile: Tile, alt: str, root: str) -> Picture:
        """A tile as seen from a page from which the site is at `root`: empty, or ``../``."""
        return Picture(tile, f"{self.media or root}{tile.sheet}", alt)
