"""Writing into the site folder: atomically, only what changed, deleting only what we made."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from atlas.durable import cannot_write
from atlas.errors import OutputError
from atlas.inputs import leads_out

_NAME = r"[A-Za-z0-9][\w.-]*"
_IMAGE = r"(?:avif|webp|jpg)"
_OURS = re.compile(
    rf"(?P<layer>{_NAME})/(?:index|page-\d+|\d+)\.html"
    rf"|classes/{_NAME}\.html"
    rf"|[A-Za-z0-9][\w-]*\.html|sitemap\.xml|robots\.txt"
    rf"|data/(?:{_NAME}/)?{_NAME}\.js|manifest/{_NAME}\.json\.gz|tables/{_NAME}\.(?:csv|parquet)"
    rf"|media/(?:renders|examples)/{_NAME}/(?:whole-)?\d+(?:-\d+|-similar)?\.{_IMAGE}"
    rf"|media/(?:layers|cards)/{_NAME}\.{_IMAGE}"
)
"""The shape of every path that pruning may touch, whatever an old manifest says."""


def sha256(data: bytes) -> str:
    """The digest sheets are remembered by, in hex."""
    return hashlib.sha256(data).hexdigest()


def digest_of(path: Path) -> str | None:
    """The sha256 of a file, or None when there is none to read."""
    try:
        return sha256(path.read_bytes())
    except OSError:
        return None


def write_if_changed(path: Path, data: bytes) -> bool:
    """Make `path` hold `data`; True if it had to be written.

    A file with the same bytes is left alone, with its time. Otherwise the bytes go to a temporary
    file in the same folder and take the place of the old ones at once. They are not flushed to the
    disk: a site can be made again, and 19,000 flushes take longer than to make its pages.

    Raises:
        WorkError: the disk is full or read-only.
        OutputError: there can be no such file.
    """
    try:
        if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".atlas-", suffix=".tmp", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.chmod(name, 0o644)  # mkstemp makes private files; a web server has to read these
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
    except OSError as error:
        raise cannot_write(path, error) from error
    return True


def files_of_manifest(out: Path) -> set[str]:
    """The pages and sheets an earlier build left in `out`, by its manifest; empty if none is ours.

    The manifest is not trusted: only paths of the shape this package writes come back.
    """
    try:
        manifest: Any = json.loads((out / "manifest.json").read_bytes())
        if not str(manifest["generator"]).startswith("channel-atlas"):
            return set()
        found = {str(path) for path in manifest.get("files", ())}
        for channel in manifest["channels"]:
            found.add(str(channel["page"]))
            tiles = channel["renders"] + channel["examples"]
            tiles += [tile for band in channel.get("spectrum", ()) for tile in band["examples"]]
            tiles += [channel["whole"]] if channel.get("whole") else []
            found.update(str(tile["sheet"]) for tile in tiles)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return set()
    return {path for path in found if _is_ours(path)}


def check_links(out: Path) -> None:
    """Make sure that whatever is written below `out` ends up there.

    Raises:
        OutputError: a folder in it is a link that leads elsewhere.
    """
    for folder, names, _ in os.walk(out):
        for name in names:
            path = Path(folder, name)
            if path.is_symlink() and leads_out(path, out):
                raise OutputError(f"{path} is a link out of the site; remove it")


def prune(out: Path, old: Iterable[str], keep: Iterable[str]) -> int:
    """Delete the files of an earlier build (`old`) that this one does not have; their number.

    Folders that become empty go too. Nothing outside `out` is touched, also not by way of a link.

    Raises:
        OutputError: a file that has to go cannot be deleted.
    """
    root = out.resolve()
    removed = 0
    for name in sorted(set(old) - set(keep)):
        path = out / name
        if not _is_ours(name) or not path.parent.resolve().is_relative_to(root):
            continue
        try:
            path.unlink()
            removed += 1
        except FileNotFoundError:
            continue
        except OSError as error:
            raise OutputError(f"cannot remove {path}: {error.strerror or error}") from error
        with contextlib.suppress(OSError):  # not empty: somebody else's files are in there
            path.parent.rmdir()
    return removed


def _is_ours(path: str) -> bool:
    match = _OURS.fullmatch(path)
    return match is not None and match["layer"] not in {"static", "media"}
