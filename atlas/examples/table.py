"""Example tables as named arrays, the form in which the store keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atlas.examples.collect import ExampleTable

_ARRAYS = (
    "top_image",
    "top_value",
    "top_position",
    "bottom_image",
    "bottom_value",
    "bottom_position",
)


def pack(table: ExampleTable) -> dict[str, NDArray[Any]]:
    """The arrays of a table by name; statistics are prefixed ``stats.``."""
    arrays: dict[str, NDArray[Any]] = {n: np.ascontiguousarray(getattr(table, n)) for n in _ARRAYS}
    return arrays | {f"stats.{name}": value for name, value in table.stats.items()}


def unpack(arrays: Mapping[str, NDArray[Any]], images: int) -> ExampleTable:
    """The table that `pack` took apart."""
    stats = {n.removeprefix("stats."): v for n, v in arrays.items() if n.startswith("stats.")}
    return ExampleTable(**{n: arrays[n] for n in _ARRAYS}, stats=stats, images=images)
