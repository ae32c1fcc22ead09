"""What the last build left in the site folder, and of what it was made.

A file is *fresh* if it was made of the same inputs and has not been touched since: it is there,
with the size and the time it was left with. Then nothing of it has to be worked out again; in any
other case it is, and the bytes decide. Losing the ledger costs time only.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import pickle
from collections.abc import Iterable
from pathlib import Path

from atlas.site.media import SheetIndex

_FORMAT = 1


def fingerprint(*parts: object) -> str:
    """A digest of plain records without sets, 96 bits in hex; equal records have equal digests.

    Pickles are taken without the memory of objects met before: where equal texts are one object
    here and two there, as they happen to be, it would make other bytes of the same values.
    """
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, protocol=5)
    pickler.fast = True
    pickler.dump(parts)
    return hashlib.sha256(buffer.getbuffer()).hexdigest()[:24]


class Ledger:
    """The ledger of the site folder `out`, kept in `index`."""

    def __init__(self, out: Path, index: SheetIndex) -> None:
        self._out, self._index = out, index
        self._name = f"ledger {_FORMAT}:{out.resolve()}"
        self._whole = ""
        self._old: dict[str, list[object]] = {}
        with contextlib.suppress(ValueError, TypeError, KeyError):
            held = json.loads(index.get(self._name) or "{}")
            self._whole, self._old = str(held["whole"]), dict(held["files"])
        self._new: dict[str, list[object]] = {}

    @property
    def left(self) -> dict[str, int]:
        """The files that the last build left, with their sizes in bytes, if that is known, and
        those that were announced since, with none."""
        return {path: int(str(entry[1])) for path, entry in self._old.items()}

    def complete(self, whole: str) -> bool:
        """Whether the last build was one of all of `whole`, and every file is as it left it."""
        return self._whole == whole and self.untouched()

    def untouched(self) -> bool:
        """Whether the last build was whole, and every file is as it left it."""
        return self._whole != "" and all(
            entry[1:] == self._stat(path) for path, entry in self._old.items()
        )

    def fresh(self, path: str, key: str) -> bool:
        """Whether the file at `path` (relative) is there as it was made of `key`; it is then kept
        in the ledger."""
        found = self._old.get(path)
        if not found or found[0] != key or found[1:] != self._stat(path):
            return False
        self._new[path] = found
        return True

    def fresh_group(self, key: str) -> list[str]:
        """The files made of `key` together, if there are any and all are as they were left."""
        paths = [path for path, entry in self._old.items() if entry[0] == key]
        return paths if all(self.fresh(path, key) for path in paths) else []

    def announce(self, paths: Iterable[str]) -> None:
        """Say that the files at `paths` may be made next.

        They count among those that are `left` from then on, so that a build that is cut short
        leaves nothing behind that a later one would not know to be the site's.
        """
        coming: dict[str, list[object]] = {path: ["", 0] for path in paths if path not in self._old}
        if coming:
            self._old |= coming
            self._put("", self._old)

    def enter(self, path: str, key: str) -> None:
        """Say that the file at `path`, which is there, has just been made of `key`."""
        self._new[path] = [key, *self._stat(path)]

    def save(self, whole: str) -> None:
        """Keep what `fresh` and `enter` were told of since this was opened: a build of `whole`."""
        self._put(whole, self._new)

    def _put(self, whole: str, files: dict[str, list[object]]) -> None:
        held = {"whole": whole, "files": files}
        self._index.put(self._name, json.dumps(held, separators=(",", ":")))

    def _stat(self, path: str) -> list[object]:
        try:
            stat = (self._out / path).stat()
        except OSError:
            return []
        return [stat.st_size, stat.st_mtime_ns]
