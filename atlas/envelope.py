"""Files that say what they are: an entry's recipe and facts, kept inside its own file.

A master is a PNG with a text chunk, a table a safetensors file with metadata, anything else a JSON
document with a member for it; all three open in any program that reads such files. A *seal*, the
sha256 over recipe, facts and content, tells whether all of it is as it was written. So the files
of a store need nothing beside them: the manifest can be made anew from them.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Suffix = Literal["png", "safetensors", "json"]

KEYWORD = "channel-atlas-entry"
"""The key of the text chunk, of the metadata, of the member."""

_HEAD = 33
"""Bytes of a PNG's signature and its IHDR chunk."""


class EnvelopeError(ValueError):
    """A file that is not what `seal` made; the message says why, in a few words."""


@dataclass(frozen=True)
class Opened:
    """What a sealed file holds: `content` is what was handed to `seal`."""

    content: bytes
    recipe: Mapping[str, object]
    facts: Mapping[str, object]


def canonical(value: object) -> str:
    """Canonical JSON: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def seal(
    content: bytes, suffix: str, recipe: Mapping[str, object], facts: Mapping[str, object]
) -> bytes:
    """A file that holds `content` and says what it is.

    Raises:
        ValueError: content that is no file of this suffix.
    """
    about = canonical({"facts": facts, "recipe": recipe, "seal": _seal(recipe, facts, content)})
    if suffix == "png":
        body = b"tEXt" + KEYWORD.encode() + b"\0" + about.encode("ascii")
        chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        return content[:_HEAD] + chunk + content[_HEAD:]
    if suffix == "safetensors":
        return _with_metadata(content, about)
    if suffix == "json":
        return b'{"%b":%b,"data":%b}' % (KEYWORD.encode(), about.encode("ascii"), content)
    raise ValueError(f"the store has no files of suffix {suffix!r}")


def unseal(file: bytes, suffix: str) -> Opened:
    """Take a file apart that `seal` made.

    Raises:
        EnvelopeError: it is not one, or not as it was made.
    """
    take = {"png": _of_png, "safetensors": _of_safetensors, "json": _of_json}.get(suffix)
    if take is None:
        raise EnvelopeError(f"of unknown kind {suffix!r}")
    try:
        content, about = take(file)
        recipe, facts = about["recipe"], about["facts"]
        # Sealed again it must be the same file: so no byte of its wrapping goes unchecked either.
        same = seal(content, suffix, recipe, facts) == file
    except (ValueError, KeyError, TypeError, struct.error, RecursionError) as error:
        raise EnvelopeError("not an entry of a store, or cut short") from error
    if not same or not isinstance(recipe, dict) or not isinstance(facts, dict):
        raise EnvelopeError("its bytes have changed")
    return Opened(content, recipe, facts)


def _seal(recipe: Mapping[str, object], facts: Mapping[str, object], content: bytes) -> str:
    total = hashlib.sha256(canonical([recipe, facts]).encode())
    total.update(b"\n")
    total.update(content)
    return total.hexdigest()


def _with_metadata(content: bytes, about: str) -> bytes:
    """The header's length and its alignment to 8 bytes, which readers map tensors by, are kept."""
    (length,) = struct.unpack("<Q", content[:8])
    header, tensors = content[8 : 8 + length], content[8 + length :]
    if b'"__metadata__"' in header:
        raise ValueError("the tensors have metadata already")
    comma = "" if header[1:].lstrip().startswith(b"}") else ","
    block = '"__metadata__":' + json.dumps({KEYWORD: about}, separators=(",", ":")) + comma
    block += " " * (-len(block) % 8)
    sealed = header[:1] + block.encode("ascii") + header[1:]
    return struct.pack("<Q", len(sealed)) + sealed + tensors


def _of_png(file: bytes) -> tuple[bytes, Any]:
    (length,) = struct.unpack(">I", file[_HEAD : _HEAD + 4])
    start, stop = _HEAD + 8 + len(KEYWORD) + 1, _HEAD + 8 + length
    if file[_HEAD + 4 : start] != b"tEXt" + KEYWORD.encode() + b"\0":
        raise ValueError
    (crc,) = struct.unpack(">I", file[stop : stop + 4])
    if crc != zlib.crc32(file[_HEAD + 4 : stop]):
        raise ValueError
    return file[:_HEAD] + file[stop + 4 :], json.loads(file[start:stop])


def _of_safetensors(file: bytes) -> tuple[bytes, Any]:
    (length,) = struct.unpack("<Q", file[:8])
    header, tensors = file[8 : 8 + length].decode("latin-1"), file[8 + length :]
    opening = '{"__metadata__":'
    if len(header) != length or not header.startswith(opening):
        raise ValueError
    metadata, end = json.JSONDecoder().raw_decode(header, len(opening))
    rest = "{" + header[end:].removeprefix(",").lstrip(" ")
    bare = rest.encode("latin-1")
    return struct.pack("<Q", len(bare)) + bare + tensors, json.loads(metadata[KEYWORD])


def _of_json(file: bytes) -> tuple[bytes, Any]:
    text = file.decode("latin-1")
    opening, between = f'{{"{KEYWORD}":', ',"data":'
    if not text.startswith(opening) or not text.endswith("}"):
        raise ValueError
    about, end = json.JSONDecoder().raw_decode(text, len(opening))
    if not text.startswith(between, end):
        raise ValueError
    return file[end + len(between) : -1], about
