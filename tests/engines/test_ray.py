"""The Ray engine on a Ray that pretends; `test_cluster` has a real one."""

from __future__ import annotations

import re

import pytest
import torch

from atlas import interrupt
from atlas.build import _own_device
from atlas.config import Config
from atlas.engines import Lost
from atlas.engines.local import LocalEngine
from atlas.engines.ray import RayEngine
from atlas.engines.worker import Worker, version
from atlas.errors import AtlasError, WorkError
from atlas.examples.collect import columns_of
from atlas.examples.sources import FolderSource
from atlas.examples.state import State
from atlas.examples.view import Viewing
from atlas.models.zoo import load_model
from atlas.plan import make_plan
from atlas.recipes import recipe_of
from tests.engines.pretend import Killed, PretendRay

LAYERS = ("conv2d0",)
VIEWING = Viewing(40, 32)


@pytest.fixture(scope="module")
def network():
    return load_model("googlenet-mini")


@pytest.fixture
def planned(network):
    """A plan of four chunks, the last one of a deeper layer."""
    config = Config.model_validate(
        {
            "units": "conv2d0:20-22,mixed3a:1",
            "render": {"size": 32, "steps": 1, "kinds": ["positive"], "chunk": 1},
        }
    )
    recipe = recipe_of(config.render)
    return make_plan(config, recipe, network, None, "cpu").chunks, recipe


@pytest.fixture
def engine(network):
    """Makes engines of so many workers, whose calls go to a Ray that pretends."""

    def made(workers, device="cpu", address=None, **resources):
        engine = RayEngine(address, workers, quiet=True)
        engine._ray = PretendRay(**({"CPU": 8.0} | resources))
        engine.begin(network, device)
        return engine

    return made


def deadly(monkeypatch, method, is_deadly):
    """Have workers die of some work."""
    right = getattr(Worker, method)

    def does(self, *arguments):
        if is_deadly(*arguments):
            raise Killed("killed")
        return right(self, *arguments)

    monkeypatch.setattr(Worker, method, does)


def test_deep_chunks_come_first_and_all_come(engine, planned):
    found = [[one.render for one in done] for done in engine(2).render(*planned)]
    assert found == [list(chunk.renders) for chunk in reversed(planned[0])]


def test_a_chunk_that_kills_is_given_up_and_the_others_are_not(engine, planned, monkeypatch):
    bad = planned[0][1]
    deadly(monkeypatch, "render", lambda chunk, _: chunk == bad)
    ours = engine(2)
    found = list(ours.render(*planned))
    assert [one.chunk for one in found if isinstance(one, Lost)] == [bad]
    assert [one.reason for one in found if isinstance(one, Lost)] == [
        "3 workers died of its batch, the last: SomeError: killed"
    ]
    assert sum(not isinstance(one, Lost) for one in found) == 3
    assert len(ours._ray.actors) == 5


def test_a_signal_lets_what_is_in_hand_be_finished(engine, planned, monkeypatch):
    going = engine(2).render(*planned)
    monkeypatch.setattr(interrupt._State, "asked", False)
    next(going)
    monkeypatch.setattr(interrupt._State, "asked", True)
    assert len(list(going)) == 1  # the other worker's


def look(engine, source, start=None):
    state = start or State.empty(columns_of(load_model("googlenet-mini"), LAYERS).total, 3)
    told = []
    *_, last = engine.look(source, LAYERS, state, VIEWING, 3, cut(source), told.append)
    return last, told


def cut(source):
    """Chunks of eight images."""
    return [range(i, i + 8) for i in range(0, len(source), 8)]


def same(one, other):
    for name in ("top", "bottom"):
        for part in ("image", "value", "where"):
            assert torch.equal(
                getattr(getattr(one, name), part), getattr(getattr(other, name), part)
            )
    assert torch.equal(one.total(), other.total())
    assert (one.seen, one.class_count, one.maps) == (other.seen, other.class_count, other.maps)


@pytest.fixture
def small_runs(monkeypatch):
    """Chunks are handed out one by one."""
    for module in ("examples.collect", "engines.shares"):
        monkeypatch.setattr(f"atlas.{module}.BATCH", 8)
    monkeypatch.setattr("atlas.examples.collect.TOGETHER", 1)


