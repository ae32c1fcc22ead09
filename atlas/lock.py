"""One writer a store: a lock that the operating system takes back when its holder dies.

The file ``lock`` in the store's folder is there while somebody writes, and says who. A process
that is killed leaves the file, but not the lock; the next writer takes it over.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from atlas.durable import explained
from atlas.errors import StoreError, WorkError

_TRIES, _PAUSE = 4, 0.1
"""`holder` looks by locking for an instant; a writer that meets it tries again after so many
seconds."""


class Holder(NamedTuple):
    """Who writes: process number, the machine's name, what it does (``atlas build``)."""

    pid: int
    host: str
    doing: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} ({self.doing})"


_held: dict[str, tuple[int, int]] = {}
"""Locks of this process: by the store's real path the file's handle and how often it is held."""


class Lock:
    """The right to write to a store, held from here to `release`.

    It belongs to the process: in a notebook a build can follow one that failed and was not closed.

    Args:
        folder: the store's; it is made when it does not exist.
        doing: what for, as other would-be writers shall read it.

    Raises:
        StoreError: somebody else holds it.
        WorkError: the file system cannot lock, or cannot be written.
    """

    def __init__(self, folder: Path, doing: str) -> None:
        self._path = folder / "lock"
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._place: str | None = str(folder.resolve())
        handle, times = _held.get(self._place, (-1, 0))
        if not times:
            handle = self._acquire(folder)
            about = json.dumps(Holder(os.getpid(), socket.gethostname(), doing)).encode()
            with suppress(OSError):  # who it is serves others; on a full disk they do without
                os.ftruncate(handle, 0)
                os.pwrite(handle, about, 0)
        _held[self._place] = handle, times + 1

    def _acquire(self, folder: Path) -> int:
        for left in reversed(range(_TRIES)):
            with explained(self._path):
                handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            if _locked(handle, fcntl.LOCK_EX, self._path):
                # The file may have been removed by its last holder after it was opened here.
                with suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(handle), self._path.stat()):
                        return handle
                os.close(handle)
                continue
            os.close(handle)
            if left:
                time.sleep(_PAUSE)
        raise _taken(folder, _read(self._path))

    def release(self) -> None:
        """Let others write; a second time does nothing."""
        if self._place is None:
            return
        handle, times = _held.pop(self._place)
        if times > 1:
            _held[self._place] = handle, times - 1
        else:
            with suppress(OSError):
                self._path.unlink()
            os.close(handle)
        self._place = None


def check_free(folder: Path) -> None:
    """Say early what `Lock` would say later.

    Raises:
        StoreError: somebody writes to the store.
    """
    who = holder(folder)
    if who is not None:
        raise _taken(folder, who)


def holder(folder: Path) -> Holder | None:
    """Who writes to a store at the moment."""
    path = folder / "lock"
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        free = _locked(handle, fcntl.LOCK_SH, path)
    finally:
        os.close(handle)
    return None if free else _read(path) or Holder(0, "an unknown machine", "unknown")


def _taken(folder: Path, who: Holder | None) -> StoreError:
    return StoreError(
        f"the store {folder} is being written by {who or 'another process'}; wait for it, or "
        "give this run a store of its own (--store) and join them with atlas merge"
    )


def _locked(handle: int, kind: int, path: Path) -> bool:
    """Lock without waiting; False where somebody else has locked."""
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EAGAIN):
            return False
        raise WorkError(
            f"the file system of {path.parent} cannot lock files ({error.strerror}); "
            "put the store on another one"
        ) from error
    return True


def _read(path: Path) -> Holder | None:
    try:
        pid, host, doing = json.loads(path.read_bytes())
        return Holder(int(pid), str(host), str(doing))
    except (OSError, ValueError, TypeError):
        return None
