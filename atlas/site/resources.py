"""Finds the `templates/` and `content/` folders that ship with the package.

In a wheel they sit inside the package, in a source checkout next to it; the wheel's copy is looked
for first, because an installed package has no say about its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import rcssmin
import rjsmin

import atlas
from atlas.errors import ConfigError
from atlas.inputs import leads_out
from atlas.site.sheets import stylesheet

_SQUEEZE: dict[str, Callable[[bytes], bytes]] = {
    ".css": rcssmin.cssmin,
    ".js": rjsmin.jsmin,
}


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
        ConfigError: the user's folder does not exist, or has a link that leads out of it: what is
            in these folders is published.
    """
    if user is None:
        return (shipped(name),)
    if not user.is_dir():
        raise ConfigError(f"the {name} folder {user} does not exist; create it or leave it out")
    for path in sorted(user.rglob("*")):
        if path.is_symlink() and leads_out(path, user):
            raise ConfigError(f"{path} is a link out of {user}; put the file itself there")
    return (user, shipped(name))


def static_files(templates: tuple[Path, ...]) -> Iterator[tuple[str, bytes]]:
    """The files of `static/`, the user's before the shipped ones, and the strips' stylesheet.

    What ships is written without its comments and spaces, what is the user's as it is.
    """
    found: dict[str, Path] = {}
    for folder in reversed(templates):
        root = folder / "static"
        found |= {
            path.relative_to(folder).as_posix(): path
            for path in sorted(root.rglob("*"))
            if path.is_file() and not path.name.startswith(".")
        }
    found.pop("static/css/strips.css", None)
    for name, path in sorted(found.items()):
        data = path.read_bytes()
        squeeze = _SQUEEZE.get(path.suffix) if path.is_relative_to(templates[-1]) else None
        yield name, squeeze(data) if squeeze else data
    yield "static/css/strips.css", stylesheet().encode()
