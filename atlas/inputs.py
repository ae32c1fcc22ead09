"""Files that a config names, read so that none of them can hang a build or take its memory."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read_regular(path: Path, most: int) -> bytes:
    """The bytes of a file that is one: no pipe, which would never end or never begin, no device.

    Raises:
        OSError: it cannot be read, is no regular file, or has more than `most` bytes; `strerror`
            says which.
    """
    about = path.stat()
    if stat.S_ISDIR(about.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"more than {most:,} bytes", str(path))
    return data


def leads_out(path: Path, folder: Path) -> bool:
    """Whether a path below `folder` is, by way of a symbolic link, somewhere else."""
    try:
        return not path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # links in a circle lead nowhere
        return False
