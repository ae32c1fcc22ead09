"""The store's manifest: what is in it, in SQLite.

It is an index and no more: all it knows of entries stands in their own files too (`envelope`), so
one that is lost or damaged is made anew. Every row carries a checksum of itself, and a row that
does not match it counts as absent. A digest of the whole, which SQLite has none of, stands in the
list beside it for as long as nobody writes (`sums`).
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from atlas.durable import explained
from atlas.entry import Entry
from atlas.errors import AtlasError, StoreError, WorkError
from atlas.sums import NAME as SUMS
from atlas.sums import Sums, read_sums, write_sums

FORMAT = 2
"""Raised whenever the tables below change; a manifest of another format is made anew."""

PATIENCE = 30.0
"""Seconds that a reader waits for a writer's transaction, and the other way round."""

_SCHEMA = f"""
BEGIN;
CREATE TABLE IF NOT EXISTS entries (
    key TEXT PRIMARY KEY, stage TEXT NOT NULL, suffix TEXT NOT NULL, sha256 TEXT NOT NULL,
    name TEXT NOT NULL, facts TEXT NOT NULL, mark TEXT NOT NULL, seen TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS memo (
    key TEXT PRIMARY KEY, value TEXT NOT NULL, mark TEXT NOT NULL
) WITHOUT ROWID;
PRAGMA user_version = {FORMAT};
COMMIT;
"""

NAME = "manifest.sqlite"


