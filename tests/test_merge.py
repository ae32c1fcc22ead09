"""Merging stores: conflicts, damage, what is no store."""

from __future__ import annotations

import itertools

import pytest

from atlas.errors import StoreError
from atlas.keys import PASS
from atlas.merge import merge, open_sources
from atlas.repair import repair
from atlas.store import Store
from tests.forked import Forked, tree


def made(folder, *numbers, stage="render", facts=None):
    """A store with a piece of work for each number."""
    store = Store(folder)
    for number in numbers:
        recipe = {
            "stage": stage, "layer": "edges", "channel": number, "kind": "positive", "number": 0,
        }  # fmt: skip
        store.put(recipe, b'{"n": %d}' % number, "json", facts or {"activation": 1.5})
    store.close()
    return folder


def merged(target, *folders):
    store = Store(target)
    repair(store)
    sources = open_sources(folders)
    try:
        return merge(store, sources)
    finally:
        for one in (*sources, store):
            one.close()


def entries(folder):
    store = Store(folder, write=False)
    found = [entry[:6] for entry in store.manifest.rows()]
    store.close()
    return found


def test_order_and_repetition_do_not_matter(tmp_path):
    folders = [
        made(tmp_path / "a", 1, 2, 3), made(tmp_path / "b", 3, 4), made(tmp_path / "c", 5)
    ]  # fmt: skip
    results = []
    for turn, order in enumerate(itertools.permutations(folders)):
        target = tmp_path / f"target{turn}"
        done = merged(target, *order, order[0])
        assert (done.copied, done.present, done.damaged) == (5, 0, ())
        assert merged(target, *folders).copied == 0
        for folder in order:
            assert merged(target, folder).present == 5
        results.append((tree(target / "objects"), entries(target)))
    assert all(result == results[0] for result in results)
    assert len(results[0][1]) == 5


def test_a_store_merged_with_itself_stays_as_it_is(tmp_path):
    folder = made(tmp_path / "a", 1, 2)
    before = tree(folder)
    assert merged(folder, folder).copied == 0
    assert tree(folder) == before


def test_conflicts_are_named_and_nothing_is_merged(tmp_path):
    one, two = made(tmp_path / "a", 1, 2, 3), made(tmp_path / "b", 2, 4, facts={"activation": 9})
    for target, sources in ((tmp_path / "new", (one, two)), (one, (two,))):
        before = tree(target / "objects")
        with pytest.raises(StoreError, match="which is right cannot be known: edges:2 positive 0"):
            merged(target, *sources)
        assert tree(target / "objects") == before
    with pytest.raises(StoreError, match=f"in {tmp_path / 'b'} and {tmp_path / 'a'}"):
        merged(two, one)


def test_damaged_entries_are_named_and_taken_from_where_they_are_whole(tmp_path):
    one, two = made(tmp_path / "a", 1, 2, 3), made(tmp_path / "b", 3)
    for path in (one / "objects").rglob("*.json"):
        if b'"channel":1' not in path.read_bytes():
            path.write_bytes(path.read_bytes()[:-3] + b"0}}")
    done = merged(tmp_path / "t", one, two)
    assert done.copied == 2
    names = [finding.name for finding in done.damaged]
    assert names == ["edges:2 positive 0", "edges:3 positive 0"]
    assert all(str(one) in finding.harm for finding in done.damaged)
    whole = made(tmp_path / "w", 1, 3)
    assert tree(tmp_path / "t" / "objects") == tree(whole / "objects")


def test_what_a_killed_shard_had_not_noted_down_is_merged_too(tmp_path):
    one = made(tmp_path / "a", 1, 2, 3)
    store = Store(one)
    (first, *_) = store.manifest.rows()
    store.manifest.remove([first.key])
    store.close()
    assert merged(tmp_path / "t", one).copied == 3
    assert tree(tmp_path / "t" / "objects") == tree(one / "objects")


def test_unfinished_passes_are_not_merged(tmp_path):
    """Two stores may have one each, at different states; that is no conflict."""
    one = made(tmp_path / "a", 1, stage=PASS)
    two = made(tmp_path / "b", 1, stage=PASS, facts={"images": 64})
    made(two, 2)
    done = merged(tmp_path / "t", one, two)
    assert (done.copied, [entry[1] for entry in entries(tmp_path / "t")]) == (1, ["render"])


def test_names_out_of_foreign_files_are_printed_on_one_line(tmp_path):
    one = tmp_path / "a"
    store = Store(one)
    key = store.put({"stage": "render", "layer": "x\n\x1b[2Jatlas: all is well"}, b"1", "json", {})
    store.path_called(f"{key}.json").write_bytes(b"harmed")
    store.close()
    (finding,) = merged(tmp_path / "t", one).damaged
    assert str(finding).startswith("x \\x1b[2Jatlas: all is well:None None None: its bytes have")


def test_a_source_without_a_manifest_is_read_from_its_files(tmp_path):
    one = made(tmp_path / "a", 1, 2)
    (one / "manifest.sqlite").write_bytes(b"nonsense")
    before = tree(one)
    assert merged(tmp_path / "t", one).copied == 2
    assert tree(one) == before


def test_on_the_command_line(tmp_path):
    one, two = made(tmp_path / "a", 1, 2), made(tmp_path / "b", 3)
    bad = made(tmp_path / "bad", 7)
    for path in (bad / "objects").rglob("*.json"):
        path.write_bytes(b"{}")
    with Forked(tmp_path) as atlas:
        done = atlas("merge", one, two, "--store", "t")
        assert done.code == 0
        assert done.out.startswith("merged 2 stores into t: copied 3 entries (")
        assert atlas("merge", "absent", "--store", "t").code == 2
        done = atlas("merge", one, tmp_path, "--store", "t")
        assert done.err == f"atlas: {tmp_path} is not a store: it has no folder objects\n"
        done = atlas("merge", bad, "--store", "t")
        assert done.code == 1
        assert done.err.splitlines()[-1].startswith("damaged: edges:7 positive 0: its bytes have")
    assert len(tree(tmp_path / "t" / "objects")) == 3
