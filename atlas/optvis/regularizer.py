"""Regularizers by name: the spectrum from none to strong, as one list (Olah et al. 2017,
"The Spectrum of Regularization").

    transforms            Distill's: pad, jitter, scale, rotate, jitter, crop
    pad, jitter, rotate, scale                  one of them alone, or several
    contrast, tv, l1, l2, patches               penalties
    blur, bilateral                             filters of the image after each step
    gradient-blur, gradient-laplacian           filters of its gradient
    none                                        nothing at all

A number behind a colon is the strength: ``jitter:8``, ``tv:0.5``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from atlas.errors import RecipeError
from atlas.optvis.transform import NO_TRANSFORMS, Transforms


@dataclass(frozen=True)
class _Kind:
    """A regularizer's default strength, the range allowed, and what the number means."""

    default: float
    least: float
    most: float
    meaning: str
    whole: bool = False


TRANSFORMS: dict[str, _Kind] = {
    "pad": _Kind(16, 0, 1024, "pixels of grey border", whole=True),
    "jitter": _Kind(16, 0, 1024, "pixels of window to shift in", whole=True),
    "rotate": _Kind(5, 0, 180, "most degrees either way"),
    "scale": _Kind(1.05, 1, 4, "largest factor"),
}
REGULARIZERS: dict[str, _Kind] = {
    "tv": _Kind(3, 0, 1e9, "weight of the total variation"),
    "l1": _Kind(0.5, 0, 1e9, "weight of the mean distance from grey"),
    "l2": _Kind(2, 0, 1e9, "weight of the mean squared distance from grey"),
    "contrast": _Kind(1, 0, 1e9, "weight of what goes beyond a limit of contrast"),
    "patches": _Kind(10, 0, 1e9, "weight of the squared distance to patches of photographs"),
    "blur": _Kind(0.4, 0, 64, "standard deviation in pixels"),
    "bilateral": _Kind(0.6, 0, 8, "standard deviation in pixels"),
    "gradient-blur": _Kind(1.0, 0, 64, "standard deviation in pixels"),
    "gradient-laplacian": _Kind(4, 1, 8, "levels of the pyramid", whole=True),
}
NAMES = ("none", "transforms", *TRANSFORMS, *REGULARIZERS)


DEFAULT = ("transforms", "contrast", "tv")
"""What a recipe has where nothing else is asked for."""


@dataclass(frozen=True)
class Regularizer:
    """A penalty or filter with its strength (`REGULARIZERS` says what the number means)."""

    name: str
    strength: float

    def __str__(self) -> str:
        return f"{self.name}:{self.strength:g}"


PENALTIES = tuple(Regularizer(name, REGULARIZERS[name].default) for name in ("contrast", "tv"))
"""Of the default."""


def parse_regularizers(names: Sequence[str]) -> tuple[Transforms, tuple[Regularizer, ...]]:
    """Read a list of regularizers: the transforms among them, and the others in order.

    Raises:
        RecipeError: an unknown name, a strength out of range, one named twice, or ``none``
            beside others.
    """
    transforms, others, seen = NO_TRANSFORMS, [], set()
    for text in names:
        name, strength = _read(text)
        if name in seen:
            raise RecipeError(f"regularizer {name!r} is named twice")
        seen.add(name)
        if name in REGULARIZERS:
            others.append(Regularizer(name, strength))
        elif name in TRANSFORMS:
            transforms = _with(transforms, name, strength)
    if "none" in seen and len(seen) > 1:
        raise RecipeError("regularizer 'none' goes with no others")
    if "transforms" in seen:
        if alone := [name for name in TRANSFORMS if name in seen]:
            raise RecipeError(f"regularizer {alone[0]!r} is part of 'transforms'; give one of them")
        transforms = Transforms()
    return transforms, tuple(others)


def _read(text: str) -> tuple[str, float]:
    name, colon, number = text.strip().partition(":")
    name = name.strip().lower()
    if name not in NAMES:
        raise RecipeError(f"unknown regularizer {text.strip()!r}; choose from {', '.join(NAMES)}")
    kind = TRANSFORMS.get(name) or REGULARIZERS.get(name)
    if not colon:
        return name, kind.default if kind else 0.0
    if kind is None:
        raise RecipeError(f"regularizer {name!r} takes no number, but {text.strip()!r} gives one")
    try:
        strength = float(number)
    except ValueError:
        strength = math.nan
    whole = "a whole number" if kind.whole else "a number"
    if not kind.least <= strength <= kind.most or (kind.whole and strength != int(strength)):
        raise RecipeError(
            f"regularizer {text.strip()!r}: the strength ({kind.meaning}) must be {whole} "
            f"from {kind.least:g} to {kind.most:g}"
        )
    return name, strength


def _with(transforms: Transforms, name: str, strength: float) -> Transforms:
    """`transforms` with one more of them, drawn as Distill's composite draws its own."""
    if name == "pad":
        return replace(transforms, pad=int(strength))
    if name == "jitter":
        return replace(transforms, jitter=int(strength))
    if name == "rotate":
        whole = max(1, math.floor(strength))
        steps = range(-whole, whole + 1)
        return replace(transforms, angles=tuple(strength * step / whole for step in steps))
    more = strength - 1
    factors = (1.0, 1 - more / 2, 1 + more / 2, 1 / strength, strength)
    return replace(transforms, scales=factors)
