"""Image files: that each can be opened, and that what pages show of them is there."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping

from PIL import Image, UnidentifiedImageError

from atlas.site.check.folder import Folder
from atlas.site.check.page import Picture
from atlas.site.check.problems import Problem

SUFFIXES = (".avif", ".webp", ".jpg", ".jpeg", ".png", ".gif")
FORMATS = ("AVIF", "WEBP", "JPEG", "PNG", "GIF")
LIMIT = 50 * 2**20
"""Bytes of an image file above which it is not opened."""
SKEW = 0.02
"""By this share the sides a page gives may be off the image's, for rounding to whole pixels."""

Size = tuple[int, int]


def read_picture(path: str, folder: Folder, thorough: bool) -> tuple[Size | None, Problem | None]:
    """The width and height of an image file in pixels, or why they cannot be had.

    Only the header is read, unless `thorough`: then every pixel is decoded.
    """
    try:
        data = folder.read(path, LIMIT)
        if data is None:
            return None, Problem(path, "image", f"larger than {LIMIT:,} bytes; not opened")
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a bomb is a warning first
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if thorough:
                    image.load()
                return image.size, None
    except UnidentifiedImageError:
        return None, Problem(path, "image", "is no image that a browser shows")
    except Exception as error:  # decoders meet damage with errors of nearly every kind
        return None, Problem(path, "image", f"cannot be opened: {error}")


def check_pictures(shown: Mapping[Picture, str], sizes: Mapping[str, Size]) -> Iterator[Problem]:
    """What is wrong with the places of images that pages show.

    Args:
        shown: the pictures, each with a page that shows it.
        sizes: width and height of the image files that could be opened.
    """
    for picture, page in shown.items():
        size = sizes.get(picture.path)
        if size is not None and (trouble := _trouble(picture, *size)):
            yield Problem(page, "tile" if picture.tiles else "image", trouble)


def _trouble(picture: Picture, width: int, height: int) -> str | None:
    what = f"shows {picture.path}"
    if picture.tiles:
        if width != picture.tiles * height:
            return f"{what} as {picture.tiles} square tiles in a row; it is {width} × {height}"
        width = height
    if not picture.width or not picture.height:
        return None
    ratio = (picture.width * height) / (picture.height * width)
    if abs(ratio - 1) > SKEW:
        return f"{what}, {width} × {height} pixels, as {picture.width} × {picture.height}"
    return None
