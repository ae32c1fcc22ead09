"""Images of every kind against arrays that no decoder has been near."""

from __future__ import annotations

import contextlib
import io
import os
import re
import struct
import subprocess
import sys
import textwrap
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms
from torchvision.io import ImageReadMode, decode_image

from atlas.examples.decode import MAX_BYTES, UnreadableImageError, decode, measured

Samples = NDArray[np.generic]

# Pictures, and the bytes they become. PNG and TIFF are written out here: Pillow writes few of the
# kinds it reads, and what is expected should not come from where the result comes from.


def picture(width: int = 48, height: int = 32, shift: float = 0.0) -> NDArray[np.uint8]:
    """A smooth picture without any symmetry, (height, width, 3)."""
    y, x = np.mgrid[:height, :width] / min(width, height)
    waves = np.sin(2 * x + shift), np.cos(2 * y + x + shift), np.sin(x * y + 2 * shift)
    return np.rint(np.stack([(1 + wave) * 120 for wave in waves], -1)).astype(np.uint8)


def ramp(levels: int, width: int = 48, height: int = 32) -> NDArray[np.int64]:
    """A grey picture that uses all of so many levels, (height, width)."""
    return np.linspace(0, levels - 1, width * height).astype(np.int64).reshape(height, width)


def chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a PNG, with its checksum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(samples: Samples, depth: int, colour: int, *chunks: bytes, after: bytes = b"") -> bytes:
    """A PNG of (H, W) or (H, W, C) samples; `chunks` go before the pixels, `after` behind."""
    height, width = samples.shape[:2]
    rows = samples.reshape(height, -1)
    if depth == 16:
        lines = [row.astype(">u2").tobytes() for row in rows]
    else:  # the low bits of each sample, closely packed
        bits = np.unpackbits(rows.astype(np.uint8)[..., None], axis=2)[:, :, 8 - depth :]
        lines = [np.packbits(line).tobytes() for line in bits.reshape(height, -1)]
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + line for line in lines))
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            *chunks,
            chunk(b"IDAT", pixels),
            after,
            chunk(b"IEND", b""),
        ]
    )


def tiff(
    data: bytes,
    bits: Sequence[int],
    photometric: int,
    *,
    order: str = "<",
    width: int = 48,
    height: int = 32,
    **tags: Sequence[int],
) -> bytes:
    """An uncompressed TIFF; `tags` are written t339=[3]."""
    start = 8 + len(data) + len(data) % 2
    numbers: dict[int, Sequence[int]] = {
        256: [width],
        257: [height],
        258: bits,
        259: [1],
        262: [photometric],
        273: [8],
        277: [len(bits)],
        278: [height],
        279: [len(data)],
        **{int(name[1:]): values for name, values in tags.items()},
    }
    if numbers.get(284) == [2]:  # a strip a band
        band = len(data) // len(bits)
        numbers |= {273: [8 + i * band for i in range(len(bits))], 279: [band] * len(bits)}
    entries, rest = b"", b""
    after = start + 2 + 12 * len(numbers) + 4
    for tag, values in sorted(numbers.items()):
        wide = tag in (256, 257, 273, 278, 279)
        packed = struct.pack(f"{order}{len(values)}{'I' if wide else 'H'}", *values)
        if len(packed) > 4:
            packed, rest = struct.pack(f"{order}I", after + len(rest)), rest + packed
        entries += struct.pack(f"{order}HHI", tag, 4 if wide else 3, len(values))
        entries += packed.ljust(4, b"\0")
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", start)
    directory = struct.pack(f"{order}H", len(numbers)) + entries + bytes(4)
    return (head + data).ljust(start, b"\0") + directory + rest


def saved(image: Image.Image | Samples, kind: str, **options: object) -> bytes:
    """What Pillow writes."""
    buffer = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def exif(orientation: object, kind: int = 3) -> bytes:
    """EXIF data that hold an orientation and nothing else; `kind` 3 is a SHORT, 2 text."""
    value = orientation if isinstance(orientation, bytes) else struct.pack("<H", orientation)
    entry = struct.pack("<HHI", 274, kind, 1 if kind == 3 else len(value)) + value.ljust(4, b"\0")
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)


def over_white(colour: Samples, alpha: Samples) -> NDArray[np.float64]:
    """Colours [0, 255] with an opacity [0, 1] on white."""
    opaque = np.asarray(alpha, np.float64)[..., None]
    return np.asarray(colour, np.float64) * opaque + 255 * (1 - opaque)


