"""The dataset pass of a build: killed and resumed, shared between shards, merged."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from atlas import interrupt, survey
from atlas.errors import WorkError
from atlas.examples import collect
from atlas.examples.checkpoint import pack_state, unpack_state
from atlas.examples.receptive import theoretical
from atlas.examples.sources import open_source
from atlas.examples.table import pack
from atlas.examples.view import Viewing
from atlas.keys import PASS
from atlas.repair import repair
from atlas.store import Store
from atlas.survey import Survey
from tests.conftest import make_photo
from tests.toy import ToyNetwork

LAYERS = ("edges", "things")


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """300 small pictures in five classes, two of them broken."""
    root = tmp_path_factory.mktemp("many")
    rng = np.random.default_rng(8)
    for i in range(300):
        folder = root / f"class{i % 5}"
        folder.mkdir(exist_ok=True)
        make_photo(rng, 40, 40).save(folder / f"{i:03}.png")
        if i in (10, 200):
            (folder / f"{i:03}.png").write_bytes(b"broken")
    return root


def make(root, store, k=5) -> Survey:
    source = open_source(f"folder:{root}")
    fields = {name: theoretical(ToyNetwork().path(name)) for name in LAYERS}
    dataset = source.fingerprint(store.file_digest)
    return Survey(ToyNetwork(), source, dataset, fields, k, Viewing(40, 32), store, "cpu")


def digest(found) -> str:
    total = hashlib.sha256(repr(found.skipped).encode())
    for table in found.tables.values():
        for name, array in sorted(pack(table).items()):
            total.update(name.encode() + array.tobytes())
    return total.hexdigest()


def test_parts_of_any_number_come_to_the_whole(many, tmp_path):
    whole = make(many, Store(tmp_path / "whole")).whole(lambda _: None)
    assert len(whole.skipped) == 2
    for count in (2, 3, 7):
        store = Store(tmp_path / f"{count}")
        order = np.random.default_rng(count).permutation(count) + 1
        found = [make(many, store).part((int(i), count), lambda _: None) for i in order]
        assert found[:-1] == [None] * (count - 1)
        assert digest(found[-1]) == digest(whole)
        # Whoever comes later merges them without a look at the dataset.
        assert digest(make(many, store).whole(pytest.fail)) == digest(whole)


def test_a_state_survives_its_bytes(many, tmp_path):
    one = make(many, Store(tmp_path / "s"))
    state = one._pass((1, 1), lambda _: None)
    again = unpack_state(pack_state(state))
    assert pack_state(again) == pack_state(state)
    assert again.skipped == state.skipped
    assert again.maps == state.maps
    for bad in (b"", b"nonsense", pack_state(state)[:-100]):
        assert unpack_state(bad) is None


SCRIPT = """
import os, signal, sys
from pathlib import Path
from atlas import survey
from atlas.examples import collect
from atlas.store import Store
from tests.test_survey import digest, make
survey.EVERY_IMAGES, survey.EVERY_SECONDS = 1, 0.0
collect.TOGETHER = 4
limit = int(sys.argv[3])
def advance(done):
    if done >= limit:
        os.kill(os.getpid(), signal.SIGKILL)
