"""Finds the `templates/` and `content/` folders that ship with the package.

In a wheel they sit inside the package, in a source checkout next to it; the wheel's copy is looked
for first, because an installed package has no say about its neighbours.
"""

from __future__ import annotations

from pathlib import Path

import atlas
from atlas.errors import ConfigError


def shipped(name: str) -> Path:
    """What ships as `name`: ``templates``, ``content`` or the sample's ``atlas.toml``.

    Raises:
        ConfigError: the installation is incomplete.
    """
    package = Path(next(iter(atlas.__path__))).resolve()
    for folder in (package / "_shipped" / name, package.parent / name):
        if folder.exists():
            return folder
    raise ConfigError(f"the shipped {name} is missing from {package}; install again")


def overlay(name: str, user: Path | None) -> tuple[Path, ...]:
    """The folders to search for a file of `name`: the user's first, then the shipped one.

    Raises:
        ConfigError: the user's folder does not exist.
    """
    if user is None:
        return (shipped(name),)
    if not user.is_dir():
        raise ConfigError(f"the {name} folder {user} does not exist; create it or leave it out")
    return (user, shipped(name))
