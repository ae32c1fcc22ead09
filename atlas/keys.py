"""What entries of the store are found by, and what people call them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from atlas.envelope import canonical

PART, PASS = "examples-part", "examples-pass"
"""Stages of what a pass over photographs leaves before there are tables: the state at the end of a
shard's part, and the state that one which was interrupted goes on from."""


def key_of(recipe: Mapping[str, object]) -> str:
    """The store's key for a recipe: sha256 of its canonical JSON, hex."""
    return hashlib.sha256(canonical(recipe).encode()).hexdigest()


def name_of(recipe: Mapping[str, object]) -> str:
    """What people call the work of a recipe: ``mixed4c:447 diverse 2``."""
    of = recipe.get
    names = {
        "render": f"{of('layer')}:{of('channel')} {of('kind')} {of('number')}",
        "examples": f"examples of {of('layer')}",
        PART: "part {} of {} of a dataset pass".format(*_pair(of("part"))),
        PASS: "unfinished part {} of {} of a dataset pass".format(*_pair(of("part"))),
        "field": f"receptive field of {of('layer')}",
        "map": f"maps of table {str(of('table'))[:12]}",
    }
    return names.get(str(of("stage")), str(of("stage")))


def _pair(value: object) -> tuple[object, object]:
    return (value[0], value[1]) if isinstance(value, list | tuple) and len(value) == 2 else ("", "")
