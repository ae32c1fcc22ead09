"""Notices changed files by looking at their times, which works everywhere, and acts on them."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import Protocol

from atlas.errors import AtlasError

PAUSE = 0.3
"""Seconds between two looks."""
LONGEST = 5.0
"""Seconds after which changes are taken as they are, even if more keep coming."""

Mark = tuple[int, int]
"""A file's time of change in nanoseconds, and its size in bytes."""


def look(places: Iterable[Path]) -> dict[Path, Mark]:
    """The files among `places` and in the folders among them, each with its mark.

    What is not there is left out. Names that editors give to their own files (hidden ones, and
    those that end in ``~``) are not looked at, nor are symbolic links to folders.
    """
    found: dict[Path, Mark] = {}
    for place in places:
        _note(place, found)
        for folder, inner, names in os.walk(place):
            inner[:] = [name for name in inner if not name.startswith(".")]
            for name in names:
                if not name.startswith((".", "#")) and not name.endswith("~"):
                    _note(Path(folder, name), found)
    return found


def changes(before: Mapping[Path, Mark], after: Mapping[Path, Mark]) -> list[Path]:
    """The files that came, went or changed, in order."""
    return sorted(
        path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
    )


def settled(
    places: Callable[[], Iterable[Path]],
    seen: Mapping[Path, Mark],
    sleep: Callable[[float], object] = time.sleep,
) -> tuple[list[Path], dict[Path, Mark]]:
    """Look once; if something changed since `seen`, wait until it no longer does.

    A file that an editor is in the middle of writing is so never read by half.

    Returns:
        What changed, and the marks to come with the next time.
    """
    now = look(places())
    if not changes(seen, now):
        return [], now
    for _ in range(round(LONGEST / PAUSE)):
        sleep(PAUSE)
        then, now = now, look(places())
        if not changes(then, now):
            break
    return changes(seen, now), now


def _note(path: Path, found: dict[Path, Mark]) -> None:
    try:
        status = path.stat()
    except OSError:  # gone since it was listed, or a link that leads nowhere
        return
    if stat.S_ISREG(status.st_mode):
        found[path] = status.st_mtime_ns, status.st_size


class Rebuilder(Protocol):
    """What keeps a site up to date with the files it is made of."""

    @property
    def result(self) -> Path:
        """The file that is written last: when it changes, somebody else has built the site."""

    def places(self) -> list[Path]:
        """The files and folders the site is made of."""

    def rebuild(self, changed: Sequence[Path]) -> str:
        """Bring the site up to date after these files changed; what was done, in words.

        Raises:
            AtlasError: a file is broken; the site stays as it was, or partly so.
        """


def keep_up(
    rebuilder: Rebuilder, announce: Callable[[], None], say: Callable[[str], None], stop: Event
) -> None:
    """Rebuild at once, and then whenever something changed, until `stop` is set.

    A file that is broken is said to be, and then waited for: to be mended is a change, too.

    Args:
        announce: called when the site has changed.
        say: called with one line about everything that was done or could not be.
    """
    seen, result = look(rebuilder.places()), look([rebuilder.result])
    changed: list[Path] = []
    due = True
    while True:
        if due:
            try:
                done = rebuilder.rebuild(changed)
            except (AtlasError, OSError) as error:
                say(f"not rebuilt: {error}")
            else:
                changed, result = [], look([rebuilder.result])
                announce()
                say(done)
        if stop.wait(PAUSE):
            return
        if changes(result, now := look([rebuilder.result])):
            changed, result = [*changed, rebuilder.result], now
            announce()
        more, seen = settled(rebuilder.places, seen, stop.wait)
        changed, due = changed + more, bool(more)
