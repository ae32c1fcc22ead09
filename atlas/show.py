"""``atlas show``: objectives → image files, and what they achieved in words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from atlas.build import pick_device
from atlas.config import Config
from atlas.errors import ConfigError
from atlas.models.zoo import load_model
from atlas.optvis.subject import DIVERSE, Aim, AnySubject, Render, reseed
from atlas.pictures import Picture, make, save_image, sheet
from atlas.recipes import readers, recipe_of
from atlas.request import FRAMES, split, subjects_of
from atlas.store import check_writable


@dataclass(frozen=True)
class Wish:
    """What is to be shown and where it goes; None means the usual.

    `seed` is the images' own seed, counted up where there are several.
    """

    objectives: tuple[str, ...]
    out: str | None = None
    seed: int | None = None
    images: int | None = None
    frames: int | None = None
    checkpoints: tuple[int, ...] = ()
    dry_run: bool = False


def show_objectives(config: Config, wish: Wish) -> Iterator[str]:
    """Make the images one objective after the other; yields a line for each file written.

    Raises:
        AtlasError: an objective, the recipe or the place to write to is at fault; nothing has been
            made then.
    """
    if not wish.objectives:
        raise ConfigError(
            "show needs an OBJECTIVE, such as mixed4a:97, or [show] objectives in the config"
        )
    recipe = recipe_of(config.render)
    device = pick_device(config.render.device)
    network = load_model(config.model.name, config.model.weights)
    kind = config.render.kinds[0]
    work: list[tuple[str, tuple[AnySubject, ...], Path]] = []
    for text in wish.objectives:
        subjects = subjects_of(
            text,
            network,
            (kind,),
            seed=config.render.seed,
            images=DIVERSE if wish.images is None else wish.images,
            frames=FRAMES if wish.frames is None else wish.frames,
            readers=readers(),
        )
        if len({_group(subject) for subject in subjects}) != 1 or len(split(text, ",")) != 1:
            raise ConfigError(f"show makes one objective, but {text!r} names {len(subjects)}")
        if wish.seed is not None:
            subjects = reseed(subjects, wish.seed)
        name = file_name(text, subjects[0])
        target = _target(wish.out, name, several=len(wish.objectives) > 1)
        check_writable(target)
        work.append((text, subjects, target))
    network.to(device)
    for text, subjects, target in work:
        what = _words(subjects[0], text)
        if wish.dry_run:
            yield f"would render {what} to {target}"
            continue
        pictures = make(network, subjects, recipe, device, wish.checkpoints)
        for number, picture in enumerate(pictures):
            path = target if len(pictures) == 1 else target.with_stem(f"{target.stem}-{number}")
            yield _line(what, picture, picture.save(path))
            if wish.checkpoints:
                strip = path.with_stem(f"{path.stem}-strip")
                steps = ", ".join(map(str, picture.strip))
                yield f"film strip of steps {steps}: {save_strip(picture, strip)}"
        if isinstance(subjects[0], Aim) and subjects[0].role == "frame":
            recipes = {"frames": [dict(picture.recipe) for picture in pictures]}
            row = sheet([picture.image for picture in pictures], len(pictures))
            path = save_image(row, target.with_stem(f"{target.stem}-frames"), recipes)
            yield f"{len(pictures)} frames side by side: {path}"


def save_strip(picture: Picture, path: Path) -> Path:
    """Write a picture's film strip."""
    return save_image(picture.film_strip(), path, picture.recipe)


def file_name(text: str, subject: AnySubject) -> str:
    """A file name for an objective, which may hold any characters."""
    if isinstance(subject, Render):
        return f"{subject.unit.layer}-{subject.unit.index}-{subject.kind}.png"
    text = f"minus {text.strip()[1:]}" if text.strip()[:1] in "-−" else text
    plain = re.sub(r"[^\w.]+", "-", text.replace("..", "-to-")).strip("-.")
    return f"{plain[:80]}{'-diverse' if subject.role == 'diverse' else ''}.png"


def _target(out: str | None, name: str, several: bool) -> Path:
    target = Path(out or ".")
    if several or target.is_dir():
        return target / name
    return target if target.suffix else target.with_suffix(".png")


def _group(subject: AnySubject) -> object:
    return subject if subject.role == "single" else (subject.role, subject.group)


def _words(subject: AnySubject, text: str) -> str:
    if isinstance(subject, Render):
        return f"{subject.unit} {subject.kind}"
    if subject.role == "frame":
        return f"{text} frame"
    return f"{text} diverse" if subject.role == "diverse" else text


def _line(what: str, picture: Picture, path: Path) -> str:
    achieved = picture.achieved
    notes = [
        f"robust {achieved.robust:.4f}",
        f"saturated {achieved.saturation:.1%}",
        f"high-frequency {achieved.high_frequency:.1%}",
        f"{picture.rendered.steps} steps",
    ]
    if achieved.diversity is not None:
        notes.insert(1, f"diversity {achieved.diversity:.3f}")
    if picture.never_started:
        notes.append("never found a gradient")
    if not picture.rendered.finite:
        notes.append("overflowed and was stopped")
    return (
        f"{what} activation {picture.activation:.4f} seed {picture.seed} {path}  "
        f"({', '.join(notes)})"
    )
