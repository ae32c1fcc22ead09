"""Encoded images of any kind → upright RGB, or one line that says why not.

Pixels are what the file says. An embedded colour profile is not applied: networks are trained on
pixels without colour management, and would see colours that they were not trained on.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import re
import stat
import warnings
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError, _imaging

MAX_PIXELS = 64_000_000
"""Larger images are skipped: a decompression bomb would take the machine's memory."""

MAX_BYTES = 600_000_000
"""Larger files are skipped: `MAX_PIXELS` of four 16-bit samples each take less."""

MAX_ASPECT = 50
"""Narrower images are skipped: bringing their short side to size would make them enormous."""

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF", "BMP", "PPM")
"""What is read: Pillow knows other formats, one of which (EPS) starts programs."""

BAND = 1 << 18
"""Larger images are converted in bands of so many pixels: several copies of one are too much."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings an image upright, by its EXIF orientation (TIFF 6.0, tag 274)."""

_GREY_STEPS = {"L;2": 85, "L;4": 17}
"""How far apart 2- and 4-bit greys lie once they are 8-bit."""

_PILLOWS = ("ignore", None, Warning, re.compile(r"PIL\."), 0)

# Damage is reported as a reason; on stderr it would be a line without a name.
logging.getLogger("PIL").addHandler(logging.NullHandler())
with contextlib.suppress(AttributeError, OSError):  # where libtiff is inside Pillow, not beside it
    ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)


class UnreadableImageError(Exception):
    """One image that cannot be used; the message says why. The pass goes on without it."""


def decode(source: Path | IO[bytes]) -> Image.Image:
    """An encoded image as upright RGB; transparency lies on white, of animations the first frame.

    16-bit and floating-point samples are scaled, not clipped. Checksums are looked at where there
    are any (PNG); elsewhere a flipped bit may be a wrong pixel. It takes some 10 bytes of memory
    a pixel while it works, of WebP and AVIF 20. Any number of threads may decode at once.

    Raises:
        UnreadableImageError: it cannot be decoded whole, or is larger than `MAX_PIXELS`.
    """
    try:
        image, turn = _decoded(source)
        return image if turn is None else image.transpose(turn)
    except UnreadableImageError:
        raise
    except Exception as error:  # decoders raise anything when bytes are damaged
        raise UnreadableImageError(_reason(error)) from error


def _decoded(source: Path | IO[bytes]) -> tuple[Image.Image, Image.Transpose | None]:
    """An image as RGB, and what brings it upright."""
    with _opened(source) as image:
        if image.format != "PNG":
            return _loaded(image)
        image.verify()  # the checksums; it can no longer be loaded then
    with _opened(source) as image:
        return _loaded(image)


def _loaded(image: ImageFile.ImageFile) -> tuple[Image.Image, Image.Transpose | None]:
    _scale_colour_key(image)
    ends = _ends(image)
    image.load()
    turn = None if image.format == "TIFF" else _TURNS.get(_orientation(image))  # Pillow has done it
    return _rgb(image, ends), turn


def measured(source: Path | IO[bytes]) -> tuple[int, int]:
    """Width and height of an image, upright, in pixels, as `decode` would have it.

    From its header alone, but for PNG, whose orientation may stand behind the pixels.

    Raises:
        OSError: it is not an image, or is larger than `MAX_PIXELS`.
    """
    try:
        with _opened(source) as image:
            width, height = image.size
            if image.format == "PNG":
                image.load()
            elif image.format == "TIFF":  # its `size` is turned for some orientations
                width, height = (int(_tag(image, tag)) for tag in ("ImageWidth", "ImageLength"))
            turned = _orientation(image) in (5, 6, 7, 8)
    except OSError:
        raise
    except Exception as error:
        raise OSError(_reason(error)) from error
    return (height, width) if turned else (width, height)


