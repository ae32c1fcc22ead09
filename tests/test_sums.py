"""The list of a store's files: as sha256sum has it, and aware of every change."""

from __future__ import annotations

import hashlib
import shutil
import subprocess

import pytest

from atlas.sums import read_sums, write_sums

DIGESTS = {f"objects/{i:02x}/{i}.png": hashlib.sha256(bytes([i])).hexdigest() for i in range(4)}


def test_a_list_is_read_as_it_was_written(tmp_path):
    assert read_sums(tmp_path) is None
    for digests in (DIGESTS, {}):
        write_sums(tmp_path, digests)
        found = read_sums(tmp_path)
        assert (found.digests, found.whole) == (digests, True)


def test_every_change_is_noticed_and_what_can_be_read_is(tmp_path):
    write_sums(tmp_path, DIGESTS)
    path = tmp_path / "manifest.sha256"
    whole = path.read_bytes()
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        for data in (bytes(flipped), whole[:place]):
            path.write_bytes(data)
            found = read_sums(tmp_path)
            assert not found.whole
            intact = set(data.decode("latin-1").split("\n")) & set(whole.decode().split("\n")[:4])
            assert {f"{d}  {p}" for p, d in found.digests.items()} >= intact


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_sha256sum_checks_a_store(tmp_path):
    for number, path in enumerate(sorted(DIGESTS)):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_bytes(bytes([number]))
    write_sums(tmp_path, DIGESTS)
    check = ["sha256sum", "--strict", "-c", "manifest.sha256"]
    assert subprocess.run(check, cwd=tmp_path, capture_output=True).returncode == 0
    (tmp_path / "objects/01/1.png").write_bytes(b"other")
    done = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "objects/01/1.png: FAILED" in done.stdout
