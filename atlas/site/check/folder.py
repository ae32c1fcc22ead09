"""The files of a site as they lie on the disk. Nothing outside of the folder is ever opened.

A symbolic link is reported and neither followed nor read: an upload drops it, a USB stick cannot
hold it, and it may lead anywhere.
"""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from atlas.site.check.problems import Problem

_NOT_OURS = {".git", ".hg", ".svn"}
"""Folders of version control in a site's folder: no host serves them."""


@dataclass(frozen=True)
class Folder:
    """A site's files by path (relative, with slashes), each with its size in bytes.

    `folders` are the paths of its subfolders; `links` those of symbolic links, which count as
    existing but are not read.
    """

    root: Path
    files: Mapping[str, int]
    folders: frozenset[str]
    links: frozenset[str]

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(self.files.values())

    @cached_property
    def by_lower_case(self) -> Mapping[str, str]:
        """The paths by what they are in lower case, as disks see them that do not tell the two."""
        return {path.lower(): path for path in self.files}

    def has(self, path: str) -> bool:
        """Whether there is such a file, in exactly this spelling."""
        return path in self.files or path in self.links

    def read(self, path: str, limit: int) -> bytes | None:
        """The bytes of a file of the site; None if it is not one or is larger than `limit`.

        Raises:
            OSError: it cannot be read, or has become a symbolic link since the folder was walked.
        """
        if self.files.get(path, limit + 1) > limit:
            return None
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(self.root / path, flags), "rb") as file:
            return file.read(limit)


def walk(root: Path) -> tuple[Folder, list[Problem]]:
    """List a site's files, and what is wrong with their names and kinds."""
    files: dict[str, int] = {}
    folders: set[str] = set()
    links: set[str] = set()
    problems: list[Problem] = []
    todo = [""]
    while todo:
        here = todo.pop()
        try:
            entries = sorted(os.scandir(root / here), key=lambda entry: entry.name)
        except OSError as error:
            problems.append(_unreadable(here or ".", error))
            continue
        for entry in entries:
            path = f"{here}/{entry.name}" if here else entry.name
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError as error:
                problems.append(_unreadable(path, error))
                continue
            if stat.S_ISLNK(status.st_mode):
                links.add(path)
                problems.append(
                    Problem(path, "symbolic link", "is a symbolic link; put the file itself here")
                )
            elif stat.S_ISDIR(status.st_mode):
                if entry.name not in _NOT_OURS:
                    folders.add(path)
                    todo.append(path)
            elif stat.S_ISREG(status.st_mode):
                files[path] = status.st_size
            else:
                problems.append(Problem(path, "not a file", "is neither a file nor a folder"))
    folder = Folder(root, dict(sorted(files.items())), frozenset(folders), frozenset(links))
    return folder, problems + list(_names(folder))


def _names(folder: Folder) -> Iterator[Problem]:
    """Names that do not survive every disk and every server."""
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for path in folder.files:
        alike[path.lower()].append(path)
        name = path.rpartition("/")[2]
        if name.startswith(".atlas-") and name.endswith(".tmp"):
            yield Problem(
                path, "left over", "was left by a build that was cut short; delete it", True
            )
        elif set(path) & set('\\:*?"<>|') or not path.isprintable():
            yield Problem(
                path, "file name", "has characters that not every disk and host can hold", True
            )
    for paths in alike.values():
        for path in paths[1:]:
            yield Problem(
                path, "file name", f"differs from {paths[0]} in upper and lower case only", True
            )


def _unreadable(path: str, error: OSError) -> Problem:
    return Problem(path, "unreadable", f"cannot be read: {error.strerror or error}")
