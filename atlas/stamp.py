"""Whether `atlas pages` would change anything, found out without PyTorch and without gathering.

A *stamp* is a digest of all that the pages of a project are made of, as far as it can be told from
outside: the config, this package, templates and notes, the weights file, what is in the store, and
names, sizes and times of the photographs. It is kept in the store when pages were made without a
warning. Where it still holds and no file of the site was touched, there is nothing to do. Where a
stamp cannot be told (a dataset on the hub), there is none, and `atlas pages` does all its work.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from glob import glob
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from atlas.config import Config
from atlas.errors import AtlasError
from atlas.site.ledger import Ledger
from atlas.site.media import SheetIndex
from atlas.site.resources import overlay
from atlas.site.write import SiteReport, kept
from atlas.store import Store

SAMPLE_PACKAGES = ("scikit-image", "scikit-learn")


class Memo:
    """The site's memory between builds (`SheetIndex`), kept in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, key: str) -> str | None:
        """What is remembered of `key`."""
        return self._store.recall(f"sheet:{key}")

    def put(self, key: str, sha256: str) -> None:
        """Remember it."""
        self._store.remember(f"sheet:{key}", sha256)


def unchanged(config: Config) -> SiteReport | None:
    """The report of a build that has nothing to do, None if there may be something."""
    started = time.monotonic()
    try:
        if not config.store.is_dir():
            return None
        store = Store(config.store, write=False)
    except AtlasError:
        return None  # whoever opens it to write says what is wrong
    try:
        index = Memo(store)
        stamp = stamp_of(config, store)
        if stamp is None or index.get(_name(config)) != stamp:
            return None
        ledger = Ledger(config.site.out, index)
        return kept(ledger.left, time.monotonic() - started) if ledger.untouched() else None
    except (AtlasError, OSError):
        return None
    finally:
        store.close()


def keep(config: Config, store: Store) -> None:
    """Remember that the pages of `config` are made of what the store holds now."""
    index: SheetIndex = Memo(store)
    index.put(_name(config), stamp_of(config, store) or "")


def stamp_of(config: Config, store: Store) -> str | None:
    """The stamp of a project, None where it has none.

    Raises:
        OSError: a folder it names cannot be read.
    """
    dataset = _dataset(config)
    if dataset is None:
        return None
    total = hashlib.sha256()
    parts = (
        [config.model_dump_json()],
        _files(Path(__file__).parent, "*.py"),
        *(_files(folder, "*") for folder in overlay("templates", config.site.templates)),
        *(_files(folder, "*") for folder in overlay("content", config.site.content)),
        [] if config.model.weights is None else [_seen(config.model.weights)],
        (f"{entry.key} {entry.sha256}" for entry in store.manifest.rows()),
        dataset,
    )
    for part in parts:
        for line in part:
            total.update(f"{line}\n".encode("utf-8", "surrogateescape"))
        total.update(b"\n")
    return total.hexdigest()


def _name(config: Config) -> str:
    return f"stamp:{config.site.out.resolve()}"


def _files(folder: Path, pattern: str) -> Iterator[str]:
    for path in sorted(folder.rglob(pattern)):
        if path.is_file():
            yield f"{path} {hashlib.sha256(path.read_bytes()).hexdigest()}"


def _dataset(config: Config) -> list[str] | None:
    """What is seen of a dataset without opening any of it; None where that says nothing."""
    kind, _, place = (config.dataset.source or "").partition(":")
    if not kind:
        return []
    if kind == "sample":
        try:
            return [version(name) for name in SAMPLE_PACKAGES]
        except PackageNotFoundError:
            return None
    if kind == "parquet":
        return [_seen(Path(name)) for name in sorted(glob(place, recursive=True))]
    return sorted(_tree(place)) if kind == "folder" else None


def _tree(folder: str) -> Iterator[str]:
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _tree(entry.path)
        else:
            yield _seen(Path(entry.path))


def _seen(path: Path) -> str:
    try:
        stat = path.stat()
    except OSError:
        return f"{path} is not there"
    return f"{path} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}"
