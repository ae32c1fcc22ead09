"""Files that are either whole or not there, and what it means when one cannot be written."""

from __future__ import annotations

import errno
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from atlas.errors import AtlasError, OutputError, WorkError

PREFIX = ".part-"
"""How the names of unfinished files begin."""

UNFINISHED = re.compile(r"\.part-\w{8}|\.atlas-\w{8}\.tmp")
"""Names of unfinished files, of ours and of `atlas.site.files`, and of nothing else."""

SETTLED = 2.0
"""Seconds after which a change of a file shows in its times, however coarse their ticks are."""

_STATE_OF_THE_MACHINE = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM),
        *(errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ESTALE),
    }
)


def cannot_write(path: Path, error: OSError, what: str = "") -> AtlasError:
    """What to raise where `error` kept `path`, or `what` it is (``the site to``), from being
    written.

    A full or read-only disk is work that failed (exit code 1); a path that cannot be one, such as
    a folder below a file, is a mistake in the input (exit code 2).
    """
    place = f"{what} {path}" if what else f"{path}"
    text = f"cannot write {place}: {error.strerror or type(error).__name__}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return WorkError(f"{text}; what was finished is kept, make room and run again")
    if error.errno in _STATE_OF_THE_MACHINE:
        return WorkError(text)
    return OutputError(text)


@contextmanager
def explained(path: Path, what: str = "") -> Iterator[None]:
    """Turn an OSError into what `cannot_write` makes of it."""
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error, what) from error


def write_atomically(path: Path, data: bytes, synced: bool = True) -> None:
    """Write a file so that it is either whole or not there (temporary file, fsync, rename).

    Args:
        synced: on the disk when this returns; without, the caller syncs many files at once.

    Raises:
        WorkError: the disk is full or read-only.
        OutputError: there can be no such file.
    """
    with explained(path):
        _make_folder(path.parent)
        handle, name = tempfile.mkstemp(prefix=PREFIX, dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                if synced:
                    os.fsync(file.fileno())
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise
        if synced:
            _sync_folder(path.parent)


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, so that they outlast a loss of power."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` outlast a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems cannot sync a folder
            os.fsync(handle)
    finally:
        os.close(handle)


def check_writable(path: Path) -> None:
    """Fail before the work, not after it, if a file cannot be written; nothing is left behind.

    Raises:
        WorkError, OutputError: it cannot.
    """
    with explained(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass


def check_folder(folder: Path, what: str = "") -> None:
    """Make a folder, and make sure that files can be written in it.

    Raises:
        WorkError, OutputError: they cannot.
    """
    with explained(folder, what):
        _make_folder(folder)
        with tempfile.TemporaryFile(dir=folder):
            pass


def sweep(folder: Path) -> int:
    """Delete what writers that were killed left unfinished in `folder` and below; how many files.

    Only for one who knows that no other writer is at work there.
    """
    swept = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            if UNFINISHED.fullmatch(name):
                with suppress(OSError):
                    os.unlink(os.path.join(parent, name))
                    swept += 1
    return swept


def signature(stat: os.stat_result) -> str:
    """How a file looks from outside. Who writes to it changes its ctime, which cannot be set
    back."""
    return f"{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}:{stat.st_ino}"


def settled(stat: os.stat_result) -> bool:
    """Whether the last change of a file is so long ago that another would show."""
    return time.time() - stat.st_ctime > SETTLED