@pytest.mark.usefixtures("small_runs")
def test_a_shared_pass_is_a_pass(engine, network, photos):
    source = FolderSource(photos)
    here, _ = look(LocalEngine(network, "cpu"), source)
    there, told = look(engine(2), source)
    same(here, there)
    assert told[-1] == 24
    # One that goes on from a state does what is left.
    (*_, begun) = LocalEngine(network, "cpu").look(
        source,
        LAYERS,
        State.empty(columns_of(network, LAYERS).total, 3),
        VIEWING,
        3,
        cut(source)[:2],
        lambda _: None,
    )
    rest, told = look(engine(2), source, begun)
    same(here, rest)
    assert told[0] >= 16


@pytest.mark.usefixtures("small_runs")
def test_a_signal_lets_what_is_seen_be_handed_in(engine, network, photos, monkeypatch):
    source = FolderSource(photos)
    right = Worker.look

    def looks(*arguments):
        right(*arguments)
        monkeypatch.setattr(interrupt._State, "asked", True)

    monkeypatch.setattr(interrupt._State, "asked", False)
    monkeypatch.setattr(Worker, "look", looks)
    begun, told = look(engine(2), source)
    assert len(begun.seen) == 2  # of three
    assert told[-1] == 16
    monkeypatch.undo()
    monkeypatch.setattr(Worker, "look", right)
    rest, _ = look(engine(1), source, begun)
    here, _ = look(LocalEngine(network, "cpu"), source)
    same(here, rest)


@pytest.mark.usefixtures("small_runs")
def test_a_pass_survives_its_workers(engine, network, photos, monkeypatch):
    source = FolderSource(photos)
    here, _ = look(LocalEngine(network, "cpu"), source)
    deaths = iter([True, False, True])
    deadly(monkeypatch, "look", lambda *_: next(deaths, False))
    taken = iter([True])
    deadly(monkeypatch, "take", lambda: next(taken, False))
    ours = engine(1)
    there, told = look(ours, source)
    same(here, there)
    assert told[-1] == 24
    assert len(ours._ray.actors) == 4


@pytest.mark.usefixtures("small_runs")
def test_photographs_nobody_survives_are_named(engine, photos, monkeypatch):
    source = FolderSource(photos)
    deadly(monkeypatch, "look", lambda _, run: any(8 in chunk for chunk in run))
    with pytest.raises(WorkError, match=re.escape(f"among those from {source.items[8].id} on")):
        look(engine(2), source)


def test_one_worker_a_gpu_or_as_many_as_there_are_processors_for(engine):
    threads = torch.get_num_threads()
    cases = (
        (engine(None, CPU=8.0), 8 // threads, 0, 0),
        (engine(None, "cuda", GPU=2.0), 2, 0, 1),
        (engine(3, "cuda", "head:1", GPU=2.0), 3, 1, 1),
        (engine(2, address="head:1"), 2, threads, 0),
    )
    for ours, workers, cpus, gpus in cases:
        pretend = ours._ray
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Worker, "begin", lambda *_: version())
            ours._started()
        assert len(pretend.actors) == workers
        assert (pretend.options["num_cpus"], pretend.options["num_gpus"]) == (cpus, gpus)
        assert pretend.options["max_restarts"] == 0


def test_who_gives_out_work_needs_no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    wanted = {"device": "cuda", "engine": "ray", "address": "head:1"}
    assert _own_device(Config.model_validate({"render": wanted})) == "cpu"
    with pytest.raises(AtlasError, match="PyTorch finds no CUDA device"):
        _own_device(Config.model_validate({"render": wanted | {"address": None}}))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert _own_device(Config.model_validate({"render": wanted})) == "cuda"


def test_auto_is_what_the_cluster_has(engine):
    assert engine(1, address="head:1", GPU=4.0).device("auto") == "cuda"
    assert engine(1, address="head:1", GPU=4.0).device("cpu") == "cpu"
    assert engine(1, address="head:1").device("auto") == "cpu"
    with pytest.raises(WorkError, match="head:1 has no GPU"):
        engine(1, address="head:1").device("cuda")
