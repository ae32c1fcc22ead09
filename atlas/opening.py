"""Opening a store for what one is going to do with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from atlas.errors import StoreError, WorkError
from atlas.lock import Lock
from atlas.store import Store

Access = Literal["write", "either", "read"]
"""``write``: alone, or not at all. ``either``: to write where one can and nobody else does, else to
read.
``read``: nothing on the disk is touched."""


@contextmanager
def opened(folder: Path, access: Access, doing: str) -> Iterator[Store]:
    """A store for a ``with`` block.

    Args:
        doing: what for, as others shall read it who want to write meanwhile.

    Raises:
        StoreError: somebody else writes, or it holds what is not ours.
        OutputError, WorkError: it cannot be made or written to.
    """
    lock = _lock(folder, access, doing)
    try:
        store = Store(folder, write=lock is not None)
        try:
            yield store
        finally:
            store.close()
    finally:
        if lock is not None:
            lock.release()


def _lock(folder: Path, access: Access, doing: str) -> Lock | None:
    if access == "read":
        return None
    try:
        return Lock(folder, doing)
    except (StoreError, WorkError):  # in use, or read-only
        if access == "write":
            raise
        return None
