"""How numbers, lists and foreign text are put into words, for pages and captions."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]+")
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_RESERVED = {"static", "media", "con", "nul", "aux", "prn"}


def clean(text: str, limit: int = 90) -> str:
    """`text` on one line, without control and direction marks, cut to `limit` characters."""
    flat = " ".join(_CONTROL.sub(" ", text[: 4 * limit]).split())
    flat = flat.encode("utf-8", "replace").decode("utf-8")
    if len(flat) <= limit and len(text) <= 4 * limit:
        return flat
    return flat[: limit - 1].rstrip() + "…"


def number(value: float) -> str:
    """A measured value in about three figures: ``1,240``, ``61.5``, ``0.034``, ``−229``."""
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    size = abs(value)
    if size >= 1e7 or 0 < size < 1e-4:
        text = f"{size:.2e}"
    elif size >= 99.95:
        text = f"{size:,.0f}"
    elif size >= 9.995:
        text = f"{size:.1f}"
    elif size >= 0.9995:
        text = f"{size:.2f}"
    else:
        text = f"{size:.3g}"
    return f"−{text}" if value < 0 and text.strip("0.,") else text


def percent(share: float) -> str:
    """A share in [0, 1] as ``24 %``; never rounds something to nothing or almost all to all."""
    if not math.isfinite(share):
        return "an unknown share"
    value = 100 * share
    if 0 < value < 1:
        return "less than 1 %"
    if 99 < value < 100:
        return "over 99 %"
    return f"{value:.0f} %"


def count(amount: int, one: str, many: str | None = None) -> str:
    """``1 channel``, ``5,808 channels``."""
    return f"{amount:,} {one if amount == 1 else (many or one + 's')}"


def listed(parts: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def slug(layer: str) -> str:
    """The folder a layer's pages live in: its name, if that is a harmless file name."""
    safe = _SAFE.fullmatch(layer) is not None and not layer.endswith(".")
    if safe and layer.lower() not in _RESERVED:
        return layer
    digest = hashlib.sha256(layer.encode("utf-8", "replace")).hexdigest()[:8]
    return f"layer-{digest}"


def short(layer: str) -> str:
    """The name of a layer where room is scarce: ``4c`` for ``mixed4c``, ``c0`` for ``conv2d0``."""
    match = re.fullmatch(r"mixed(\d\w)|conv2d(\d+)", layer)
    if match is None:
        return layer
    return match[1] or f"c{match[2]}"