def _opened(source: Path | IO[bytes]) -> ImageFile.ImageFile:
    """An image of which nothing but the header has been read, of a size that may be loaded."""
    # Pillow warns of odd metadata, but the pixels decide. Its warnings are turned off for good:
    # `warnings.catch_warnings` goes wrong when several threads use it.
    if _PILLOWS not in warnings.filters:
        warnings.filterwarnings("ignore", module=_PILLOWS[3].pattern)
    if (size := _bytes_of(source)) > MAX_BYTES:
        raise UnreadableImageError(f"{size // 1_000_000} MB are too large")
    if not size:
        raise UnreadableImageError("the file is empty")
    image = Image.open(source, formats=FORMATS)
    width, height = image.size
    if width * height > MAX_PIXELS:
        reason = "is too large"
    elif max(width, height) > MAX_ASPECT * min(width, height) or not width:
        reason = "is too narrow"
    else:
        return image
    image.close()
    raise UnreadableImageError(f"{width} × {height} pixels {reason}")


def _bytes_of(source: Path | IO[bytes]) -> int:
    if not isinstance(source, Path):
        return source.seek(0, io.SEEK_END)
    status = source.stat()
    if not stat.S_ISREG(status.st_mode):  # of a pipe, opening it would not come back
        raise UnreadableImageError("a folder" if source.is_dir() else "not a file")
    return status.st_size


def _orientation(image: Image.Image) -> Any:
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # damaged metadata of good pixels
        return None


def _tag(image: Image.Image, name: str) -> Any:
    """The value of a TIFF tag, None where there is none; a tuple's first."""
    tags: Any = getattr(image, "tag_v2", {})
    value = tags.get(ExifTags.Base[name])
    return value[0] if isinstance(value, tuple) else value


def _scale_colour_key(image: ImageFile.ImageFile) -> None:
    """Give the transparent colour of a PNG the scale of its pixels, which Pillow forgets to do."""
    key = image.info.get("transparency")
    if image.format != "PNG" or key is None or not image.tile:
        return
    raw = image.tile[0].args
    if raw in _GREY_STEPS:
        image.info["transparency"] = key * _GREY_STEPS[raw]
    elif raw == "RGB;16B":  # read with 8 bits, which cannot tell it from its neighbours
        raise UnreadableImageError("a transparent colour of 16 bits")


def _ends(image: Image.Image) -> tuple[int, int] | None:
    """Black and white of samples that have more than 8 bits, which Pillow would clip."""
    if image.mode == "I" and image.format == "TIFF":
        raise UnreadableImageError("integer samples of unknown range")
    if image.mode == "F":
        white = 1
    elif image.mode.startswith("I"):
        white = (1 << (_tag(image, "BitsPerSample") or 16)) - 1
    else:
        return None
    return (white, 0) if _tag(image, "PhotometricInterpretation") == 0 else (0, white)


def _rgb(image: Image.Image, ends: tuple[int, int] | None) -> Image.Image:
    """A loaded image as RGB."""
    width, height = image.size
    if width * height <= BAND:
        return _band(image, ends)
    rgb = Image.new("RGB", image.size)
    rows = max(1, BAND // width)
    for top in range(0, height, rows):
        box = (0, top, width, min(top + rows, height))
        rgb.paste(_band(image.crop(box), ends), box)
    return rgb


def _band(image: Image.Image, ends: tuple[int, int] | None) -> Image.Image:
    key = image.info.get("transparency")
    if ends is not None:
        return _grey(np.asarray(image), ends, key)
    if key is None and "A" not in image.getbands():
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


def _grey(samples: NDArray[Any], ends: tuple[int, int], key: int | None) -> Image.Image:
    black, white = ends
    with np.errstate(invalid="ignore"):  # signalling NaNs
        light = (samples.astype(np.float64) - black) / (white - black)
    if not ((light >= 0) & (light <= 1)).all():
        raise UnreadableImageError("samples outside of [0, 1]")
    if key is not None:
        light[samples == key] = 1
    return Image.fromarray(np.rint(light * 255).astype(np.uint8)).convert("RGB")


def _reason(error: Exception) -> str:
    """What is wrong with an image, in one line that is the same wherever the image lies."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image, or one with a damaged header"
    if isinstance(error, Image.DecompressionBombError):
        return "too large"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = "".join(c for c in " ".join(str(error).split()) if c.isprintable())[:200]
    if isinstance(error, OSError | SyntaxError | ValueError | EOFError | RuntimeError) and text:
        return text
    return f"damaged ({type(error).__name__})"
