"""The manifest: rows and memos check themselves, and damage to the file is noticed."""

from __future__ import annotations

import sqlite3

import pytest

from atlas.entry import Entry
from atlas.errors import StoreError
from atlas.manifest import Manifest
from atlas.sums import read_sums, write_sums

ENTRY = Entry("k" * 64, "render", "png", "d" * 64, "mixed4c:447 positive 0", '{"a":1.5}')


@pytest.fixture
def folder(tmp_path):
    """A folder with a manifest of one entry and one memo."""
    manifest = Manifest(tmp_path, write=True, ours=False)
    manifest.enter([ENTRY])
    manifest.remember("fact", "42")
    manifest.close()
    return tmp_path


def change(folder, statement):
    """Do something to the database behind the manifest's back."""
    with sqlite3.connect(folder / "manifest.sqlite") as db:
        db.execute(statement)
    db.close()
    (folder / "manifest.sha256").unlink()


@pytest.mark.parametrize("write", [True, False])
def test_a_manifest_is_found_as_it_was_left(folder, write):
    manifest = Manifest(folder, write, ours=True)
    assert (manifest.damage, manifest.unlisted, manifest.written) == (None, None, False)
    assert manifest.rows() == manifest.rows("render") == [ENTRY]
    assert manifest.row(ENTRY.key) == ENTRY
    assert ENTRY.known() == {"a": 1.5}
    assert manifest.rows("examples") == []
    assert manifest.recall("fact") == "42"
    manifest.close()


@pytest.mark.parametrize("column", ["stage", "suffix", "sha256", "name", "facts", "mark"])
def test_a_row_that_was_changed_counts_as_absent(folder, column):
    change(folder, f"UPDATE entries SET {column} = {column} || 'x'")
    manifest = Manifest(folder, write=True, ours=True)
    assert manifest.rows() == []
    assert manifest.row(ENTRY.key) is None
    assert manifest.broken() == [ENTRY.key]
    manifest.close()


@pytest.mark.parametrize("column", ["value", "mark"])
def test_a_memo_that_was_changed_is_forgotten(folder, column):
    change(folder, f"UPDATE memo SET {column} = '43'")
    manifest = Manifest(folder, write=True, ours=True)
    assert manifest.recall("fact") is None
    manifest.close()


def test_every_changed_byte_is_noticed(folder):
    """Also in the empty parts of its pages, of which SQLite takes no notice."""
    path = folder / "manifest.sqlite"
    whole = path.read_bytes()
    for place in range(0, len(whole), 97):
        data = bytearray(whole)
        data[place] ^= 4
        path.write_bytes(data)
        manifest = Manifest(folder, write=False, ours=True)
        assert manifest.damage == "differs from its digest in manifest.sha256"
        assert manifest.in_memory
        manifest.close()
        assert path.read_bytes() == data


def test_a_manifest_is_held_against_what_is_left_of_a_harmed_list(folder):
    path = folder / "manifest.sha256"
    path.write_bytes(path.read_bytes()[:-9])
    data = bytearray((folder / "manifest.sqlite").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "manifest.sqlite").write_bytes(data)
    manifest = Manifest(folder, write=False, ours=True)
    assert manifest.damage == "differs from its digest in manifest.sha256"
    assert manifest.unlisted == "its bytes have changed"
    manifest.close()


@pytest.mark.parametrize(("change", "harm"), [
    (lambda path: path.unlink(), "is gone"),
    (lambda path: path.write_bytes(path.read_bytes()[:-9]), "its bytes have changed"),
    (lambda path: path.write_bytes(path.read_bytes().replace(b"objects", b"Objects", 1)),
     "its bytes have changed"),
])  # fmt: skip
def test_a_harmed_list_is_noticed_and_made_anew(folder, change, harm):
    change(folder / "manifest.sha256")
    manifest = Manifest(folder, write=True, ours=True)
    assert (manifest.damage, manifest.unlisted) == (None, harm)
    assert manifest.rows() == [ENTRY]
    manifest.begin()
    manifest.close()
    assert (folder / "manifest.sha256").is_file()


def test_a_writer_that_was_killed_is_no_damage(folder):
    killed = Manifest(folder, write=True, ours=True)
    killed.remember("fact", "43")
    assert "manifest.sqlite" not in read_sums(folder).digests
    manifest = Manifest(folder, write=True, ours=True)
    assert (manifest.damage, manifest.unlisted) == (None, None)
    assert manifest.recall("fact") == "43"
    manifest.close()
    killed.close()


def test_a_writer_that_was_killed_before_there_was_anything_is_no_damage(tmp_path):
    write_sums(tmp_path, {})
    (tmp_path / "manifest.sqlite").write_bytes(b"")
    reading = Manifest(tmp_path, write=False, ours=False)
    assert (reading.damage, reading.unlisted, reading.in_memory) == (None, None, True)
    manifest = Manifest(tmp_path, write=True, ours=False)
    assert (manifest.damage, manifest.unlisted) == (None, None)
    manifest.enter([ENTRY])
    manifest.close()
    assert Manifest(tmp_path, write=False, ours=True).rows() == [ENTRY]


def test_a_reader_whom_a_writer_overtakes_sees_no_damage(folder, monkeypatch):
    """The list was read before the writer began, the manifest after it wrote."""
    old = read_sums(folder)
    writer = Manifest(folder, write=True, ours=True)
    writer.remember("fact", "43")
    answers = iter([old])
    monkeypatch.setattr(
        "atlas.manifest.read_sums", lambda folder: next(answers, None) or read_sums(folder)
    )
    manifest = Manifest(folder, write=False, ours=True)
    assert (manifest.damage, manifest.in_memory) == (None, False)
    assert manifest.recall("fact") == "43"
    manifest.close()
    writer.close()


@pytest.mark.parametrize(
    ("data", "harm"),
    [(b"", "is empty"), (b"no database at all, but text of some length", "is damaged")],
)
def test_what_is_no_manifest_is_made_anew_in_a_store_of_ours(folder, data, harm):
    (folder / "manifest.sqlite").write_bytes(data)
    (folder / "manifest.sha256").unlink()
    manifest = Manifest(folder, write=True, ours=True)
    assert manifest.damage.startswith(harm)
    assert manifest.rows() == []
    manifest.enter([ENTRY])
    manifest.close()
    assert Manifest(folder, write=False, ours=True).rows() == [ENTRY]


def test_a_transaction_is_all_or_nothing(folder):
    manifest = Manifest(folder, write=True, ours=True)

    def fail():
        with manifest.transaction():
            manifest.remove([ENTRY.key])
            with manifest.transaction():
                manifest.remember("other", "1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert manifest.rows() == [ENTRY]
    assert manifest.recall("other") is None
    manifest.close()


def test_damage_under_way_is_one_sentence(folder):
    manifest = Manifest(folder, write=True, ours=True)
    path = folder / "manifest.sqlite"
    path.write_bytes(path.read_bytes()[:100] + bytes(path.stat().st_size - 100))
    with pytest.raises(StoreError, match="is damaged; atlas build repairs it"):
        manifest.rows()
