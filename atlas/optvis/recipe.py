"""Recipes: everything that decides a render's pixels, and the random streams that follow."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

import numpy as np

from atlas.errors import RecipeError
from atlas.optvis.transform import Transforms
from atlas.units import Unit

Kind = Literal["neuron", "positive", "diverse", "negative"]
KINDS: tuple[Kind, ...] = ("neuron", "positive", "diverse", "negative")
DIVERSE = 4
"""How many diverse images are optimized together (Olah et al. 2017, appendix)."""

VERSION = 1
"""Version of the render stage: raised whenever the same recipe would give other pixels."""

MIN_SIZE, MAX_SIZE, MAX_STEPS = 32, 4096, 1_000_000


@dataclass(frozen=True)
class Recipe:
    """What all renders of a build share.

    `size` is in pixels, `learning_rate` Adam's. `redirect_steps` is how long blocked gradients
    are let through ReLUs (DESIGN §6, dead starts).
    """

    size: int = 224
    steps: int = 512
    learning_rate: float = 0.05
    redirect_steps: int = 16
    transforms: Transforms = field(default_factory=Transforms)

    def __post_init__(self) -> None:
        if not MIN_SIZE <= self.size <= MAX_SIZE:
            raise RecipeError(f"size must be {MIN_SIZE} to {MAX_SIZE} pixels, not {self.size}")
        if not 0 <= self.steps <= MAX_STEPS:
            raise RecipeError(f"steps must be 0 to {MAX_STEPS}, not {self.steps}")

    def as_json(self) -> dict[str, object]:
        """The recipe as plain data; part of the store's keys and of the manifest."""
        return {
            "stage": "render",
            "version": VERSION,
            "parameterization": "fourier, colours decorrelated",
            "optimizer": "adam",
            **asdict(self),
        }


PRESETS: dict[str, tuple[int, int]] = {
    "draft": (96, 64),
    "standard": (224, 512),
    "distill": (224, 2560),
}
"""Name → (size in pixels, steps). `distill` is the appendix's recipe (DESIGN §6)."""


def from_preset(name: str, size: int | None = None, steps: int | None = None) -> Recipe:
    """The recipe of a preset, with size and steps overridden where given.

    Raises:
        RecipeError: no such preset, or size or steps out of range.
    """
    if name not in PRESETS:
        raise RecipeError(f"unknown preset {name!r}; choose {', '.join(PRESETS)}")
    preset_size, preset_steps = PRESETS[name]
    return Recipe(
        size=preset_size if size is None else size,
        steps=preset_steps if steps is None else steps,
    )


@dataclass(frozen=True)
class Render:
    """One image to be made: which channel, which kind, which of its kind, from which seed."""

    unit: Unit
    kind: Kind
    number: int
    seed: int

    def as_json(self) -> dict[str, object]:
        """The render as plain data; with the recipe and the model it makes the store's key."""
        return {
            "layer": self.unit.layer,
            "channel": self.unit.index,
            "kind": self.kind,
            "number": self.number,
            "seed": self.seed,
        }


def check_kinds(kinds: Collection[str]) -> tuple[Kind, ...]:
    """`kinds` in display order, each once.

    Raises:
        RecipeError: none at all, or one that does not exist.
    """
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise RecipeError(f"unknown kind {unknown[0]!r}; choose from {', '.join(KINDS)}")
    if not kinds:
        raise RecipeError(f"no kinds given; choose from {', '.join(KINDS)}")
    return tuple(kind for kind in KINDS if kind in kinds)


def seed_for(unit: Unit, kind: Kind, number: int, base: int = 0) -> int:
    """A render's own 32-bit seed, from what it shows and the build's base seed."""
    text = f"{unit}/{kind}/{number}/{base}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def renders_of(unit: Unit, kinds: Collection[Kind] = KINDS, base: int = 0) -> tuple[Render, ...]:
    """The renders of a unit in display order, `diverse` counted four times."""
    return tuple(
        Render(unit, kind, number, seed_for(unit, kind, number, base))
        for kind in KINDS
        if kind in kinds
        for number in range(DIVERSE if kind == "diverse" else 1)
    )


def stream(seed: int, purpose: Literal["start", "transforms"]) -> np.random.Generator:
    """A random stream that belongs to one render alone, whatever its batch-mates (DESIGN §5)."""
    lane = {"start": 0, "transforms": 1}[purpose]
    return np.random.Generator(np.random.Philox(key=(lane << 64) | seed))


def reseed(renders: Collection[Render], seed: int) -> tuple[Render, ...]:
    """The same renders with `seed` as their own seed, counting up where there are several."""
    return tuple(replace(r, seed=(seed + i) % 2**32) for i, r in enumerate(renders))
