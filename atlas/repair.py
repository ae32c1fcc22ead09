"""Finding what is wrong with a store, and putting it right as far as that goes without work.

A file that changed shows it in its times: the manifest knows how every file looked when it was
last known to be whole (`durable.signature`), and only files that look different are read. Times
cannot be set back for that: whatever program writes to a file changes its ctime. What a disk
forgets by itself is found when the entry is read, or by reading everything (`deep`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from atlas.durable import settled, signature, sweep
from atlas.entry import Entry, entry_of
from atlas.envelope import EnvelopeError
from atlas.errors import in_one_line
from atlas.keys import PASS
from atlas.manifest import NAME as MANIFEST
from atlas.store import Store
from atlas.sums import NAME as SUMS

_GONE = "its file is gone"

READERS = min(4, os.cpu_count() or 1)

WORTH = 64 << 20
"""Bytes of files found whole from which on that is noted down; for less, a build that changes
nothing else leaves the manifest as it was."""


@dataclass(frozen=True)
class Finding:
    """Something that was wrong: what it was about, in words and by key if it has one, and how."""

    name: str
    harm: str
    key: str | None = None

    def __str__(self) -> str:
        return in_one_line(f"{self.name}: {self.harm}")  # names come out of files


@dataclass
class Examined:
    """What a look at every entry showed.

    `bad` are rows whose file is not what it was, `adopted` entries that the manifest does not know
    as they are,
    `rubbish` names of files that are called like an entry and are none, `looks` the signatures of
    files that were read and are whole, `bytes` how large these are.
    """

    findings: list[Finding] = field(default_factory=list)
    bad: list[Entry] = field(default_factory=list)
    adopted: list[Entry] = field(default_factory=list)
    rubbish: list[str] = field(default_factory=list)
    looks: dict[str, str] = field(default_factory=dict)
    bytes: int = 0


def examine(
    store: Store, deep: bool = False, progress: Callable[[int, int], None] | None = None
) -> Examined:
    """Compare every entry's file with the manifest, and find files that it does not know.

    Args:
        deep: read all files, also those that look as they did.
        progress: told (files read, files to read).
    """
    found = Examined()
    manifest = store.manifest
    if manifest.damage:
        found.findings.append(Finding(MANIFEST, f"{manifest.damage}; made anew"))
    if manifest.unlisted:
        found.findings.append(Finding(SUMS, f"{manifest.unlisted}; made anew"))
    rows = {entry.file: entry for entry in manifest.rows()}
    present = sorted(store.files())
    for name in sorted(rows.keys() - set(present)):
        _lost(found, rows[name], _GONE)
    if manifest.damage:
        here = {store.path_called(name) for name in present}
        for path in sorted(manifest.listed):
            if store.folder / path not in here:
                found.findings.append(Finding(path, _GONE, Path(path).stem))
    suspects = [name for name in present if deep or _look(store, name) != _seen(rows.get(name))]
    for done, verdict in enumerate(_verdicts(store, suspects, rows), start=1):
        row = rows.get(verdict.name)
        if row is not None and verdict.harm:
            _lost(found, row, verdict.harm)
        elif verdict.entry is not None:
            found.adopted.append(verdict.entry)
        elif row is not None:
            found.bytes += verdict.bytes
            if verdict.look:
                found.looks[row.key] = verdict.look
        else:
            found.rubbish.append(verdict.name)
            place = store.path_called(verdict.name).relative_to(store.folder)
            found.findings.append(Finding(str(place), verdict.harm, place.stem))
        if progress is not None:
            progress(done, len(suspects))
    return found


def repair(store: Store, progress: Callable[[int, int], None] | None = None) -> list[Finding]:
    """Remove what is damaged, take in what the manifest had lost, and tidy up after killed writers.

    Only for one who holds the store's lock. Entries that were damaged are missing afterwards, so
    that a build makes them again.
    """
    sweep(store.folder)
    manifest = store.manifest
    examined = examine(store, progress=progress)
    broken = manifest.broken()
    if examined.bad or examined.adopted or broken:
        with manifest.transaction():
            manifest.remove([*broken, *(entry.key for entry in examined.bad)])
            manifest.enter(examined.adopted)
    for name in [*(entry.file for entry in examined.bad), *examined.rubbish]:
        store.delete(name)
    if manifest.unlisted:
        manifest.begin()
    if examined.looks and (examined.bytes >= WORTH or manifest.written):
        manifest.saw(examined.looks)
    again = {entry.key: entry.name for entry in examined.adopted}
    rows = [f"the row of {again[key]} was damaged; made anew" for key in broken if key in again]
    return examined.findings + [Finding(MANIFEST, row) for row in rows]


@dataclass(frozen=True)
class _Verdict:
    """A file that was read: the entry it is where no row says so, what is wrong with it, if it is
    whole its size in bytes and how it looks."""

    name: str
    entry: Entry | None = None
    harm: str = ""
    bytes: int = 0
    look: str = ""


def _verdicts(store: Store, names: Sequence[str], rows: Mapping[str, Entry]) -> Iterator[_Verdict]:
    """In the order of `names`; files are read several at once."""
    with ThreadPoolExecutor(READERS) as pool:
        yield from pool.map(partial(_judge, store, rows), names)


def _judge(store: Store, rows: Mapping[str, Entry], name: str) -> _Verdict:
    path, row = store.path_called(name), rows.get(name)
    try:
        stat = path.stat()
        if row is not None:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == row.sha256:
                    look = signature(stat) if settled(stat) else ""
                    return _Verdict(name, bytes=stat.st_size, look=look)
        entry = entry_of(name, path.read_bytes())
    except EnvelopeError as error:
        return _Verdict(name, harm=str(error) if row is None else "its bytes have changed")
    except OSError as error:
        return _Verdict(name, harm=f"cannot be read: {error.strerror}")
    # Of a pass there is always another state: a writer was killed before it noted down this one.
    expected = row is None or entry.stage == PASS
    return _Verdict(name, entry, harm="" if expected else "another version of it")


def _lost(found: Examined, row: Entry, harm: str) -> None:
    found.bad.append(row)
    found.findings.append(Finding(row.name, harm, row.key))


def _look(store: Store, name: str) -> str | None:
    try:
        return signature(store.path_called(name).stat())
    except OSError:
        return None


def _seen(row: Entry | None) -> str:
    return "" if row is None else row.seen
