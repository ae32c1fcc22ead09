"""The store: content-addressed masters and tables, with an SQLite manifest.

A piece of finished work is found by its *key*, the sha256 of the canonical JSON of everything it
depends on (DESIGN §5). Its bytes lie in ``objects/ab/abcdef….EXT``, sealed together with what they
depend on and what is known of them (`envelope`); the manifest is an index of these files. Bytes
are written to a temporary file, synced and renamed before the manifest speaks of them, and checked
against their digest when read.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from atlas.durable import UNFINISHED, check_folder, explained, settled, signature
from atlas.durable import check_writable as check_writable
from atlas.durable import write_atomically as write_atomically
from atlas.entry import NAME, Entry, entry_of
from atlas.envelope import EnvelopeError, canonical, seal, unseal
from atlas.errors import AtlasError, StoreError
from atlas.keys import key_of as key_of
from atlas.keys import name_of
from atlas.manifest import Manifest


class Row(NamedTuple):
    """What the manifest says of an entry: the sha256 of its bytes, and its facts."""

    sha256: str
    facts: Mapping[str, object]


class Store:
    """A store in a folder.

    Args:
        write: make the folder where it does not exist, and be able to put; the caller holds the
            store's `lock.Lock` if others may want to write too. Without, nothing on the disk is
            touched, and what is remembered is forgotten at the end.

    Raises:
        OutputError, WorkError: the folder cannot be made or written to.
        StoreError: it holds a manifest that is not ours.
    """

    def __init__(self, folder: str | Path, write: bool = True) -> None:
        self.folder, self.writable = Path(folder), write
        objects = self.folder / "objects"
        ours = objects.is_dir()
        if write:
            check_folder(self.folder)
        self.manifest = Manifest(self.folder, write, ours)
        if write:
            check_folder(objects)
        elif self.manifest.in_memory:
            self.manifest.enter(self.entries())
        self._fresh: dict[str, os.stat_result] = {}

    def close(self) -> None:
        """Close the manifest."""
        seen = {key: signature(stat) for key, stat in self._fresh.items() if settled(stat)}
        if seen:
            with suppress(AtlasError):  # without, the next build reads these files once more
                self.manifest.saw(seen)
        self._fresh.clear()
        self.manifest.close()

    def facts(self, key: str) -> dict[str, object] | None:
        """What is known of an entry whose file is present, or None."""
        row = self.manifest.row(key)
        return row.known() if row is not None and self.path_of(row).is_file() else None

    def rows(self, stage: str) -> dict[str, Row]:
        """Every entry of a stage whose file is present, by key: one query and one look at the
        folders, however many there are."""
        return dict(self.each(stage))

    def each(self, stage: str) -> Iterator[tuple[str, Row]]:
        """The same, one after the other."""
        present = set(self.files())
        for entry in self.manifest.each(stage):
            if entry.file in present:
                yield entry.key, Row(entry.sha256, entry.known())

    def entries(self) -> Iterator[Entry]:
        """All entries, also those that a writer which was killed has not told the manifest of."""
        rows = self.manifest.rows()
        yield from rows
        known = {entry.file for entry in rows}
        for name in sorted(set(self.files()) - known):
            with suppress(EnvelopeError, OSError):
                yield entry_of(name, self.path_called(name).read_bytes())

    def digest(self, key: str) -> str:
        """The sha256 of an entry's file."""
        row = self.manifest.row(key)
        if row is None:
            raise StoreError(f"the store {self.folder} has no entry {key[:12]}")
        return row.sha256

    def recipe(self, key: str) -> Mapping[str, object] | None:
        """What an entry was made by, or None where it is absent or damaged."""
        row = self.manifest.row(key)
        data = None if row is None else self._file(row)
        if row is None or data is None:
            return None
        with suppress(EnvelopeError):
            return unseal(data, row.suffix).recipe
        return None

    def put(
        self,
        recipe: Mapping[str, object],
        data: bytes,
        suffix: str,
        facts: Mapping[str, object],
    ) -> str:
        """Keep `data` under its recipe's key, durably, and return the key."""
        self._check_writable()
        key, sealed = key_of(recipe), seal(data, suffix, recipe, facts)
        digest = hashlib.sha256(sealed).hexdigest()
        name = name_of(recipe)
        entry = Entry(key, str(recipe["stage"]), suffix, digest, name, canonical(facts))
        path = self.path_of(entry)
        write_atomically(path, sealed)
        self.manifest.enter([entry])
        with suppress(OSError):
            self._fresh[key] = path.stat()
        return key

    def drop(self, keys: Iterable[str]) -> None:
        """Remove entries, as far as they are there."""
        self._check_writable()
        gone = [row for key in keys if (row := self.manifest.row(key)) is not None]
        with self.transaction():
            self.manifest.remove(row.key for row in gone)
        for row in gone:
            self._fresh.pop(row.key, None)
            self.delete(row.file)

    def delete(self, name: str) -> None:
        """Delete the entry's file of this name, and its folder if that is then empty.

        Raises:
            WorkError, OutputError: it cannot be.
        """
        path = self.path_called(name)
        with explained(path):
            path.unlink(missing_ok=True)
        with suppress(OSError):
            path.parent.rmdir()

    def read(self, key: str) -> bytes | None:
        """The bytes of an entry, or None where it is absent or its bytes are not what was put."""
        row = self.manifest.row(key)
        data = None if row is None else self._file(row)
        if row is None or data is None:
            return None
        with suppress(EnvelopeError):
            return unseal(data, row.suffix).content
        return None

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
            raise lost(self, key)
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

    def remember(self, key: str, value: str) -> None:
        """Keep a small fact that only saves work (a file's digest, a sheet's)."""
        self.manifest.remember(key, value)

    def recall(self, key: str) -> str | None:
        """A fact kept by `remember`."""
        return self.manifest.recall(key)

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
        with self.manifest.transaction():
            yield

    def files(self) -> Iterator[str]:
        """The names of all files that are where entries are and called like one."""
        for path in self._objects():
            folder, name = path.split(os.sep)[-2:]
            if folder == name[:2] and NAME.fullmatch(name):
                yield name

    def foreign(self) -> list[Path]:
        """Files among the entries that are none by their name, nor unfinished ones."""
        ours = {self.path_called(name) for name in self.files()}
        paths = {Path(path) for path in self._objects()} - ours
        return sorted(path for path in paths if not UNFINISHED.fullmatch(path.name))

    def path_of(self, entry: Entry) -> Path:
        """Where the file of an entry is."""
        return self.folder / entry.path

    def path_called(self, name: str) -> Path:
        """Where the entry's file of this name is."""
        return self.folder / "objects" / name[:2] / name

    def _objects(self) -> Iterator[str]:
        with suppress(FileNotFoundError, NotADirectoryError):
            for folder in os.scandir(self.folder / "objects"):
                if folder.is_dir(follow_symlinks=False):
                    yield from (file.path for file in os.scandir(folder))
                else:
                    yield folder.path

    def _file(self, row: Entry) -> bytes | None:
        """The file of an entry, if it is what was written."""
        try:
            data = self.path_of(row).read_bytes()
        except OSError:
            return None
        return data if hashlib.sha256(data).hexdigest() == row.sha256 else None

    def _check_writable(self) -> None:
        if not self.writable:
            raise StoreError(f"the store {self.folder} is only being read")


def lost(store: Store, key: str) -> StoreError:
    """What to raise where an entry that was there cannot be read."""
    return StoreError(f"the store {store.folder} lost or damaged entry {key[:12]}; build again")
