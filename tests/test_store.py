"""The store: keys, atomic files, damage, memory for small facts."""

from __future__ import annotations

import numpy as np
import pytest

from atlas.errors import OutputError, StoreError
from atlas.store import Store, canonical, key_of, write_atomically

RECIPE = {"stage": "render", "steps": 3, "layer": "mixed4c"}
IMAGE = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "store")
    yield opened
    opened.close()


def test_keys_follow_content_not_order():
    assert key_of({"a": 1, "b": [1.5, "x"]}) == key_of({"b": [1.5, "x"], "a": 1})
    assert key_of({"a": 1}) != key_of({"a": 2})
    assert canonical({"b": 1, "a": "é"}) == '{"a":"\\u00e9","b":1}'


def test_masters_and_tables_come_back_as_they_were(store):
    key = store.put_image(RECIPE, IMAGE, {"activation": 1.5})
    np.testing.assert_array_equal(store.read_image(key), IMAGE)
    assert store.facts(key) == {"activation": 1.5}
    table = {"x": np.arange(5), "y": np.ones((2, 2), np.float32)}
    again = store.read_arrays(store.put_arrays({"stage": "examples"}, table, {}))
    np.testing.assert_array_equal(again["x"], table["x"])
    np.testing.assert_array_equal(again["y"], table["y"])


def test_a_store_remembers_across_openings(tmp_path):
    first = Store(tmp_path)
    key = first.put_image(RECIPE, IMAGE, {})
    first.remember("fact", "42")
    first.close()
    second = Store(tmp_path)
    assert second.facts(key) == {}
    assert second.recall("fact") == "42"
    second.close()


@pytest.mark.parametrize("harm", ["flip", "truncate", "delete"])
def test_damaged_entries_are_never_returned(store, harm):
    key = store.put_image(RECIPE, IMAGE, {})
    (path,) = store.folder.rglob(f"{key}.png")
    data = bytearray(path.read_bytes())
    if harm == "flip":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif harm == "truncate":
        path.write_bytes(data[:-5])
    else:
        path.unlink()
    assert store.read(key) is None
    with pytest.raises(StoreError, match="lost or damaged"):
        store.read_image(key)


def test_file_digests_follow_content(store, tmp_path):
    file = tmp_path / "x"
    file.write_bytes(b"one")
    first = store.file_digest(file)
    assert store.file_digest(file) == first
    file.write_bytes(b"two!")
    assert store.file_digest(file) != first


def test_atomic_writes_leave_nothing_behind(tmp_path, monkeypatch):
    write_atomically(tmp_path / "a" / "b", b"x")
    assert (tmp_path / "a" / "b").read_bytes() == b"x"

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OutputError, match="No space left"):
        write_atomically(tmp_path / "a" / "b", b"y")
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["b"]
    assert (tmp_path / "a" / "b").read_bytes() == b"x"


def test_a_store_that_is_not_ours_is_refused(tmp_path):
    (tmp_path / "manifest.sqlite").write_text("this is no database, only text of some length")
    with pytest.raises(StoreError, match="not a store's manifest"):
        Store(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        Store(tmp_path / "file" / "store")
