"""Entries of a store: a row of the manifest each, and a file that says the same."""

from __future__ import annotations

import hashlib
import json
import re
from typing import NamedTuple

from atlas.envelope import EnvelopeError, canonical, unseal
from atlas.keys import key_of, name_of

NAME = re.compile(r"(?P<key>[0-9a-f]{64})\.(?P<suffix>png|safetensors|json)")
"""Names of the files of entries."""


class Entry(NamedTuple):
    """A row: an entry's key, stage, suffix, the sha256 of its file, a name for people, its facts as
    canonical JSON, and how its file looked (`signature`) when it was last known to be whole."""

    key: str
    stage: str
    suffix: str
    sha256: str
    name: str
    facts: str
    seen: str = ""

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.key}.{self.suffix}"

    @property
    def path(self) -> str:
        """Where its file is below the store's folder."""
        return f"objects/{self.key[:2]}/{self.file}"

    def known(self) -> dict[str, object]:
        """Its facts."""
        facts: dict[str, object] = json.loads(self.facts)
        return facts


def entry_of(name: str, data: bytes) -> Entry:
    """The manifest's row for the file `name` with these bytes.

    Raises:
        EnvelopeError: they are no entry, or not the one of this name.
    """
    match = NAME.fullmatch(name)
    if match is None:
        raise EnvelopeError("not the name of an entry")
    opened = unseal(data, match["suffix"])
    if key_of(opened.recipe) != match["key"]:
        raise EnvelopeError("another entry's file under this name")
    return Entry(
        match["key"],
        str(opened.recipe["stage"]),
        match["suffix"],
        hashlib.sha256(data).hexdigest(),
        name_of(opened.recipe),
        canonical(opened.facts),
    )
