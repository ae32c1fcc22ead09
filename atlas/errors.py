"""What the user did wrong, in one sentence each.

Every error a user can cause is an `AtlasError`; the command line prints it as one line and exits
with its `exit_code` (DESIGN: 1 work failed, 2 bad usage, config or input).
"""

from __future__ import annotations


def in_one_line(message: str) -> str:
    """A message as it may be shown: on one line, and what a terminal would obey spelled out."""
    flat = " ".join(message.split())
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in flat)


class AtlasError(Exception):
    """Base of all errors that are explained to the user instead of traced."""

    exit_code = 2


class UnitError(AtlasError):
    """A layer, channel or unit specification that does not exist or cannot be read."""


class ModelError(AtlasError):
    """An unknown model, or weights that are missing, damaged or of the wrong shape."""


class DatasetError(AtlasError):
    """A dataset that cannot be found, is empty, or is given in an unknown form."""


class ConfigError(AtlasError):
    """A key or value in `atlas.toml` (or its command-line twin) that is not valid."""


class RecipeError(AtlasError):
    """A recipe for a render that cannot be carried out: size, steps or kinds out of range."""


class ObjectiveError(AtlasError):
    """An objective that cannot be read, or asks for what the network does not have."""


class StoreError(AtlasError):
    """A store that cannot be opened or holds something that is not ours."""


class OutputError(AtlasError):
    """A place that cannot be written to."""


class WorkError(AtlasError):
    """Work that was asked for properly and failed on the way."""

    exit_code = 1
