"""The dataset pass of a build: killed and resumed, shared between shards, merged."""

from __future__ import annotations

import hashlib
import itertools
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from atlas import survey
from atlas.examples import collect
from atlas.examples.checkpoint import pack_state, unpack_state
from atlas.examples.receptive import theoretical
from atlas.examples.sources import open_source
from atlas.examples.table import pack
from atlas.examples.view import Viewing
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
    return Survey(ToyNetwork(), source, "digest", fields, k, Viewing(40, 32), store, "cpu")


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
    for limit in (65, 135, 250):
        killed = run("killed", limit)
        assert killed.returncode == -signal.SIGKILL
        assert list((tmp_path / "killed" / "partial").glob("*.safetensors")) or limit == 65
    again = run("killed", 10_000)
    assert again.stdout == clean.stdout
    assert not list((tmp_path / "killed" / "partial").iterdir())


def test_a_pass_goes_on_and_does_not_begin_again(many, tmp_path, monkeypatch):
    monkeypatch.setattr(survey, "EVERY_IMAGES", 1)
    monkeypatch.setattr(survey, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(collect, "TOGETHER", 4)
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


def test_damaged_remains_are_passed_over(many, tmp_path):
    store = Store(tmp_path / "s")
    one = make(many, store)
    whole = digest(one.whole(lambda _: None))
    path = store.partial(survey.key_of(one._recipe((1, 1))))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"half a file")
    assert digest(make(many, store).whole(lambda _: None)) == whole
    assert os.listdir(path.parent) == []


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
