"""Recipes: everything that decides a render's pixels, as plain data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Literal, get_args

import numpy as np

from atlas.errors import RecipeError
from atlas.optvis.colour import ARTICLE, Matrix
from atlas.optvis.leaves import Photo
from atlas.optvis.patches import PatchBase
from atlas.optvis.regularizer import PENALTIES, Regularizer, parse_regularizers
from atlas.optvis.spectrum import Spectrum
from atlas.optvis.transform import Transforms

VERSION = 3
"""Version of the render stage: raised whenever the same recipe would give other pixels."""

MIN_SIZE, MAX_SIZE, MAX_STEPS = 32, 4096, 1_000_000

ParameterizationName = Literal["fourier", "pixels", "laplacian", "maco"]
OptimizerName = Literal["adam", "sgd", "steepest-l2", "steepest-linf", "steepest-decorrelated"]
PrecisionName = Literal["bfloat16", "float32"]

LEARNING_RATES: dict[OptimizerName, float] = {
    "adam": 0.05,
    "sgd": 0.05,
    "steepest-l2": 0.05,
    "steepest-linf": 0.02,
    "steepest-decorrelated": 0.05,
}
"""Where a recipe gives none. For Adam the article's; see `descend` for what the others mean."""


PHASES = 4
"""Learning rates of `maco` by those of the others: its variables are angles, up to π."""


@dataclass(frozen=True)
class Recipe:
    """What all renders of a batch share.

    Args:
        size: side in pixels, 32 to 4096.
        steps: at most; see `stop`.
        learning_rate: the optimizer's; None is its default (`LEARNING_RATES`).
        redirect_steps: how long blocked gradients are let through ReLUs (DESIGN §6, dead starts).
        transforms: random ones, drawn anew at every step.
        regularizers: penalties and filters beside them.
        parameterization: see `parameterize`; `decay` is the exponent of `fourier`'s.
        decorrelate: whether colours are mixed through `colours`, the square root of their
            covariance.
        spectrum: of photographs, for `maco`.
        patches: of photographs, for the regularizer `patches`.
        start: a photograph to start from instead of noise.
        diversity: weight of the diversity term, 1 being the default.
        alignment: weight of the alignment term of interpolations.
        shared: whether the frames of an interpolation share their low resolutions.
        settle: over this last share of the steps the learning rate falls evenly to a twentieth,
            so that an image comes to rest instead of trembling about its optimum.
        stop: an image is finished once its objective grows by less than this share over 32 steps;
            0 never stops early.
        precision: the least that the network's passes may be computed in while the image is
            optimized (`precision`). All else, and what is reported, is float32.

    Raises:
        RecipeError: something is out of range or missing; the message shows it.
    """

    size: int = 224
    steps: int = 512
    learning_rate: float | None = None
    redirect_steps: int = 16
    transforms: Transforms = field(default_factory=Transforms)
    regularizers: tuple[Regularizer, ...] = PENALTIES
    parameterization: ParameterizationName = "fourier"
    decay: float = 1.0
    decorrelate: bool = True
    colours: Matrix = ARTICLE
    spectrum: Spectrum | None = None
    patches: PatchBase | None = None
    start: Photo | None = None
    optimizer: OptimizerName = "adam"
    diversity: float = 1.0
    alignment: float = 1.0
    shared: bool = True
    settle: float = 0.3
    stop: float = 0.0
    precision: PrecisionName = "bfloat16"

    def __post_init__(self) -> None:
        if not MIN_SIZE <= self.size <= MAX_SIZE:
            raise RecipeError(f"size must be {MIN_SIZE} to {MAX_SIZE} pixels, not {self.size}")
        if not 0 <= self.steps <= MAX_STEPS:
            raise RecipeError(f"steps must be 0 to {MAX_STEPS}, not {self.steps}")
        _one_of("parameterization", self.parameterization, get_args(ParameterizationName))
        _one_of("optimizer", self.optimizer, get_args(OptimizerName))
        _one_of("precision", self.precision, get_args(PrecisionName))
        rate = self.learning_rate
        if rate is not None and not 0 < rate <= 1000:
            raise RecipeError(f"learning rate must be above 0 and at most 1000, not {rate}")
        limits = {"decay": 4.0, "diversity": 1e6, "alignment": 1e6, "settle": 1.0, "stop": 1.0}
        for name, most in limits.items():
            if not 0 <= (value := getattr(self, name)) <= most or math.isnan(value):
                raise RecipeError(f"{name} must be 0 to {most:g}, not {value}")
        if self.parameterization == "maco" and self.spectrum is None:
            raise RecipeError("parameterization maco needs a spectrum of photographs")
        if self.patches is None and any(r.name == "patches" for r in self.regularizers):
            raise RecipeError("regularizer patches needs a patch base of photographs")
        if self.optimizer == "steepest-decorrelated" and self.parameterization != "pixels":
            raise RecipeError(
                "optimizer steepest-decorrelated is a metric over pixels; it goes with "
                f"parameterization pixels, not {self.parameterization} (which has it built in)"
            )

    @property
    def rate(self) -> float:
        """The learning rate that is used."""
        if self.learning_rate is not None:
            return self.learning_rate
        return LEARNING_RATES[self.optimizer] * (PHASES if self.parameterization == "maco" else 1)

    def as_json(self) -> dict[str, object]:
        """The recipe as plain data; part of the store's keys and of the manifest."""
        return {
            "stage": "render",
            "version": VERSION,
            "size": self.size,
            "steps": self.steps,
            "stop": self.stop,
            "optimizer": self.optimizer,
            "learning_rate": self.rate,
            "settle": self.settle,
            "redirect_steps": self.redirect_steps,
            "parameterization": self.parameterization,
            "decay": self.decay,
            "colours": [list(row) for row in self.colours] if self.decorrelate else None,
            "spectrum": self.spectrum and self.spectrum.sha256,
            "patches": self.patches and self.patches.sha256,
            "start": self.start and self.start.sha256,
            "transforms": asdict(self.transforms),
            "regularizers": [str(regularizer) for regularizer in self.regularizers],
            "diversity": self.diversity,
            "alignment": self.alignment,
            "shared": self.shared,
            "precision": self.precision,
        }


