"""The store: keys, atomic files, damage, memory for small facts."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest

from atlas.durable import sweep
from atlas.envelope import canonical
from atlas.errors import OutputError, StoreError, WorkError
from atlas.keys import key_of, name_of
from atlas.repair import repair
from atlas.store import Store, write_atomically

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


def test_what_is_put_comes_back_to_the_byte(store):
    key = store.put({"stage": "field", "layer": "conv2d0"}, b'{"a": [1,2]}', "json", {"side": 7})
    assert store.read(key) == b'{"a": [1,2]}'
    assert store.recipe(key) == {"stage": "field", "layer": "conv2d0"}
    assert store.recipe("0" * 64) is None


def test_rows_are_those_of_a_stage_whose_files_are_there(store):
    keys = [store.put_image(RECIPE | {"channel": i}, IMAGE, {"n": i}) for i in range(3)]
    other = store.put_arrays({"stage": "examples"}, {"x": np.arange(3)}, {})
    store.path_called(f"{keys[1]}.png").unlink()
    rows = store.rows("render")
    assert {key: row.facts for key, row in rows.items()} == {keys[0]: {"n": 0}, keys[2]: {"n": 2}}
    assert rows[keys[0]].sha256 == store.digest(keys[0])
    assert list(store.rows("examples")) == [other]
    assert store.rows("nothing") == {}


def test_dropped_entries_are_gone(store):
    one, two = (store.put_image(RECIPE | {"channel": i}, IMAGE, {}) for i in range(2))
    store.drop([one, "0" * 64])
    assert store.facts(one) is None
    assert [path.stem for path in (store.folder / "objects").rglob("*")] == [two[:2], two]


def test_names_are_what_people_call_the_work():
    render = {"stage": "render", "layer": "mixed4c", "channel": 447, "kind": "diverse", "number": 2}
    assert name_of(render) == "mixed4c:447 diverse 2"
    assert name_of({"stage": "examples", "layer": "mixed4c"}) == "examples of mixed4c"
    assert name_of({"stage": "examples-part", "part": [2, 5]}) == "part 2 of 5 of a dataset pass"
    assert name_of({"stage": "something"}) == "something"


def test_one_who_only_reads_touches_nothing(tmp_path):
    absent = Store(tmp_path / "absent", write=False)
    absent.remember("fact", "42")
    assert absent.recall("fact") == "42"
    assert absent.rows("render") == {}
    with pytest.raises(StoreError, match="only being read"):
        absent.put_image(RECIPE, IMAGE, {})
    with pytest.raises(StoreError, match="only being read"):
        absent.drop([])
    absent.close()
    assert list(tmp_path.iterdir()) == []


def test_a_reader_sees_through_a_lost_manifest(tmp_path):
    first = Store(tmp_path)
    key = first.put_image(RECIPE, IMAGE, {"activation": 2.5})
    first.close()
    (tmp_path / "manifest.sqlite").unlink()
    second = Store(tmp_path, write=False)
    assert second.facts(key) == {"activation": 2.5}
    np.testing.assert_array_equal(second.read_image(key), IMAGE)
    second.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.sha256", "objects"]


def test_what_was_rolled_back_is_found_again_by_its_file(tmp_path):
    store = Store(tmp_path)

    def interrupted():
        with store.transaction():
            store.put_image(RECIPE, IMAGE, {"activation": 2.5})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    key = key_of(RECIPE)
    assert store.facts(key) is None
    assert repair(store) == []
    assert store.facts(key) == {"activation": 2.5}
    store.close()


def test_only_files_that_look_different_are_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr("atlas.durable.SETTLED", -60.0)
    monkeypatch.setattr("atlas.repair.WORTH", 0)
    store = Store(tmp_path)
    keys = [store.put_image(RECIPE | {"channel": i}, IMAGE, {}) for i in range(3)]
    store.close()
    store = Store(tmp_path)
    told = []
    assert repair(store, lambda done, total: told.append((done, total))) == []
    store.path_called(f"{keys[1]}.png").touch()
    assert repair(store, lambda done, total: told.append((done, total))) == []
    assert told == [(1, 1)]
    assert repair(store, lambda done, total: told.append((done, total))) == []
    assert told == [(1, 1)]
    store.close()


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
    with pytest.raises(WorkError, match="No space left on device; what was finished is kept"):
        write_atomically(tmp_path / "a" / "b", b"y")
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["b"]
    assert (tmp_path / "a" / "b").read_bytes() == b"x"


def test_sweeping_takes_unfinished_files_and_no_others(tmp_path):
    keep = [".part-", ".part-toolong123", "x.part-abcdefgh", ".atlas-abcdefgh.png", "a.tmp", ".git"]
    gone = [".part-ab12_xyz", ".atlas-ab12_xyz.tmp"]
    (tmp_path / "sub").mkdir()
    for name in (*keep, *gone):
        (tmp_path / "sub" / name).write_bytes(b"")
    assert sweep(tmp_path) == 2
    assert sorted(path.name for path in (tmp_path / "sub").iterdir()) == sorted(keep)


def test_a_store_that_is_not_ours_is_refused(tmp_path):
    (tmp_path / "manifest.sqlite").write_text("this is no database, only text of some length")
    with pytest.raises(StoreError, match="not a store's manifest"):
        Store(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        Store(tmp_path / "file" / "store")


def test_another_programs_database_is_refused(tmp_path):
    with sqlite3.connect(tmp_path / "manifest.sqlite") as db:
        db.execute("CREATE TABLE songs (title TEXT)")
    db.close()
    before = (tmp_path / "manifest.sqlite").read_bytes()
    with pytest.raises(StoreError, match="a database, but not a store's manifest"):
        Store(tmp_path)
    assert (tmp_path / "manifest.sqlite").read_bytes() == before