print(digest(make(Path(sys.argv[1]), Store(sys.argv[2])).whole(advance)))
"""


def test_a_pass_that_was_killed_ends_with_the_same_bytes(many, tmp_path):
    def run(store, limit):
        command = [sys.executable, "-c", SCRIPT, str(many), str(tmp_path / store), str(limit)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    clean = run("clean", 10_000)
    assert clean.returncode == 0, clean.stderr
    for limit, images in ((65, 62), (135, 126), (250, 190)):
        killed = run("killed", limit)
        assert killed.returncode == -signal.SIGKILL
        store = Store(tmp_path / "killed")
        repair(store)
        kept = [row.known()["images"] for row in store.manifest.rows(PASS)]
        store.close()
        assert kept == [images]
    again = run("killed", 10_000)
    assert again.stdout == clean.stdout


@pytest.fixture
def often(monkeypatch):
    """States come, and are kept, a chunk of 64 images at a time."""
    monkeypatch.setattr(survey, "EVERY_IMAGES", 1)
    monkeypatch.setattr(survey, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(collect, "TOGETHER", 4)


@pytest.mark.usefixtures("often")
def test_a_pass_goes_on_and_does_not_begin_again(many, tmp_path):
    store = Store(tmp_path / "s")

    def stop(done):
        if done > 140:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(many, store).whole(stop)
    rest = []
    make(many, store).whole(rest.append)
    assert rest[0] == 128
    assert rest == sorted(rest)
    assert rest[-1] == 300


def test_an_interrupted_pass_keeps_what_it_has_seen(many, tmp_path, monkeypatch):
    """However little that is."""
    monkeypatch.setattr(collect, "TOGETHER", 4)
    store = Store(tmp_path / "s")

    def interrupted(done):
        if done > 70 and not interrupt.asked():
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt), interrupt.guarded():
        make(many, store).whole(interrupted)
    rest = []
    make(many, store).whole(rest.append)
    assert rest[0] == 128


@pytest.mark.usefixtures("often")
def test_what_a_pass_goes_on_from_stays_until_its_tables_are_kept(many, tmp_path):
    store = Store(tmp_path / "s")
    one = make(many, store)
    found = one.whole(lambda _: None)
    assert len(store.manifest.rows(PASS)) == 1
    assert one.begun()
    rest = []
    assert digest(make(many, store).whole(rest.append)) == digest(found)
    assert rest == [300]
    one.forget()
    assert store.manifest.rows() == []
    assert not one.begun()


def test_a_pass_over_what_shards_left_undone_is_one_over_that_alone(many, tmp_path):
    whole = digest(make(many, Store(tmp_path / "whole")).whole(lambda _: None))
    store = Store(tmp_path / "s")
    for part in ((1, 2), (1, 5), (3, 5), (4, 5)):
        assert make(many, store).part(part, lambda _: None) is None
    seen = []
    assert digest(make(many, store).whole(seen.append)) == whole
    # A part of five is a chunk: the second is passed over from its beginning, and then the last.
    assert seen[0] == 64
    assert seen == sorted(seen)
    assert not any(128 < done < 256 for done in seen)
    assert seen[-1] == 300


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("goes", ["a folder of it", "all of it"])
def test_photographs_that_go_away_during_a_pass_stop_it(many, tmp_path, goes):
    folder, store = tmp_path / "photographs", Store(tmp_path / "s")
    shutil.copytree(many, folder)
    whole = digest(make(many, Store(tmp_path / "whole")).whole(lambda _: None))
    gone = folder / "class4" if goes == "a folder of it" else folder

    def vanish(done):
        if done >= 128 and gone.exists():
            gone.rename(tmp_path / "elsewhere")

    with pytest.raises(WorkError, match="was there when the pass over the photographs began and"):
        make(folder, store).whole(vanish)
    (tmp_path / "elsewhere").rename(gone)
    rest = []
    assert digest(make(folder, store).whole(rest.append)) == whole
    assert rest[0] in (128, 192)


def test_damaged_remains_are_passed_over(many, tmp_path):
    store = Store(tmp_path / "s")
    one = make(many, store)
    whole = digest(one.whole(lambda _: None))
    store.put(one._pass_recipe((1, 1)), b'"no state"', "json", {})
    assert digest(make(many, store).whole(lambda _: None)) == whole


def test_memory_does_not_grow_with_the_dataset(many, monkeypatch):
    """Lists and buckets stay as large as they were; sums take 16 bytes a chunk and channel."""
    from atlas.examples.collect import chunks, columns_of, passing
    from atlas.examples.state import State

    source, network = open_source(f"folder:{many}"), ToyNetwork()
    channels = columns_of(network, LAYERS).total
    state = State.empty(channels, 5)
    sizes = []
    monkeypatch.setattr(collect, "TOGETHER", 4)
    going = passing(network, source, LAYERS, state, Viewing(40, 32), chunks(source))
    for done in itertools.islice(going, 5):
        tensors = [*vars(done.top).values(), done.buckets.counts]
        tensors += list(vars(done.buckets.images).values())
        sizes.append(sum(t.numel() * t.element_size() for t in tensors))
        assert sum(t.numel() for t in done.sums.values()) == 2 * channels * len(done.seen)
    assert len(set(sizes)) == 1