PRESETS: dict[str, tuple[int, int]] = {
    "draft": (96, 64),
    "standard": (224, 512),
    "distill": (224, 2560),
}
"""Name → (size in pixels, steps). `distill` is the appendix's recipe (DESIGN §6)."""


def from_preset(
    name: str,
    size: int | None = None,
    steps: int | None = None,
    *,
    regularize: Sequence[str] | None = None,
    **others: object,
) -> Recipe:
    """The recipe of a preset, with whatever is given in the place of its own.

    Args:
        regularize: names of regularizers (`regularizer.parse_regularizers`); None means
            `regularizer.DEFAULT`, an empty list none at all. `distill` is the article's own recipe:
            transforms alone, no settling, and float32.
        others: fields of `Recipe`.

    Raises:
        RecipeError: no such preset or regularizer, or a value out of range.
    """
    if name not in PRESETS:
        raise RecipeError(f"unknown preset {name!r}; choose {', '.join(PRESETS)}")
    preset_size, preset_steps = PRESETS[name]
    if name == "distill":
        others.setdefault("settle", 0.0)
        others.setdefault("precision", "float32")
        regularize = ["transforms"] if regularize is None else regularize
    if regularize is not None:
        transforms, regularizers = parse_regularizers(regularize)
        others |= {"transforms": transforms, "regularizers": regularizers}
    known = {one.name for one in fields(Recipe)}
    if unknown := [name for name in others if name not in known]:
        raise RecipeError(f"a recipe has no {unknown[0]!r}; it has {', '.join(sorted(known))}")
    return Recipe(
        size=preset_size if size is None else size,
        steps=preset_steps if steps is None else steps,
        **others,  # type: ignore[arg-type]
    )


Lane = Literal["start", "transforms", "fresh"]


def stream(seed: int, purpose: Lane) -> np.random.Generator:
    """A random stream that belongs to one render alone, whatever its batch-mates (DESIGN §5)."""
    lane = {"start": 0, "transforms": 1, "fresh": 3}[purpose]
    return np.random.Generator(np.random.Philox(key=(lane << 64) | seed))


def _one_of(what: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise RecipeError(f"unknown {what} {value!r}; choose from {', '.join(known)}")