class Manifest:
    """The manifest in a store's folder.

    Args:
        ours: whether the folder is known to be a store, so that a file which is no database is a
            damaged manifest and not somebody else's.

    Attributes:
        damage: what was wrong with the one that was found, if anything; this one is then empty.
        unlisted: what was wrong with the list beside it, if anything.
        listed: the files of entries that were on that list, by path.
        written: whether anything was.
        in_memory: whether it is empty and will not be kept, because there is none to be read.

    Raises:
        StoreError: the folder holds a manifest that is not ours.
        WorkError: it cannot be written.
    """

    def __init__(self, folder: Path, write: bool, ours: bool) -> None:
        self._folder, self._path = folder, folder / NAME
        self._write, self.written = write, False
        self._memos: dict[str, str] = {}
        self.in_memory = False
        sums, there = read_sums(folder), self._path.exists()
        self.listed = {} if sums is None else _entries_of(sums)
        self.unlisted: str | None = None
        if sums is None:
            self.unlisted = "is gone" if there or ours else None
        elif not sums.whole:
            self.unlisted = "its bytes have changed"
        gone = "is gone" if ours else None
        self.damage = self._problem(ours, sums) if there else gone
        if not write and (self.damage or self._empty()):
            self.in_memory = True
            self._db = sqlite3.connect(":memory:", isolation_level=None)
            self._db.executescript(_SCHEMA)
            return
        if self.damage:
            with explained(self._path):
                Path(f"{self._path}-journal").unlink(missing_ok=True)
                self._path.unlink(missing_ok=True)
        if self._empty():
            self.begin()
        with self._explained():
            self._db = self._connect()
            if self._empty():
                self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the manifest; a writer leaves the list of what there is."""
        # Without a list the next one looks more closely, that is all.
        with suppress(AtlasError, OSError):
            try:
                digests = {row.path: row.sha256 for row in self.rows()} if self.written else {}
            finally:
                self._db.close()
            if self.written:
                write_sums(self._folder, digests | {NAME: _sha256(self._path)})

    def row(self, key: str) -> Entry | None:
        """The entry of a key, if there is one."""
        with self._explained():
            found = self._db.execute(f"{_SELECT} WHERE key = ?", (key,)).fetchone()
        return None if found is None else _entry(found)

    def rows(self, stage: str | None = None) -> list[Entry]:
        """All entries, or those of one stage, by key."""
        return list(self.each(stage))

    def each(self, stage: str | None = None) -> Iterator[Entry]:
        """The same, one after the other: of an atlas's renders all would be 100 MB."""
        where, values = ("", ()) if stage is None else (" WHERE stage = ?", (stage,))
        with self._explained():
            cursor = self._db.execute(f"{_SELECT}{where} ORDER BY key", values)
            while found := cursor.fetchmany(1000):
                yield from (entry for row in found if (entry := _entry(row)) is not None)

    def broken(self) -> list[str]:
        """Keys of rows that do not match their checksum."""
        with self._explained():
            found = self._db.execute(_SELECT).fetchall()
        return [str(row[0]) for row in found if _entry(row) is None]

    def enter(self, entries: Iterable[Entry]) -> None:
        """Insert entries or replace them."""
        self.begin()
        rows = [(*entry[:6], _mark(entry[:6]), entry.seen) for entry in entries]
        with self.transaction(), self._explained():
            self._db.executemany("INSERT OR REPLACE INTO entries VALUES (?,?,?,?,?,?,?,?)", rows)

    def remove(self, keys: Iterable[str]) -> None:
        """Forget entries."""
        self.begin()
        with self.transaction(), self._explained():
            self._db.executemany("DELETE FROM entries WHERE key = ?", [(key,) for key in keys])

    def saw(self, signatures: Mapping[str, str]) -> None:
        """Note how the files of entries look that are known to be whole."""
        self.begin()
        rows = [(seen, key) for key, seen in signatures.items()]
        with self.transaction(), self._explained():
            self._db.executemany("UPDATE entries SET seen = ? WHERE key = ?", rows)

    def remember(self, key: str, value: str) -> None:
        """Keep a small fact; one who only reads keeps it to himself."""
        if self.recall(key) == value:
            return
        if not self._write:
            self._memos[key] = value
            return
        self.begin()
        with self._explained():
            self._db.execute(
                "INSERT OR REPLACE INTO memo VALUES (?, ?, ?)", (key, value, _mark((key, value)))
            )

    def recall(self, key: str) -> str | None:
        """A fact kept by `remember`."""
        if key in self._memos:
            return self._memos[key]
        with self._explained():
            row = self._db.execute("SELECT * FROM memo WHERE key = ?", (key,)).fetchone()
        if row is None or row[2] != _mark(row[:2]):
            return None
        return str(row[1])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Group many small writes into one; within another, part of that."""
        if not self._write or self._db.in_transaction:
            yield
            return
        with self._explained():
            self._db.execute("BEGIN")
        try:
            yield
        except BaseException:
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise
        with self._explained():
            self._db.execute("COMMIT")

    def begin(self) -> None:
        """Before the first write: the manifest's digest holds no longer, `close` lists it anew."""
        if self._write and not self.written:
            write_sums(self._folder, self.listed)
            self.written = True

    def _connect(self) -> sqlite3.Connection:
        # One who only reads may have to undo what a writer that was killed left half done.
        place = self._path.resolve().as_uri() + f"?mode={'rwc' if self._write else 'rw'}"
        return sqlite3.connect(place, uri=True, isolation_level=None, timeout=PATIENCE)

    def _empty(self) -> bool:
        """Whether there is none yet; a writer that was killed may have left an empty file."""
        return not self._path.exists() or not self._path.stat().st_size

    def _problem(self, ours: bool, sums: Sums | None) -> str | None:
        """What is wrong with the manifest that is there."""
        # Of a harmed list the line may be harmed too; then the manifest is made anew as well.
        if sums is not None and (digest := sums.digests.get(NAME)) is not None:
            if digest == _sha256(self._path):
                return None
            if sums == read_sums(self._folder):  # or else a writer has begun or ended just now
                return f"differs from its digest in {SUMS}"
        elif sums is not None and sums.whole and self._empty():
            return None
        try:
            db = self._connect()
            try:
                tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
                if tables and "entries" not in tables:
                    raise StoreError(f"{self._path} is a database, but not a store's manifest")
                if db.execute("PRAGMA user_version").fetchone() != (FORMAT,):
                    return "is empty or of another version"
                ((verdict,), *_) = db.execute("PRAGMA quick_check(1)").fetchall()
                if verdict != "ok":
                    return "is damaged"
            finally:
                db.close()
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGED:
                raise _unusable(self._folder, error) from error
            if not ours:
                raise StoreError(f"{self._path} is not a store's manifest: {error}") from error
            return "is damaged"
        return None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _unusable(self._folder, error) from error


_SELECT = "SELECT key, stage, suffix, sha256, name, facts, mark, seen FROM entries"

_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR})


def _entry(row: tuple[str, ...]) -> Entry | None:
    *fields, mark, seen = row
    return Entry._make((*fields, seen)) if _mark(fields) == mark else None


def _entries_of(sums: Sums) -> dict[str, str]:
    return {path: digest for path, digest in sums.digests.items() if path != NAME}


def _mark(fields: Iterable[str]) -> str:
    """A checksum of a row."""
    return hashlib.sha256("\0".join(fields).encode()).hexdigest()[:16]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unusable(folder: Path, error: sqlite3.Error) -> AtlasError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return WorkError(
            f"cannot write the store {folder}: no space left on the disk; "
            "what was finished is kept, make room and run again"
        )
    if code in _DAMAGED:
        return StoreError(f"the manifest of the store {folder} is damaged; atlas build repairs it")
    return WorkError(f"the store {folder} cannot be used: {error}")
