"""Makes the strips that `atlas.site.sheets` planned, each once.

A strip's key names everything its bytes depend on. If the index knows the key and the file still
has the digest it had, nothing is done and no master is read. A file that the ledger knows to be
untouched, and made of the same records, is not even asked for that.
"""

from __future__ import annotations

import io
import json
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from atlas.errors import WorkError
from atlas.site.catalogue import RenderRecord, WholeTile
from atlas.site.files import digest_of, sha256, write_if_changed
from atlas.site.ledger import Ledger, fingerprint
from atlas.site.media import Media, SheetIndex
from atlas.site.sheets import Format, Shown, Strip

STAGE_VERSION = 2
"""Raise it when the same inputs are meant to give other bytes."""

AVIF_SPEED = 8
"""Measured on a strip of seven 224-px renders at quality 50, one core: speed 8 takes 0.12 s for
92 kB, speed 6 0.35 s for 93 kB at a PSNR 0.1 dB higher, speed 4 2.0 s for 101 kB at +1 dB."""

CARD_QUALITY = 80

WORKERS = min(4, os.cpu_count() or 1)


@dataclass(frozen=True)
class SheetCounts:
    """How many sheets were made anew and how many stood already."""

    encoded: int
    reused: int


@dataclass(frozen=True)
class Encoder:
    """How image files are coded; `photograph_quality` is of strips of photographs."""

    format: Format
    quality: int
    photograph_quality: int

    def of(self, strip: Strip) -> tuple[Format, int]:
        """The format and quality of a strip; cards are always JPEG, which everybody reads."""
        quality = self.photograph_quality if strip.of_photographs else self.quality
        return ("jpeg", CARD_QUALITY) if strip.columns else (self.format, quality)


def strip_key(strip: Strip, media: Media, encoder: Encoder) -> str:
    """The sha256 of all that decides a strip's bytes, as canonical JSON."""
    facts = {
        "stage": "sheet",
        "version": STAGE_VERSION,
        "format": encoder.of(strip),
        "tile": strip.size,
        "columns": strip.columns,
        "inputs": [_digest(source, media) for source in strip.sources],
    }
    return sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode())


def compose(pictures: Sequence[NDArray[np.uint8]], size: int, columns: int = 0) -> Image.Image:
    """Square RGB pictures (h, h, 3) side by side, each resized to `size`: Lanczos down, bicubic up.

    In rows of `columns`, or in one where that is 0.

    Raises:
        WorkError: a picture is not square, which would have to be stretched.
    """
    columns = columns or len(pictures)
    rows = -(-len(pictures) // columns)
    strip = Image.new("RGB", (size * columns, size * rows))
    for i, pixels in enumerate(pictures):
        if pixels.ndim != 3 or pixels.shape[0] != pixels.shape[1] or pixels.shape[2] != 3:
            raise WorkError(f"a picture of shape {pixels.shape} is not a square RGB image")
        picture = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.uint8))
        if picture.width != size:
            up = picture.width < size
            kernel = Image.Resampling.BICUBIC if up else Image.Resampling.LANCZOS
            picture = picture.resize((size, size), kernel)
        strip.paste(picture, (i % columns * size, i // columns * size))
    return strip


def encode(image: Image.Image, format: Format, quality: int) -> bytes:
    """The file of an image; the same bytes every time (one thread each, no metadata).

    Colour keeps its full resolution where the format can: halved, a decoder mixes the colours of
    neighbouring tiles along their edge (measured: 2 % more bytes at quality 50).
    """
    buffer = io.BytesIO()
    if format == "avif":
        image.save(
            buffer, "AVIF", quality=quality, speed=AVIF_SPEED, subsampling="4:4:4", max_threads=1
        )
    elif format == "webp":
        image.save(buffer, "WEBP", quality=quality, method=4)
    else:
        image.save(buffer, "JPEG", quality=quality, subsampling="4:4:4", optimize=True)
    return buffer.getvalue()


def make_sheets(
    strips: Sequence[Strip],
    media: Media,
    out: Path,
    index: SheetIndex,
    ledger: Ledger,
    encoder: Encoder,
    progress: Callable[[str, int, int], None] | None = None,
) -> SheetCounts:
    """Bring every strip's file in `out` up to date.

    Masters and the index are only ever touched from the calling thread, since a store need not
    bear more than one; encoders, which release the interpreter's lock, run in a few others.
    """
    encoded = reused = done = 0
    pending: deque[tuple[str, str, Strip, Future[bytes]]] = deque()
    common = fingerprint(STAGE_VERSION, encoder, media.photographs_digest())

    def step() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress("sheets", done, len(strips))

    def finish() -> None:
        nonlocal encoded
        records, key, strip, future = pending.popleft()
        data = future.result()
        write_if_changed(out / strip.path, data)
        index.put(key, sha256(data))
        ledger.enter(strip.path, records)
        encoded += 1
        step()

    with ThreadPoolExecutor(WORKERS) as pool:
        try:
            for strip in strips:
                shown = [
                    media.render_digest(s) if isinstance(s, RenderRecord) else s
                    for s in strip.sources
                ]
                records = fingerprint(common, strip.size, strip.columns, shown)
                if ledger.fresh(strip.path, records):
                    reused += 1
                    step()
                    continue
                key = strip_key(strip, media, encoder)
                known = index.get(key)
                if known is not None and known == digest_of(out / strip.path):
                    ledger.enter(strip.path, records)
                    reused += 1
                    step()
                    continue
                pixels = [_pixels(s, media) for s in strip.sources]
                image = compose(pixels, strip.size, strip.columns)
                coded = pool.submit(encode, image, *encoder.of(strip))
                pending.append((records, key, strip, coded))
                if len(pending) > 2 * WORKERS:  # bounds the memory, not the speed
                    finish()
            while pending:
                finish()
        finally:
            for *_, future in pending:
                future.cancel()
    return SheetCounts(encoded, reused)


def _pixels(source: Shown, media: Media) -> NDArray[np.uint8]:
    if isinstance(source, RenderRecord):
        return media.render(source)
    return media.whole(source) if isinstance(source, WholeTile) else media.crop(source)


def _digest(source: Shown, media: Media) -> str:
    if isinstance(source, RenderRecord):
        return media.render_digest(source)
    if isinstance(source, WholeTile):
        return media.whole_digest(source)
    return media.crop_digest(source)
