"""Damaged images are read or skipped, whatever the damage; the same ones in every run."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest

from atlas.examples.decode import UnreadableImageError, decode, measured
from tests.examples.test_decode import READABLE

DAMAGED = 40
"""How many of each kind are damaged."""


def damage(data: bytes, rng: random.Random) -> bytes:
    """Bytes changed, inserted or cut off; every other time in the header, where most depends."""
    changed = bytearray(data)
    reach = rng.choice([len(changed), min(len(changed), 300)])
    for _ in range(rng.choice([1, 1, 2, 8, 30])):
        changed[rng.randrange(reach)] = rng.randrange(256)
    if rng.random() < 0.2:
        del changed[rng.randrange(1, len(changed)) :]
    if rng.random() < 0.1:
        at = rng.randrange(len(changed))
        changed[at:at] = rng.randbytes(rng.randrange(1, 40))
    return bytes(changed)


def read(data: bytes) -> np.ndarray | None:
    """The pixels, checked as far as they can be, or None of what is skipped with a reason."""
    try:
        image = decode(io.BytesIO(data))
    except UnreadableImageError as error:
        reason = str(error)
        assert reason
        assert reason.isprintable()
        assert len(reason) <= 200
        assert " at 0x" not in reason  # an address, another in every run
        return None
    assert image.mode == "RGB"
    assert measured(io.BytesIO(data)) == image.size
    return np.asarray(image)


@pytest.mark.parametrize("kind", READABLE)
def test_damaged_images_are_read_or_skipped_in_silence(kind, capfd):
    rng = random.Random(kind)
    for _ in range(DAMAGED):
        read(damage(READABLE[kind][0], rng))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", [kind for kind in READABLE if kind.startswith("PNG")])
def test_checksums_find_every_changed_byte(kind):
    data = READABLE[kind][0]
    whole = read(data)
    rng = random.Random(kind)
    for _ in range(DAMAGED):
        changed = bytearray(data)
        changed[rng.randrange(len(data))] ^= rng.randrange(1, 256)
        found = read(bytes(changed))
        assert found is None or np.array_equal(found, whole)


@pytest.mark.parametrize("kind", [kind for kind in READABLE if "text" not in kind])
def test_truncated_images_are_read_whole_or_skipped(kind, capfd):
    data = READABLE[kind][0]
    whole = read(data)
    for kept in [*range(0, len(data), len(data) // 30), *range(len(data) - 15, len(data))]:
        found = read(data[:kept])
        assert found is None or np.array_equal(found, whole), f"{kept} of {len(data)} bytes"
    assert capfd.readouterr() == ("", "")
