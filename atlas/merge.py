"""Joining stores: the work of shards, or of several machines, in one.

What is merged is the same in whatever order and however often it is merged. Two stores that have
different bytes under one key are a conflict, which nobody but their owner can decide: nothing is
merged then.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from atlas import interrupt
from atlas.durable import write_atomically
from atlas.entry import Entry, entry_of
from atlas.envelope import EnvelopeError
from atlas.errors import StoreError
from atlas.keys import PASS
from atlas.repair import Finding
from atlas.store import Store

_NAMED = 5
"""Conflicts that a message names."""


@dataclass(frozen=True)
class Merged:
    """What a merge did: entries copied and their bytes, entries that were there, and entries that
    were damaged in the store they came from."""

    copied: int
    bytes: int
    present: int
    damaged: tuple[Finding, ...]


def open_sources(folders: Sequence[Path]) -> list[Store]:
    """Stores to merge from, for reading.

    Raises:
        StoreError: one is none.
    """
    for folder in folders:
        if not (folder / "objects").is_dir():
            raise StoreError(f"{folder} is not a store: it has no folder objects")
    return [Store(folder, write=False) for folder in folders]


def merge(
    target: Store, sources: Sequence[Store], progress: Callable[[int, int], None] | None = None
) -> Merged:
    """Copy into `target` what the other stores have and it lacks, each entry checked on the way.

    Args:
        target: the caller holds its lock and has it repaired.
        progress: told (entries done, entries to copy).

    Raises:
        StoreError: two stores have different bytes under one key; nothing was copied.
        WorkError: the disk is full; what was copied until then will be found by the next run.
    """
    holding: dict[str, list[tuple[Store, Entry]]] = {}
    for store in (target, *sources):
        for entry in store.entries():
            if entry.stage != PASS:  # whoever began a pass ends it
                holding.setdefault(entry.key, []).append((store, entry))
    _check(holding)
    wanted = {key: held for key, held in holding.items() if held[0][0] is not target}
    copied: list[Entry] = []
    damaged: list[Finding] = []
    size = 0
    with interrupt.patient():
        for done, held in enumerate(wanted.values(), start=1):
            for store, entry in held:
                try:
                    data = _whole(store, entry)
                except EnvelopeError as error:
                    harm = f"{error}, in {store.folder}; not merged from there"
                    damaged.append(Finding(entry.name, harm, entry.key))
                    continue
                write_atomically(target.path_of(entry), data, synced=False)
                copied.append(entry._replace(seen=""))
                size += len(data)
                break
            interrupt.check()
            if progress is not None:
                progress(done, len(wanted))
    if copied:
        os.sync()  # all files at once, and before the manifest speaks of them
        target.manifest.enter(copied)
    return Merged(len(copied), size, len(holding) - len(wanted), tuple(damaged))


def _check(holding: dict[str, list[tuple[Store, Entry]]]) -> None:
    """Raises StoreError where digests under one key differ."""
    conflicts = []
    for held in holding.values():
        first, mine = held[0]
        for store, entry in held[1:]:
            if entry.sha256 != mine.sha256:
                conflicts.append(f"{mine.name} in {first.folder} and {store.folder}")
    if conflicts:
        more = f" and {len(conflicts) - _NAMED} more" if len(conflicts) > _NAMED else ""
        raise StoreError(
            "stores differ, and which is right cannot be known: "
            f"{'; '.join(conflicts[:_NAMED])}{more}; remove one of each (atlas clean, or the file "
            "under objects/) and merge again"
        )


def _whole(store: Store, entry: Entry) -> bytes:
    """The file of an entry.

    Raises:
        EnvelopeError: it is not what it was.
    """
    try:
        data = store.path_of(entry).read_bytes()
    except OSError as error:
        raise EnvelopeError("its file is gone or cannot be read") from error
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise EnvelopeError("its bytes have changed")
    entry_of(entry.file, data)
    return data
