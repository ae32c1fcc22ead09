"""A worker, without anybody who calls it over a wire: it does what the local engine does."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest
import torch

from atlas.config import Config
from atlas.engines.local import LocalEngine
from atlas.engines.worker import Photographs, Shipped, Worker, version
from atlas.errors import DatasetError
from atlas.examples.checkpoint import pack_state, unpack_state
from atlas.examples.collect import chunks, columns_of
from atlas.examples.sources import FolderSource
from atlas.examples.state import State
from atlas.examples.view import Viewing
from atlas.models.zoo import load_model
from atlas.plan import make_plan
from atlas.recipes import recipe_of

VIEWING = Viewing(40, 32)
LAYERS = ("conv2d0", "mixed3a")


@pytest.fixture(scope="module")
def network():
    return load_model("googlenet-mini")


@pytest.fixture
def worker(network):
    worker = Worker()
    assert worker.begin(Shipped.of(network), "cpu", torch.get_num_threads()) == version()
    return worker


def task_of(source, **changes):
    names = ((0, source.items[0].id), (len(source) - 1, source.items[-1].id))
    task = Photographs(1, source.spec, len(source), names, LAYERS, 3, VIEWING, 1)
    return dataclasses.replace(task, **changes)


def test_a_network_arrives_as_it_was(network):
    shipped = Shipped.of(network)
    arrived = shipped.unpacked()
    for name, value in network.state_dict().items():
        assert torch.equal(arrived.state_dict()[name], value), name
        assert arrived.state_dict()[name].stride() == value.stride(), name
    x = torch.rand(2, 3, 64, 64)
    assert torch.equal(arrived.taps(x, "mixed5b"), network.taps(x, "mixed5b"))
    for fact in ("name", "weights_sha256", "labels", "class_ids", "classes", "layers", "view"):
        assert getattr(arrived, fact) == getattr(network, fact)


def test_weights_travel_as_numbers(network):
    """Nothing of PyTorch's is pickled on the way."""
    shipped = dataclasses.replace(Shipped.of(network), tensors=b"")
    assert b"torch." not in pickle.dumps(shipped)
    assert Shipped.of(network).tensors[8:9] == b"{"  # safetensors' header


def test_chunks_are_rendered_as_here(network, worker):
    config = Config.model_validate(
        {
            "units": "conv2d0:20-22,mixed3a:1",
            "render": {"size": 32, "steps": 3, "kinds": ["positive", "diverse"], "chunk": 2},
        }
    )
    recipe = recipe_of(config.render)
    plan = make_plan(config, recipe, network, None, "cpu")
    here = list(LocalEngine(network, "cpu").render(plan.chunks, recipe))
    assert len(here) == 3
    for chunk, expected in zip(plan.chunks, here, strict=True):
        for one, other in zip(worker.render(chunk, recipe), expected, strict=True):
            assert np.array_equal(one.image, other.image)
            assert (one.render, one.activation, one.achieved) == (
                other.render,
                other.activation,
                other.achieved,
            )


def test_what_is_seen_in_parts_is_what_is_seen_at_once(network, worker, photos):
    source = FolderSource(photos)
    empty = State.empty(columns_of(network, LAYERS).total, 3)
    todo = [range(10), range(10, 24)]
    (*_, whole) = LocalEngine(network, "cpu").look(
        source, LAYERS, empty, VIEWING, 3, todo, lambda _: None
    )
    assert whole.images == 24
    worker.look(task_of(source), todo[1:])
    second = unpack_state(worker.take())
    assert list(second.seen) == [10]
    worker.look(task_of(source), todo[:1])
    both = second.merge(unpack_state(worker.take()))
    for one, other in ((whole.top, both.top), (whole.bottom, both.bottom)):
        assert torch.equal(one.value, other.value)
        assert torch.equal(one.image, other.image)
    assert torch.equal(whole.total(), both.total())
    assert whole.class_count == both.class_count
    worker.look(task_of(source), todo)
    worker.look(task_of(source, number=2), todo[:1])
    assert list(unpack_state(worker.take()).seen) == [0]
    assert worker.take() == pack_state(State.empty(columns_of(network, LAYERS).total, 3))


def test_another_dataset_under_the_same_name_is_refused(worker, photos):
    source = FolderSource(photos)
    for change in ({"images": 25}, {"names": ((0, "zebra/other.png"),)}):
        with pytest.raises(DatasetError, match="sees other images than this machine"):
            worker.look(task_of(source, **change), chunks(source))
    with pytest.raises(DatasetError, match="does not exist"):
        worker.look(task_of(source, spec=f"folder:{photos}/none"), chunks(source))
