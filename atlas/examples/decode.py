"""Encoded images of any kind → upright RGB, or one line that says why not."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import IO

from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

MAX_PIXELS = 64_000_000
"""Larger images are skipped: a decompression bomb would take the machine's memory."""

MAX_ASPECT = 50
"""Narrower images are skipped: bringing their short side to size would make them enormous."""


class UnreadableImageError(Exception):
    """One image that cannot be used; the message says why. The pass goes on without it."""


def decode(source: Path | IO[bytes]) -> Image.Image:
    """An encoded image as upright RGB; transparency lies on white, of animations the first frame.

    Raises:
        UnreadableImageError: it cannot be decoded whole, or is larger than `MAX_PIXELS`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata; the pixels decide
            with Image.open(source) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise UnreadableImageError(
                        f"{image.width} × {image.height} pixels is too large"
                    )
                if max(image.size) > MAX_ASPECT * min(image.size):
                    raise UnreadableImageError(
                        f"{image.width} × {image.height} pixels is too narrow"
                    )
                image.load()
                upright = ImageOps.exif_transpose(image)
    except UnidentifiedImageError as error:
        raise UnreadableImageError("not an image") from error
    except Image.DecompressionBombError as error:
        raise UnreadableImageError("too large") from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, MemoryError) as error:
        raise UnreadableImageError(
            str(error).splitlines()[0] if str(error) else "damaged"
        ) from error
    if "A" in upright.getbands() or "transparency" in upright.info:
        upright = upright.convert("RGBA")
        white = Image.new("RGBA", upright.size, "white")
        return Image.alpha_composite(white, upright).convert("RGB")
    if upright.mode.startswith("I"):  # 16-bit greys; Pillow would clip instead of scale
        upright = upright.point(lambda v: v / 257).convert("L")
    return upright.convert("RGB")


def measured(source: Path | IO[bytes]) -> tuple[int, int]:
    """Width and height of an image, upright, in pixels, from its header alone.

    Raises:
        OSError: it is not an image.
    """
    with Image.open(source) as image:
        width, height = image.size
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
    return (height, width) if turned else (width, height)