def of_ink(inks: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The colours of (H, W, 4) cyan, magenta, yellow and black, 255 being full ink."""
    light = 1 - inks / 255
    return 255 * light[..., :3] * light[..., 3:]


def grey(light: Samples) -> NDArray[np.float64]:
    """(H, W) as (H, W, 3)."""
    return np.repeat(np.asarray(light, np.float64)[..., None], 3, axis=2)


def ycck() -> bytes:
    """A JPEG in Adobe's YCCK: inks are inverted, and then 1−C, 1−M, 1−Y are taken for RGB."""
    inks = Image.fromarray(INKS[..., :3])
    luma, blue, red = (np.asarray(band) for band in inks.convert("YCbCr").split())
    stored = np.stack([luma, blue, red, 255 - INKS[..., 3]], -1)
    # Pillow inverts what it writes and says that it wrote CMYK (the Adobe marker's last byte).
    data = bytearray(saved(Image.fromarray(255 - stored, "CMYK"), "JPEG", quality=98))
    data[data.index(b"Adobe") + 11] = 2
    return bytes(data)


def frames(kind: str, **options: object) -> bytes:
    """An animation of three pictures."""
    first, *others = (Image.fromarray(picture(shift=float(i))) for i in range(3))
    return saved(first, kind, save_all=True, append_images=others, **options)


PICTURE = picture()
GREY = PICTURE[..., 1]
ALPHA = ramp(256).astype(np.uint8)
INKS = np.concatenate([picture(shift=1.0), ramp(200)[..., None].astype(np.uint8)], -1)
DEEP = PICTURE.astype(np.int64) * 257 - PICTURE % 2 * 100
PALETTE = np.random.default_rng(0).integers(0, 256, (256, 3), dtype=np.uint8)
PLTE = chunk(b"PLTE", PALETTE.tobytes())
CLEAR = np.random.default_rng(1).integers(0, 256, 200, dtype=np.uint8)
XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


def packed12(samples: NDArray[np.int64]) -> bytes:
    """12-bit samples, two in three bytes."""
    a, b = samples.reshape(-1, 2).T
    return np.stack([a >> 4, (a & 15) << 4 | b >> 8, b & 255], -1).astype(np.uint8).tobytes()


def planes(samples: Samples) -> bytes:
    """One band after the other."""
    return np.moveaxis(np.asarray(samples), -1, 0).tobytes()


def readable() -> dict[str, tuple[bytes, Samples, float]]:
    """Kinds of images: the bytes, the pixels, and how far off they may be."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    key = ramp(4) == 1
    rgba = np.concatenate([PICTURE, ALPHA[..., None]], -1)
    deep_alpha = np.concatenate([DEEP, ramp(65536)[..., None]], -1)
    best = {"quality": 98, "subsampling": 0}
    half = np.asarray(GREY / 255, np.float32)
    small = Image.fromarray(PICTURE).quantize(16)
    small_colours = np.asarray(small.convert("RGB"))
    see_through = np.where((np.asarray(small) == 3)[..., None], 255, small_colours)
    black = ramp(2)
    u2 = {order: f"{order}u2" for order in "<>"}
    return {
        "JPEG": (saved(PICTURE, "JPEG", **best), PICTURE, 5),
        "JPEG, colours at half size": (saved(PICTURE, "JPEG", quality=98), PICTURE, 12),
        "JPEG, progressive": (saved(PICTURE, "JPEG", progressive=True, **best), PICTURE, 5),
        "JPEG, RGB inside": (saved(PICTURE, "JPEG", keep_rgb=True, quality=98), PICTURE, 5),
        "JPEG, grey": (saved(GREY, "JPEG", quality=98), grey(GREY), 5),
        "JPEG, CMYK as Adobe inverts it": (
            saved(Image.fromarray(INKS, "CMYK"), "JPEG", quality=98),
            of_ink(INKS),
            6,
        ),
        "JPEG, YCCK": (ycck(), of_ink(INKS), 8),
        "JPEG with a profile": (saved(PICTURE, "JPEG", icc_profile=srgb, **best), PICTURE, 5),
        "JPEG with a damaged profile": (
            saved(PICTURE, "JPEG", icc_profile=b"no profile", **best),
            PICTURE,
            5,
        ),
        "JPEG of two pictures (MPO)": (frames("MPO", **best), picture(shift=0.0), 5),
        "PNG": (png(PICTURE, 8, 2), PICTURE, 0),
        "PNG, grey": (png(GREY, 8, 0), grey(GREY), 0),
        "PNG, 1-bit": (png(black, 1, 0), grey(255 * black), 0),
        "PNG, 2-bit": (png(ramp(4), 2, 0), grey(85 * ramp(4)), 0),
        "PNG, 4-bit": (png(ramp(16), 4, 0), grey(17 * ramp(16)), 0),
        "PNG, 16-bit grey": (png(ramp(65536), 16, 0), grey(ramp(65536) / 257), 0.51),
        "PNG, 16-bit RGB": (png(DEEP, 16, 2), DEEP / 257, 1),
        "PNG, grey with alpha": (
            png(np.stack([GREY, ALPHA], -1), 8, 4),
            over_white(grey(GREY), ALPHA / 255),
            1,
        ),
        "PNG, 16-bit grey with alpha": (
            png(deep_alpha[..., 2:], 16, 4),
            over_white(grey(DEEP[..., 2] / 257), ramp(65536) / 65535),
            2,
        ),
        "PNG, RGBA": (png(rgba, 8, 6), over_white(PICTURE, ALPHA / 255), 1),
        "PNG, 16-bit RGBA": (
            png(deep_alpha, 16, 6),
            over_white(DEEP / 257, ramp(65536) / 65535),
            2,
        ),
        "PNG, palette": (png(GREY, 8, 3, PLTE), PALETTE[GREY], 0),
        "PNG, 16 colours": (png(ramp(16), 4, 3, PLTE), PALETTE[ramp(16)], 0),
        "PNG, palette with alpha": (
            png(GREY, 8, 3, PLTE, chunk(b"tRNS", CLEAR.tobytes())),
            over_white(PALETTE[GREY], np.append(CLEAR, [255] * 56)[GREY] / 255),
            1,
        ),
        "PNG, one transparent colour of a palette": (
            png(ramp(4), 2, 3, PLTE, chunk(b"tRNS", b"\xff\0")),
            over_white(PALETTE[ramp(4)], ~key),
            0,
        ),
        "PNG, transparent grey of 1 bit": (
            png(black, 1, 0, chunk(b"tRNS", b"\0\0")),
            grey(np.full(black.shape, 255)),
            0,
        ),
        "PNG, transparent grey of 2 bits": (
            png(ramp(4), 2, 0, chunk(b"tRNS", b"\0\1")),
            over_white(grey(85 * ramp(4)), ~key),
            0,
        ),
        "PNG, transparent grey of 4 bits": (
            png(ramp(16), 4, 0, chunk(b"tRNS", b"\0\5")),
            over_white(grey(17 * ramp(16)), ramp(16) != 5),
            0,
        ),
        "PNG, transparent grey of 8 bits": (
            png(GREY, 8, 0, chunk(b"tRNS", bytes([0, GREY[3, 3]]))),
            over_white(grey(GREY), GREY[3, 3] != GREY),
            0,
        ),
        "PNG, transparent grey of 16 bits": (
            png(ramp(65536), 16, 0, chunk(b"tRNS", struct.pack(">H", ramp(65536)[3, 3]))),
            over_white(grey(ramp(65536) / 257), ramp(65536) != ramp(65536)[3, 3]),
            0.51,
        ),
        "PNG, transparent colour": (
            png(PICTURE, 8, 2, chunk(b"tRNS", struct.pack(">3H", *PICTURE[5, 7].tolist()))),
            over_white(PICTURE, (PICTURE[5, 7] != PICTURE).any(-1)),
            0,
        ),
        "PNG with a profile": (saved(PICTURE, "PNG", icc_profile=srgb), PICTURE, 0),
        "PNG with a gamma": (png(PICTURE, 8, 2, chunk(b"gAMA", b"\0\0\x20\0")), PICTURE, 0),
        "PNG, animated": (frames("PNG"), PICTURE, 0),
        "PNG, animated apart from its picture": (frames("PNG", default_image=True), PICTURE, 0),
        "GIF": (saved(small, "GIF"), small_colours, 0),
        "GIF, animated": (frames("GIF"), PICTURE, 40),
        "GIF, transparent": (saved(small, "GIF", transparency=3), see_through, 0),
        "WebP": (saved(PICTURE, "WEBP", quality=98), PICTURE, 16),
        "WebP, lossless": (saved(PICTURE, "WEBP", lossless=True), PICTURE, 0),
        "WebP, transparent": (
            saved(rgba, "WEBP", lossless=True, exact=True),
            over_white(PICTURE, ALPHA / 255),
            1,
        ),
        "WebP, animated": (frames("WEBP", lossless=True), PICTURE, 0),
        "AVIF": (saved(PICTURE, "AVIF", quality=98, subsampling="4:4:4"), PICTURE, 6),
        "AVIF, transparent": (
            saved(rgba, "AVIF", quality=100, subsampling="4:4:4"),
            over_white(PICTURE, ALPHA / 255),
            6,
        ),
        "BMP": (saved(PICTURE, "BMP"), PICTURE, 0),
        "BMP, 1-bit": (saved(Image.fromarray(black > 0), "BMP"), grey(255 * black), 0),
        "BMP, palette": (saved(small, "BMP"), small_colours, 0),
        "PPM": (b"P6 48 32 255\n" + PICTURE.tobytes(), PICTURE, 0),
        "PPM, 10-bit": (
            b"P6 48 32 1023\n" + (PICTURE.astype(np.int64) * 4).astype(">u2").tobytes(),
            PICTURE * (4 * 255 / 1023),
            1,
        ),
        "PPM, in text": (
            b"P3 48 32 255\n" + " ".join(map(str, PICTURE.ravel().tolist())).encode(),
            PICTURE,
            0,
        ),
        "PGM, 16-bit": (
            b"P5 48 32 65535\n" + ramp(65536).astype(">u2").tobytes(),
            grey(ramp(65536) / 257),
            0.51,
        ),
        "PGM, 10-bit": (
            b"P5 48 32 1023\n" + ramp(1024).astype(">u2").tobytes(),
            grey(ramp(1024) * 255 / 1023),
            0.52,
        ),
        "PFM": (b"Pf 48 32 -1.0\n" + half[::-1].astype("<f4").tobytes(), grey(GREY), 0),
        "TIFF": (tiff(PICTURE.tobytes(), [8, 8, 8], 2), PICTURE, 0),
        "TIFF, a plane a colour": (tiff(planes(PICTURE), [8] * 3, 2, t284=[2]), PICTURE, 0),
        "TIFF, RGBA": (
            tiff(rgba.tobytes(), [8] * 4, 2, t338=[2]),
            over_white(PICTURE, ALPHA / 255),
            1,
        ),
        "TIFF, CMYK": (tiff(INKS.tobytes(), [8] * 4, 5), of_ink(INKS), 2),
        "TIFF, 1-bit": (tiff(np.packbits(black > 0).tobytes(), [1], 1), grey(255 * black), 0),
        "TIFF, fax": (
            saved(Image.fromarray(black > 0), "TIFF", compression="group4"),
            grey(255 * black),
            0,
        ),
        "TIFF, 0 is white": (tiff(GREY.tobytes(), [8], 0), grey(255 - GREY), 0),
        "TIFF, 16-bit, 0 is white": (
            tiff(ramp(65536).astype("<u2").tobytes(), [16], 0),
            grey(255 - ramp(65536) / 257),
            0.51,
        ),
        "TIFF, 12-bit": (tiff(packed12(ramp(4096)), [12], 1), grey(ramp(4096) / 4095 * 255), 0.51),
        "TIFF, float": (tiff(half.tobytes(), [32], 1, t339=[3]), grey(GREY), 0),
        "TIFF, big-endian float": (
            tiff(half.astype(">f4").tobytes(), [32], 1, order=">", t339=[3]),
            grey(GREY),
            0,
        ),
        "TIFF of three pages": (frames("TIFF"), PICTURE, 0),
        **{
            f"TIFF, {name}": (saved(PICTURE, "TIFF", compression=name), PICTURE, 0)
            for name in ("packbits", "tiff_lzw", "tiff_adobe_deflate")
        },
        "TIFF, JPEG inside": (saved(PICTURE, "TIFF", compression="jpeg", quality=98), PICTURE, 12),
        **{
            f"TIFF, 16-bit {name}, {order}-endian": (
                tiff(deep.astype(u2[mark]).tobytes(), [16] * bands, 2 if bands > 1 else 1,
                     order=mark),
                deep / 257 if bands > 1 else grey(deep / 257),
                1 if bands > 1 else 0.51,
            )
            for name, deep, bands in (("grey", ramp(65536), 1), ("RGB", DEEP, 3))
            for order, mark in (("little", "<"), ("big", ">"))
        },
        "TIFF, 16-bit compressed": (
            saved(ramp(65536).astype(np.uint16), "TIFF", compression="tiff_lzw"),
            grey(ramp(65536) / 257),
            0.51,
        ),
    }  # fmt: skip


READABLE = readable()


def close(image: Image.Image, expected: Samples, tolerance: float) -> None:
    """Whether an image is RGB and nowhere further from what is expected."""
    assert image.mode == "RGB"
    assert image.size == (expected.shape[1], expected.shape[0])
    off = np.abs(np.asarray(image, np.float64) - expected)
    assert off.max() <= tolerance, f"{off.max()} off at {np.unravel_index(off.argmax(), off.shape)}"


@pytest.mark.parametrize("kind", READABLE)
def test_what_can_be_read_is_read_right(kind, tmp_path):
    data, expected, tolerance = READABLE[kind]
    close(decode(io.BytesIO(data)), expected, tolerance)
    assert measured(io.BytesIO(data)) == (48, 32)
    # A file is read as its bytes are, whatever it is called.
    file = tmp_path / "image.jpg"
    file.write_bytes(data)
    close(decode(file), np.asarray(decode(io.BytesIO(data))), 0)
    assert measured(file) == (48, 32)


SIDES = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}
"""Where row 0 and column 0 are seen (TIFF 6.0, page 36)."""


def upright(stored: Samples, orientation: object) -> Samples:
    """A picture as its orientation says that it is seen."""
    row, column = SIDES.get(orientation, SIDES[1])
    rows_run_across = row in ("left", "right")
    seen = stored.swapaxes(0, 1) if rows_run_across else stored
    if "bottom" in (row, column):
        seen = seen[::-1]
    return seen[:, ::-1] if "right" in (row, column) else seen


def turned(kind: str, orientation: int) -> tuple[bytes, float]:
    """The picture with an orientation, in a kind of file that can have one."""
    data = exif(orientation)
    best = {"quality": 98, "subsampling": 0}
    xmp = XMP.replace(b"6", str(orientation).encode())
    packet = b"XML:com.adobe.xmp" + bytes(5) + xmp
    return {
        "JPEG": lambda: (saved(PICTURE, "JPEG", exif=data, **best), 5),
        "JPEG, progressive": lambda: (
            saved(PICTURE, "JPEG", exif=data, progressive=True, **best),
            5,
        ),
        "JPEG, in XMP": lambda: (saved(PICTURE, "JPEG", xmp=xmp, **best), 5),
        "PNG": lambda: (png(PICTURE, 8, 2, chunk(b"eXIf", data[6:])), 0),
        "PNG, behind the pixels": lambda: (png(PICTURE, 8, 2, after=chunk(b"eXIf", data[6:])), 0),
        "PNG, in XMP": lambda: (png(PICTURE, 8, 2, after=chunk(b"iTXt", packet)), 0),
        "WebP": lambda: (saved(PICTURE, "WEBP", lossless=True, exif=data), 0),
        "AVIF": lambda: (saved(PICTURE, "AVIF", quality=98, subsampling="4:4:4", exif=data), 6),
        "TIFF": lambda: (tiff(PICTURE.tobytes(), [8] * 3, 2, t274=[orientation]), 0),
        "TIFF, 16-bit": lambda: (
            tiff(DEEP.astype(">u2").tobytes(), [16] * 3, 2, order=">", t274=[orientation]),
            1,
        ),
        "TIFF, compressed": lambda: (
            saved(PICTURE, "TIFF", compression="tiff_lzw", tiffinfo={274: orientation}),
            0,
        ),
        "TIFF, in XMP": lambda: (saved(PICTURE, "TIFF", tiffinfo={700: xmp}), 0),
    }[kind]()  # fmt: skip


TURNABLE = (
    *("JPEG", "JPEG, progressive", "JPEG, in XMP", "PNG", "PNG, behind the pixels", "PNG, in XMP"),
    *("WebP", "AVIF", "TIFF", "TIFF, 16-bit", "TIFF, compressed", "TIFF, in XMP"),
)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", TURNABLE)
def test_images_come_upright(kind, orientation):
    data, tolerance = turned(kind, orientation)
    expected = upright(PICTURE, orientation)
    close(decode(io.BytesIO(data)), expected, tolerance)
    assert measured(io.BytesIO(data)) == (expected.shape[1], expected.shape[0])


NO_ORIENTATION = {
    "zero": exif(0),
    "nine": exif(9),
    "65535": exif(65535),
    "negative": exif(struct.pack("<h", -6)),
    "text": exif(b"6\0", kind=2),
    "cut": exif(6)[:-9],
    "nowhere": b"Exif\0\0II*\0\xff\xff\xff\xff",
    "none": b"Exif\0\0nothing of the kind",
}


@pytest.mark.parametrize("data", NO_ORIENTATION.values(), ids=NO_ORIENTATION)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_an_orientation_that_is_none_turns_nothing(kind, data):
    if kind == "PNG":
        encoded, tolerance = png(PICTURE, 8, 2, chunk(b"eXIf", data[6:])), 0
    else:
        encoded, tolerance = saved(PICTURE, kind, exif=data, quality=98), 16
    close(decode(io.BytesIO(encoded)), PICTURE, tolerance)
    assert measured(io.BytesIO(encoded)) == (48, 32)


@pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")
@pytest.mark.parametrize("kind", ["JPEG, CMYK as Adobe inverts it", "JPEG, YCCK", "JPEG", "PNG"])
def test_torchvision_sees_the_same(kind):
    import torch

    data, _, tolerance = READABLE[kind]
    theirs = decode_image(torch.frombuffer(bytearray(data), dtype=torch.uint8), ImageReadMode.RGB)
    close(decode(io.BytesIO(data)), theirs.permute(1, 2, 0).numpy(), max(tolerance, 1))


def test_images_that_are_converted_in_bands_are_what_they_would_be_whole():
    width, height = 900, 700
    alpha = ramp(256, width, height)
    large = np.concatenate([picture(width, height), alpha[..., None].astype(np.uint8)], -1)
    data = exif(6)
    image = decode(io.BytesIO(saved(large, "PNG", compress_level=1, exif=data[6:])))
    close(image, upright(over_white(large[..., :3], alpha / 255), 6), 1)
    deep = ramp(65536, width, height)
    image = decode(io.BytesIO(saved(deep.astype(np.uint16), "PNG", compress_level=1)))
    close(image, grey(deep / 257), 0.51)


def test_a_gif_is_as_large_as_its_screen():
    small = Image.fromarray(PICTURE).quantize(16)
    data = bytearray(saved(small, "GIF"))
    struct.pack_into("<HH", data, 6, 60, 40)
    image = decode(io.BytesIO(bytes(data)))
    assert image.size == measured(io.BytesIO(bytes(data))) == (60, 40)
    close(image.crop((0, 0, 48, 32)), np.asarray(small.convert("RGB")), 0)


# What is skipped, and what that costs.

HEADER = "not an image, or one with a damaged header"


def sized(width: int, height: int) -> bytes:
    """A PNG that says so of itself and has next to no pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def webp_of(width: int, height: int) -> bytes:
    """An animation on a canvas that is larger than its frames."""
    data = bytearray(frames("WEBP", lossless=True))
    data[24:30] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes(data)


def with_wrong_checksum(data: bytes, name: bytes) -> bytes:
    """A PNG of which the last byte of a chunk's checksum is another."""
    at = data.index(name)
    length = int.from_bytes(data[at - 4 : at])
    changed = bytearray(data)
    changed[at + 4 + length + 3] ^= 1
    return bytes(changed)


def unreadable() -> dict[str, tuple[bytes, str]]:
    """Kinds of files that are skipped: the bytes, and why."""
    bomb = zlib.compress(bytes(20_000_000), 1)
    coloured = png(GREY, 8, 3, PLTE, chunk(b"tRNS", CLEAR.tobytes()))
    jpeg = saved(PICTURE, "JPEG", quality=98)
    progressive = saved(PICTURE, "JPEG", quality=98, progressive=True)
    truncated = r"image file is truncated \(\d+ bytes not processed\)"
    too_much = "Decompressed data too large.*"
    nan = np.where(ramp(7) == 3, np.nan, 0.5).astype("<f4").tobytes()
    bright = (ramp(256) / 100).astype("<f4").tobytes()
    gif = bytearray(saved(Image.fromarray(PICTURE).quantize(16), "GIF"))
    gif[6:10] = b"\xff\xff\xff\xff"
    wide_gif = bytearray(gif)
    struct.pack_into("<HH", wide_gif, 6, 9000, 9000)
    bmp = bytearray(saved(PICTURE, "BMP"))
    struct.pack_into("<ii", bmp, 18, 40000, 40000)
    return {
        "empty": (b"", "the file is empty"),
        "text": (b"not a picture\n", HEADER),
        "a web page": (b"<!DOCTYPE html><html>404</html>", HEADER),
        "zeros": (bytes(5000), HEADER),
        "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nquit\n", HEADER),
        "JPEG cut in its header": (jpeg[:100], "Truncated File Read"),
        "JPEG cut after its header": (jpeg[:700], truncated),
        "JPEG cut in the middle": (jpeg[: len(jpeg) - 300], truncated),
        "JPEG cut close to its end": (jpeg[:-20], truncated),
        "JPEG, progressive, cut": (progressive[: len(progressive) // 2], truncated),
        "JPEG with text for pixels": (jpeg[:20] + b"text" * 500, HEADER),
        "PNG cut in the middle": (png(PICTURE, 8, 2)[:1500], ".*"),
        "PNG without an end": (png(PICTURE, 8, 2)[:-12], "truncated PNG file"),
        "PNG without pixels": (png(PICTURE, 8, 2)[:33], HEADER),
        "PNG with a wrong checksum of its header": (
            with_wrong_checksum(coloured, b"IHDR"),
            HEADER,
        ),
        "PNG with a wrong checksum of its palette": (
            with_wrong_checksum(coloured, b"PLTE"),
            HEADER,
        ),
        "PNG with a wrong checksum of its pixels": (
            with_wrong_checksum(coloured, b"IDAT"),
            "broken PNG file .bad header checksum in b'IDAT'.",
        ),
        "PNG, text bomb": (png(GREY, 8, 0, chunk(b"zTXt", b"a\0\0" + bomb)), too_much),
        "PNG, text bomb behind the pixels": (
            png(GREY, 8, 0, after=chunk(b"zTXt", b"a\0\0" + bomb)),
            too_much,
        ),
        "PNG, international text bomb": (
            png(GREY, 8, 0, chunk(b"iTXt", b"a\0\1\0\0\0" + bomb)),
            too_much,
        ),
        "PNG, transparent colour of 16 bits": (
            png(DEEP, 16, 2, chunk(b"tRNS", b"\0\1\0\2\0\3")),
            "a transparent colour of 16 bits",
        ),
        "PNG, large": (sized(9000, 9000), "9000 × 9000 pixels is too large"),
        "PNG, enormous": (sized(40000, 40000), "too large"),
        "PNG, narrow": (sized(5100, 100), "5100 × 100 pixels is too narrow"),
        "GIF, large": (bytes(wide_gif), "9000 × 9000 pixels is too large"),
        "GIF, enormous": (bytes(gif), "too large"),
        "BMP, enormous": (bytes(bmp), "too large"),
        "WebP, large": (webp_of(9000, 9000), "9000 × 9000 pixels is too large"),
        "WebP, enormous": (webp_of(16383, 16383), "too large"),
        "PPM, enormous": (b"P6 40000 40000 255\n", "too large"),
        "PPM in text, short": (b"P3 7000 7000 255\n1 2 3", ".*"),
        "TIFF, enormous": (tiff(b"", [8], 1, width=40000, height=40000), "too large"),
        "TIFF with an enormous tile": (
            tiff(bytes(64), [8], 1, t322=[65535], t323=[65535], t324=[8], t325=[64], t259=[5]),
            ".*",
        ),
        "TIFF cut": (tiff(PICTURE.tobytes(), [8] * 3, 2)[:2000], HEADER),
        "TIFF, float beyond 1": (tiff(bright, [32], 1, t339=[3]), r"samples outside of \[0, 1\]"),
        "TIFF, float with NaN": (tiff(nan, [32], 1, t339=[3]), r"samples outside of \[0, 1\]"),
        "TIFF, 32-bit integers": (
            tiff(ramp(70000).astype("<u4").tobytes(), [32], 1),
            "integer samples of unknown range",
        ),
        "TIFF, signed": (
            tiff(ramp(30000).astype("<i2").tobytes(), [16], 1, t339=[2]),
            "integer samples of unknown range",
        ),
        "WebP cut": (saved(PICTURE, "WEBP", quality=98)[:300], ".*"),
        "AVIF cut": (saved(PICTURE, "AVIF")[:-50], ".*"),
        "GIF cut": (frames("GIF")[:1500], truncated),
        "BMP cut": (saved(PICTURE, "BMP")[:500], truncated),
    }


UNREADABLE = unreadable()


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_cannot_be_read_is_skipped_with_a_reason(kind, tmp_path):
    data, reason = UNREADABLE[kind]
    with pytest.raises(UnreadableImageError) as caught:
        decode(io.BytesIO(data))
    pattern = re.compile(reason)
    assert pattern.fullmatch(str(caught.value)), str(caught.value)
    file = tmp_path / "image.jpg"
    file.write_bytes(data)
    with pytest.raises(UnreadableImageError) as caught:
        decode(file)
    assert pattern.fullmatch(str(caught.value)), str(caught.value)
    assert str(tmp_path) not in str(caught.value)
    with contextlib.suppress(OSError):  # it may have a size all the same
        measured(file)


def test_places_without_an_image_are_skipped_with_a_reason(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "nowhere.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "circle.jpg").symlink_to(tmp_path / "circle.jpg")
    (tmp_path / "large.png").write_bytes(png(PICTURE, 8, 2))
    os.truncate(tmp_path / "large.png", MAX_BYTES + 1)
    (tmp_path / "locked.jpg").write_bytes(saved(PICTURE, "JPEG"))
    (tmp_path / "locked.jpg").chmod(0)
    expected = {
        "folder.jpg": "a folder",
        "broken.jpg": "No such file or directory",
        "pipe.jpg": "not a file",
        "circle.jpg": "Too many levels of symbolic links",
        "large.png": "600 MB are too large",
    }
    if not os.access(tmp_path / "locked.jpg", os.R_OK):  # nothing is locked for root
        expected["locked.jpg"] = "Permission denied"
    for name, reason in expected.items():
        with pytest.raises(UnreadableImageError) as caught:
            decode(tmp_path / name)
        assert str(caught.value) == reason
        with pytest.raises(OSError, match=r"."):
            measured(tmp_path / name)


def test_measuring_raises_what_it_says():
    for kind in ("PNG, large", "PNG, enormous", "text", "empty", "GIF, large", "PNG, narrow"):
        with pytest.raises(OSError, match=r"."):
            measured(io.BytesIO(UNREADABLE[kind][0]))


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Python in a process of its own."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


PEAK = """
    import sys
    from contextlib import suppress
    from pathlib import Path
    from atlas.examples.decode import UnreadableImageError, decode

    def peak():
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

    with suppress(UnreadableImageError):
        decode(Path(sys.argv[1]))  # what is loaded once
    before = peak()
    for file in sys.argv[2:]:
        with suppress(UnreadableImageError):
            decode(Path(file))
    print((peak() - before) * 1024)
"""

on_linux = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="needs /proc, to see the peak of memory"
)


@on_linux
def test_bombs_take_no_memory(tmp_path):
    small = tmp_path / "small.png"
    small.write_bytes(png(PICTURE, 8, 2))
    files = []
    for number, (kind, (data, _)) in enumerate(UNREADABLE.items()):
        if any(word in kind for word in ("bomb", "large", "enormous", "narrow")):
            files.append(tmp_path / f"{number}.jpg")
            files[-1].write_bytes(data)
    assert len(files) >= 12
    result = run(PEAK, small, *files)
    assert int(result.stdout) < 80e6, result.stderr
    assert result.stderr == ""


@on_linux
@pytest.mark.parametrize(
    ("kind", "most"),
    [("JPEG", 10), ("PNG", 10), ("TIFF", 14), ("WEBP", 20), ("AVIF", 18)],
)
def test_memory_is_a_few_bytes_a_pixel(kind, most, tmp_path):
    small = Image.fromarray(picture())
    options = {"exif": exif(6)} | {"AVIF": {"speed": 10}, "WEBP": {"method": 0}}.get(kind, {})
    files = []
    for width, height in ((48, 32), (2400, 1600)):
        image = small.resize((width, height)).convert("RGB" if kind == "JPEG" else "RGBA")
        files.append(tmp_path / f"{width}.{kind.lower()}")
        image.save(files[-1], kind, **options)
    result = run(PEAK, *files)
    assert int(result.stdout) < most * 2400 * 1600 + 8e6, result.stderr


def test_threads_decode_in_silence_and_leave_warnings_as_they_were(tmp_path):
    """Damage that Pillow, libtiff and numpy each would tell stderr about."""
    odd = {
        "cut.tif": saved(PICTURE, "TIFF", compression="tiff_lzw")[:-40],
        "tables.tif": saved(PICTURE, "TIFF", compression="jpeg").replace(b"\xff\xdb", b"\xff\xfe"),
        "many.tif": tiff(PICTURE.tobytes(), [8] * 3, 2, t277=[9000]),
        "exif.jpg": saved(PICTURE, "JPEG", exif=exif(6)[:20]),
        "apng.png": png(PICTURE, 8, 2, chunk(b"acTL", bytes(8))),
        "palette.png": UNREADABLE["PNG with a wrong checksum of its palette"][0],
        "nan.tif": UNREADABLE["TIFF, float with NaN"][0],
        "bright.jpg": sized(12000, 8000),
    }
    for name, data in odd.items():
        (tmp_path / name).write_bytes(data)
    code = """
        import sys, warnings
        from concurrent.futures import ThreadPoolExecutor
        from pathlib import Path
        from atlas.examples.decode import UnreadableImageError, decode, measured

        def attempt(path):
            for reading in (decode, measured):
                try:
                    reading(path)
                except (UnreadableImageError, OSError):
                    pass

        before = warnings.filters[:]
        files = sorted(Path(sys.argv[1]).iterdir()) * 30
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(attempt, files))
        warnings.warn("heard")
        print(len([f for f in warnings.filters if f not in before]))
    """
    result = run(code, tmp_path)
    assert result.stdout == "1\n", result.stderr
    assert [line for line in result.stderr.splitlines() if "heard" not in line] == []
    assert "UserWarning: heard" in result.stderr


def test_threads_read_what_one_reads():
    kinds = list(READABLE)
    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(lambda kind: decode(io.BytesIO(READABLE[kind][0])), kinds * 2))
    for kind, image in zip(kinds * 2, images, strict=True):
        close(image, np.asarray(decode(io.BytesIO(READABLE[kind][0]))), 0)


def test_files_are_closed(tmp_path):
    opened = Path("/proc/self/fd")
    if not opened.exists():
        pytest.skip("needs /proc, to see open files")
    file = tmp_path / "image.jpg"
    for data in [entry[0] for entry in (*READABLE.values(), *UNREADABLE.values())]:
        file.write_bytes(data)
        before = len(os.listdir(opened))
        errors = []
        for reading in (decode, measured):
            try:
                reading(file)
            except (UnreadableImageError, OSError) as error:
                errors.append(error)  # with all that its traceback holds on to
        assert len(os.listdir(opened)) == before
