"""What a user asks to see, as text, → the subjects that show it.

    mixed4c:447                 a unit spec (`units`), one image per channel and kind
    class:tabby + mixed4a:3     an objective (`optvis.syntax`)
    mixed4a:476..mixed4a:460    an interpolation between two objectives

Several stand in one text with commas between them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from atlas.errors import ObjectiveError, RecipeError
from atlas.models.network import Network
from atlas.optvis.leaves import Channel, Neuron
from atlas.optvis.objective import Objective, Term
from atlas.optvis.subject import (
    DIVERSE,
    Aim,
    AnySubject,
    Kind,
    Render,
    check_together,
    diverse,
    interpolation,
    renders_of,
    seed_for,
    single,
)
from atlas.optvis.syntax import Readers, parse_objective
from atlas.units import Layer, Unit, parse_units, quote

FRAMES = 6
"""Frames of an interpolation, where nothing else is asked for."""

POSITIVE: tuple[Kind, ...] = ("positive",)

_NAME = r"[^\s:+*×()'\"\[\]^,-][^\s:+*×()'\"\[\]^,]*"
_UNITS = re.compile(rf"(?P<layer>{_NAME})(?:\s*:\s*(?P<channel>\d+(?:-\d+)?))?")
_BETWEEN = re.compile(r"\.\.(?![/\\])")


def subjects_of(
    wanted: str | Objective | Sequence[str | Objective],
    network: Network,
    kinds: Collection[Kind] = POSITIVE,
    *,
    seed: int = 0,
    images: int = DIVERSE,
    frames: int = FRAMES,
    readers: Readers | None = None,
) -> tuple[AnySubject, ...]:
    """Subjects in the order asked for, by kind.

    Args:
        kinds: of an objective that is no unit: `negative` is its opposite, and there is no
            `neuron`.
        seed: base seed from which each subject's own is derived.
        images: of a diverse set.
        frames: of an interpolation.

    Raises:
        UnitError, ObjectiveError, RecipeError: it cannot be read, or a number is out of range.
    """
    parts = [wanted] if isinstance(wanted, str | Objective) else list(wanted)
    if not parts:
        raise ObjectiveError("nothing was asked for; write for instance mixed4a:97")
    found: list[AnySubject] = []
    for part in parts:
        if isinstance(part, Objective):
            found += _of_objective(part, kinds, seed, images, network.layers)
            continue
        for text in split(part, ","):
            found += _of_text(text, network, kinds, seed, images, frames, readers)
    return tuple(dict.fromkeys(found))


def _of_text(
    text: str,
    network: Network,
    kinds: Collection[Kind],
    seed: int,
    images: int,
    frames: int,
    readers: Readers | None,
) -> Sequence[AnySubject]:
    if _is_units(text, network):
        units = parse_units(text.replace(" ", ""), network.layers)
        check_together("a diverse set", images)
        return [r for unit in units for r in renders_of(unit, kinds, seed, images)]
    ends = split(text, "..")
    if len(ends) > 2:
        raise ObjectiveError(f"{quote(text)}: an interpolation has two ends, not {len(ends)}")
    objectives = [parse_objective(end, network, readers) for end in ends]
    if len(objectives) == 2:
        return interpolation(objectives[0], objectives[1], frames, seed)
    return _of_objective(objectives[0], kinds, seed, images, network.layers)


def _is_units(text: str, network: Network) -> bool:
    """Whether a text is a unit spec; a channel of a branch or bottleneck is an objective."""
    match = _UNITS.fullmatch(text)
    if match is None or _BETWEEN.search(text) is not None:
        return False
    name = match["layer"].strip().lower()
    known = (n.lower() for la in network.layers for n in (la.name, *la.aliases))
    return match["channel"] is None or "-" in match["channel"] or name in known


def _of_objective(
    objective: Objective,
    kinds: Collection[Kind],
    seed: int,
    images: int,
    layers: Sequence[Layer],
) -> list[AnySubject]:
    if tuple(kinds) == ("positive",) and (render := _as_render(objective, seed, layers)):
        return [render]
    found: list[AnySubject] = []
    for kind in kinds:
        if kind == "neuron":
            raise RecipeError(f"kind neuron is of a unit; write neuron:…, not {objective}")
        if kind == "diverse":
            found += diverse(objective, images, seed)
        elif kind == "negative":
            opposite = -objective
            found.append(Aim(opposite, seed_for(objective, "negative", 0, seed)))
        else:
            found.append(single(objective, seed))
    return found


def _as_render(objective: Objective, seed: int, layers: Sequence[Layer]) -> Render | None:
    """The render of a unit that an objective comes to: the same image as an atlas shows."""
    match objective.terms:
        case (Term(1.0, (Channel(layer, index, sign),)),):
            kind: Kind = "positive" if sign > 0 else "negative"
        case (Term(1.0, (Neuron(layer, index, None),)),):
            kind = "neuron"
        case _:
            return None
    if layer not in {one.name for one in layers}:
        return None
    return renders_of(Unit(layer, index), (kind,), seed)[0]


def split(text: str, separator: str) -> list[str]:
    """`text` cut at a separator, but not inside brackets or quotes; each part stripped.

    A quote only counts where a name may begin, so that an apostrophe inside one does not.
    """
    parts, depth, quoted, start, at = [], 0, "", 0, 0
    while at < len(text):
        character = text[at]
        if quoted:
            quoted = "" if character == quoted else quoted
        elif character in "\"'" and (at == 0 or text[at - 1] in ":( "):
            quoted = character
        elif character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif depth == 0 and text.startswith(separator, at):
            following = text[at + len(separator) : at + len(separator) + 1]
            if separator != ".." or following not in ("/", "\\"):
                parts.append(text[start:at].strip())
                at = start = at + len(separator)
                continue
        at += 1
    return [*parts, text[start:].strip()]
