"""Layers, branches, channels, and the unit specs that name them.

A *unit spec* is a comma list: ``mixed4c:447,mixed4a:0-15,mixed5b`` (DESIGN §2). A layer alone
means all of its channels; ``all`` means every channel of every layer. Ranges include both ends.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from atlas.errors import UnitError

_PART = re.compile(r"(?P<layer>[^:\s]+)(?::(?P<first>\d{1,9})(?:-(?P<last>\d{1,9}))?)?")


@dataclass(frozen=True)
class Branch:
    """A run of channels ``start <= index < stop`` that come from one branch of a block."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True)
class Layer:
    """A layer whose pre-ReLU output can be tapped: its canonical name, branches and aliases."""

    name: str
    branches: tuple[Branch, ...]
    aliases: tuple[str, ...] = ()

    @property
    def channels(self) -> int:
        """Number of channels, the C of its (B, C, H, W) activations."""
        return self.branches[-1].stop

    def branch_of(self, index: int) -> Branch:
        """The branch that channel `index` belongs to."""
        for branch in self.branches:
            if branch.start <= index < branch.stop:
                return branch
        raise UnitError(f"{self.name} has channels 0 to {self.channels - 1}, not {index}")


@dataclass(frozen=True, order=True, slots=True)
class Unit:
    """One channel of one layer, written ``mixed4c:447``."""

    layer: str
    index: int

    def __str__(self) -> str:
        return f"{self.layer}:{self.index}"


def find_layer(name: str, layers: Sequence[Layer]) -> Layer:
    """The layer called `name`, by canonical name or alias (case does not matter).

    Raises:
        UnitError: no such layer; the message suggests the nearest names.
    """
    wanted = name.strip().lower()
    for layer in layers:
        if wanted == layer.name.lower() or wanted in (alias.lower() for alias in layer.aliases):
            return layer
    names = [layer.name for layer in layers]
    near = difflib.get_close_matches(wanted, [n.lower() for n in names], n=3, cutoff=0.75)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known layers: {' '.join(names)}"
    raise UnitError(f"unknown layer {quote(name)}; {hint}")


def parse_units(spec: str, layers: Sequence[Layer]) -> tuple[Unit, ...]:
    """Read a unit spec into units, each once, in network order.

    Args:
        spec: e.g. ``"mixed4c:447,mixed4a:0-15,mixed5b"`` or ``"all"``.
        layers: the layers of the model, in network order.

    Raises:
        UnitError: a malformed part, an unknown layer or a channel out of range; the message
            shows the offending part.
    """
    chosen: dict[str, set[int]] = {}
    for raw in spec.split(","):
        part = raw.strip()
        if part.lower() == "all":
            for layer in layers:
                chosen.setdefault(layer.name, set()).update(range(layer.channels))
            continue
        match = _PART.fullmatch(part)
        if match is None:
            what = f"cannot read {quote(part)} in" if part else "empty part in"
            raise UnitError(
                f"{what} unit spec {quote(spec)}; "
                "write layer, layer:channel or layer:first-last, separated by commas"
            )
        layer = find_layer(match["layer"], layers)
        first = int(match["first"]) if match["first"] else 0
        last = int(match["last"] or match["first"]) if match["first"] else layer.channels - 1
        if last < first:
            raise UnitError(
                f"range {quote(part)} runs backwards; write {layer.name}:{last}-{first}"
            )
        if last >= layer.channels:
            raise UnitError(
                f"{quote(part)} is out of range: "
                f"{layer.name} has channels 0 to {layer.channels - 1}"
            )
        chosen.setdefault(layer.name, set()).update(range(first, last + 1))
    return tuple(
        Unit(layer.name, index) for layer in layers for index in sorted(chosen.get(layer.name, ()))
    )


def by_layer(units: Iterable[Unit]) -> dict[str, list[int]]:
    """Group units by layer, keeping their order: ``{"mixed4c": [12, 447], …}``."""
    groups: dict[str, list[int]] = {}
    for unit in units:
        groups.setdefault(unit.layer, []).append(unit.index)
    return groups


def quote(text: str, limit: int = 60) -> str:
    """`text` in quotes on one line, cut to `limit` characters, control characters escaped."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return repr(cut)
