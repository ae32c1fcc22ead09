"""The store: content-addressed masters and tables, with an SQLite manifest.

A piece of finished work is found by its *key*, the sha256 of the canonical JSON of everything it
depends on (DESIGN §5). The bytes lie in ``objects/ab/abcdef….EXT``; the manifest keeps their
digest and what else is known of them. Bytes are written to a temporary file, synced and renamed
before the manifest speaks of them, and checked against their digest when read.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from atlas.errors import OutputError, StoreError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    key TEXT PRIMARY KEY, stage TEXT NOT NULL, suffix TEXT NOT NULL, sha256 TEXT NOT NULL,
    recipe TEXT NOT NULL, facts TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS memo (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


def canonical(value: object) -> str:
    """Canonical JSON: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def key_of(recipe: Mapping[str, object]) -> str:
    """The store's key for a recipe: sha256 of its canonical JSON, hex."""
    return hashlib.sha256(canonical(recipe).encode()).hexdigest()


class Store:
    """A store in a folder, made when it does not exist.

    Raises:
        OutputError: the folder cannot be made or written to.
        StoreError: it holds a manifest that is not ours.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        with _explained(self.folder):
            (self.folder / "objects").mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        path = self.folder / "manifest.sqlite"
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise StoreError(f"{path} is not a store's manifest: {error}") from error

    def close(self) -> None:
        """Close the manifest."""
        self._db.close()

    def facts(self, key: str) -> dict[str, object] | None:
        """What is known of an entry whose file is present, or None."""
        row = self._row(key)
        if row is None or not self._path(key, row[0]).is_file():
            return None
        facts: dict[str, object] = json.loads(row[2])
        return facts

    def digest(self, key: str) -> str:
        """The sha256 of an entry's bytes."""
        row = self._row(key)
        if row is None:
            raise StoreError(f"the store {self.folder} has no entry {key[:12]}")
        return row[1]

    def put(
        self,
        recipe: Mapping[str, object],
        data: bytes,
        suffix: str,
        facts: Mapping[str, object],
    ) -> str:
        """Keep `data` under its recipe's key, durably, and return the key."""
        key = key_of(recipe)
        write_atomically(self._path(key, suffix), data)
        digest = hashlib.sha256(data).hexdigest()
        row = (key, str(recipe["stage"]), suffix, digest, canonical(recipe), canonical(facts))
        with self._explained_db():
            self._db.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?)", row)
        return key

    def read(self, key: str) -> bytes | None:
        """The bytes of an entry, or None where it is absent or its bytes are not what was put."""
        row = self._row(key)
        if row is None:
            return None
        try:
            data = self._path(key, row[0]).read_bytes()
        except OSError:
            return None
        return data if hashlib.sha256(data).hexdigest() == row[1] else None

    def put_image(
        self,
        recipe: Mapping[str, object],
        image: NDArray[np.uint8],
        facts: Mapping[str, object],
    ) -> str:
        """Keep a master, (H, W, 3) RGB, as PNG."""
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG", compress_level=6)
        return self.put(recipe, buffer.getvalue(), "png", facts)

    def read_image(self, key: str) -> NDArray[np.uint8]:
        """A master, (H, W, 3) RGB.

        Raises:
            StoreError: absent or damaged.
        """
        data = self.read(key)
        if data is None:
            raise StoreError(
                f"the store {self.folder} lost or damaged entry {key[:12]}; build again"
            )
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image.convert("RGB"))

    def put_arrays(
        self,
        recipe: Mapping[str, object],
        arrays: dict[str, NDArray[np.generic]],
        facts: Mapping[str, object],
    ) -> str:
        """Keep a table of named arrays as safetensors."""
        return self.put(recipe, save_arrays(arrays), "safetensors", facts)

    def read_arrays(self, key: str) -> dict[str, NDArray[np.generic]] | None:
        """A table of named arrays, or None where it is absent or damaged."""
        data = self.read(key)
        try:
            return None if data is None else load_arrays(data)
        except SafetensorError:
            return None

    def partial(self, key: str) -> Path:
        """Where unfinished work of this key is kept; the file may not exist."""
        return self.folder / "partial" / f"{key}.safetensors"

    def remember(self, key: str, value: str) -> None:
        """Keep a small fact that only saves work (a file's digest, a sheet's)."""
        if self.recall(key) != value:
            with self._explained_db():
                self._db.execute("INSERT OR REPLACE INTO memo VALUES (?, ?)", (key, value))

    def recall(self, key: str) -> str | None:
        """A fact kept by `remember`."""
        row = self._db.execute("SELECT value FROM memo WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def file_digest(self, path: Path) -> str:
        """sha256 of a file, remembered for as long as its size and times stay the same."""
        stat = path.stat()
        place = str(path.resolve()).encode("utf-8", "backslashreplace").decode()
        key = f"file:{place}:{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}"
        digest = self.recall(key)
        if digest is None:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            self.remember(key, digest)
        return digest

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Group many small writes into one."""
        with self._explained_db():
            self._db.execute("BEGIN")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _row(self, key: str) -> tuple[str, str, str] | None:
        query = "SELECT suffix, sha256, facts FROM entries WHERE key = ?"
        row: tuple[str, str, str] | None = self._db.execute(query, (key,)).fetchone()
        return row

    def _path(self, key: str, suffix: str) -> Path:
        return self.folder / "objects" / key[:2] / f"{key}.{suffix}"

    @contextmanager
    def _explained_db(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise OutputError(f"the store {self.folder} cannot be written: {error}") from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is either whole or not there (temporary file, fsync, rename).

    Raises:
        OutputError: the file cannot be written.
    """
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".part-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def check_writable(path: Path) -> None:
    """Fail before the work, not after it, if a file cannot be written; nothing is left behind.

    Raises:
        OutputError: it cannot.
    """
    with _explained(path):
        if path.is_dir():
            raise IsADirectoryError(21, "it is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
