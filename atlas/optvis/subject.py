"""Subjects: the images of a batch, each with its own objective and seed."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from atlas.errors import ObjectiveError, RecipeError
from atlas.optvis.objective import Objective, channel, neuron
from atlas.units import Unit

Kind = Literal["neuron", "positive", "diverse", "negative"]
KINDS: tuple[Kind, ...] = ("neuron", "positive", "diverse", "negative")
DIVERSE = 4
"""How many diverse images are optimized together (Olah et al. 2017, appendix)."""

MAX_TOGETHER = 64
"""Most images of one diverse set or interpolation."""

Role = Literal["single", "diverse", "frame"]


class Subject(Protocol):
    """One image to be made.

    Subjects of one `group` are optimized with regard to each other: as a diverse set, or as the
    frames of an interpolation, in the order they come.
    """

    @property
    def objective(self) -> Objective: ...
    @property
    def seed(self) -> int: ...
    @property
    def role(self) -> Role: ...
    @property
    def group(self) -> str: ...


@dataclass(frozen=True)
class Render:
    """An image of a channel: which channel, which kind, which of its kind, from which seed."""

    unit: Unit
    kind: Kind
    number: int
    seed: int

    @property
    def objective(self) -> Objective:
        """Positive, diverse: ReLU(a); negative: ReLU(−a); neuron: a at the centre (DESIGN §2)."""
        if self.kind == "neuron":
            return neuron(self.unit.layer, self.unit.index)
        return channel(self.unit.layer, self.unit.index, -1 if self.kind == "negative" else 1)

    @property
    def role(self) -> Role:
        """`diverse` renders regard each other."""
        return "diverse" if self.kind == "diverse" else "single"

    @property
    def group(self) -> str:
        """The unit: its diverse renders are one set."""
        return str(self.unit)

    def as_json(self) -> dict[str, object]:
        """The render as plain data; with the recipe and the model it makes the store's key."""
        return {
            "layer": self.unit.layer,
            "channel": self.unit.index,
            "kind": self.kind,
            "number": self.number,
            "seed": self.seed,
        }


@dataclass(frozen=True)
class Aim:
    """An image of any objective."""

    objective: Objective
    seed: int
    role: Role = "single"
    number: int = 0
    group: str = ""

    def as_json(self) -> dict[str, object]:
        """The aim as plain data."""
        return {
            "objective": str(self.objective),
            "inputs": self.objective.inputs,
            "role": self.role,
            "number": self.number,
            "group": self.group,
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


def seed_for(what: object, kind: str, number: int, base: int = 0) -> int:
    """A render's own 32-bit seed, from what it shows and the base seed."""
    text = f"{what}/{kind}/{number}/{base}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def renders_of(
    unit: Unit, kinds: Collection[Kind] = KINDS, base: int = 0, images: int = DIVERSE
) -> tuple[Render, ...]:
    """The renders of a unit in display order, `diverse` counted `images` times."""
    return tuple(
        Render(unit, kind, number, seed_for(unit, kind, number, base))
        for kind in KINDS
        if kind in kinds
        for number in range(images if kind == "diverse" else 1)
    )


def check_together(what: str, number: int, of: str = "images") -> None:
    """Raises RecipeError unless `number` images can be optimized with regard to each other."""
    if not 2 <= number <= MAX_TOGETHER:
        raise RecipeError(f"{what} has 2 to {MAX_TOGETHER} {of}, not {number}")


def single(objective: Objective, base: int = 0) -> Aim:
    """One image of an objective."""
    return Aim(objective, seed_for(objective, "positive", 0, base))


def diverse(objective: Objective, images: int = DIVERSE, base: int = 0) -> tuple[Aim, ...]:
    """A diverse set of `images` of an objective.

    Raises:
        RecipeError: fewer than two, or more than 64.
    """
    check_together("a diverse set", images)
    name = str(objective)
    return tuple(
        Aim(objective, seed_for(name, "diverse", n, base), "diverse", n, name)
        for n in range(images)
    )


def interpolation(
    first: Objective, last: Objective, frames: int = 6, base: int = 0
) -> tuple[Aim, ...]:
    """`frames` images from one objective to another: (1 − t)·first + t·last, t from 0 to 1.

    Raises:
        RecipeError: fewer than two frames, or more than 64.
        ObjectiveError: the two are the same.
    """
    check_together("an interpolation", frames, "frames")
    if first == last:
        raise ObjectiveError(f"an interpolation from {first} to itself has nothing to show")
    name = f"{first}..{last}"
    aims = []
    for number in range(frames):
        t = number / (frames - 1)
        blend = first if t == 0 else last if t == 1 else first * (1 - t) + last * t
        aims.append(Aim(blend, seed_for(name, "frame", number, base), "frame", number, name))
    return tuple(aims)


AnySubject = Render | Aim


def reseed(subjects: Collection[AnySubject], seed: int) -> tuple[AnySubject, ...]:
    """The same subjects with `seed` as their own seed, counting up where there are several."""
    return tuple(replace(s, seed=(seed + i) % 2**32) for i, s in enumerate(subjects))
