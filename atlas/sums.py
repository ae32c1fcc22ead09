"""``manifest.sha256``: what a store held when its last writer came to its end, by file and digest.

It is written as ``sha256sum`` writes such lists, so that ``sha256sum -c manifest.sha256`` checks a
whole store. For us it serves two ends. SQLite does not notice when a byte of the manifest changes,
the list does. And where the manifest is lost together with files of entries, it is the list that
still knows which these were. While somebody writes, the manifest itself is not on it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from atlas.durable import write_atomically

NAME = "manifest.sha256"

_LINE = re.compile(r"([0-9a-f]{64})  ([\w./-]+)", re.ASCII)
_SEAL = "# sha256 of the lines above: "


@dataclass(frozen=True)
class Sums:
    """Digests by path below the store's folder; `whole` tells whether the list is as it was
    written. Of one that is not, there are the lines that can still be read."""

    digests: Mapping[str, str]
    whole: bool


def read_sums(folder: Path) -> Sums | None:
    """The list of a store, None where there is none."""
    try:
        text = (folder / NAME).read_text("latin-1")
    except OSError:
        return None
    lines, seal, digest = text.rpartition(_SEAL)
    found = (_LINE.fullmatch(line) for line in (lines or text).split("\n"))
    whole = bool(seal) and digest == f"{_sha256(lines)}\n"
    return Sums({match[2]: match[1] for match in found if match}, whole)


def write_sums(folder: Path, digests: Mapping[str, str]) -> None:
    """Write the list of a store.

    Raises:
        WorkError: the disk is full or read-only.
    """
    lines = "".join(f"{digest}  {path}\n" for path, digest in sorted(digests.items()))
    write_atomically(folder / NAME, f"{lines}{_SEAL}{_sha256(lines)}\n".encode())


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("latin-1")).hexdigest()
