"""What several threads see side by side is what one sees, in the order of the dataset."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch

from atlas.examples import looking
from atlas.examples.ahead import Batch
from atlas.examples.collect import columns_of
from atlas.examples.look import Look
from atlas.examples.looking import beside, looks

LAYERS = ("edges", "shapes", "things")


@pytest.fixture
def threads():
    """PyTorch's threads, put back afterwards."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def batches(count: int, size: int = 10, begun: list[int] | None = None):
    """Batches of random views; of the third, none can be read."""
    draws = np.random.default_rng(0)
    for i in range(count):
        views = list(draws.integers(0, 256, (size, 32, 32, 3), dtype=np.uint8))
        numbers = list(range(i * size, (i + 1) * size))
        if begun is not None:
            begun.append(i)
        if i == 2:
            yield Batch(range(i * size, (i + 1) * size), [], [], dict.fromkeys(numbers, "no"), True)
        else:
            yield Batch(range(i * size, (i + 1) * size), numbers, views, {}, True)


def seen(toy, count: int) -> list[Look]:
    found = []
    for number, (batch, pieces) in enumerate(
        looks(toy, batches(count), columns_of(toy, LAYERS), 32)
    ):
        assert batch.chunk.start == number * 10
        assert [i for look, _ in pieces for i in look.images.tolist()] == batch.numbers
        found += [look for look, _ in pieces]
    return found


def test_the_number_of_threads_does_not_matter(toy, threads):
    found = {}
    for count in (1, 2, 5):
        threads(count)
        found[count] = Look.joined(seen(toy, 7))
        assert torch.get_num_threads() == count
    assert len(found[1].images) == 60
    for count in (2, 5):
        for name in ("images", "high", "high_at", "low", "low_at", "score", "negative"):
            assert torch.equal(getattr(found[count], name), getattr(found[1], name)), name
        assert found[count].seen == found[1].seen
        for chunk, sums in found[1].sums.items():
            assert torch.equal(found[count].sums[chunk], sums)


@pytest.mark.parametrize("count", [1, 3])
def test_no_more_is_begun_than_will_soon_be_asked_for(toy, threads, count):
    threads(count)
    begun = []
    going = looks(toy, batches(40, begun=begun), columns_of(toy, LAYERS), 32)
    next(going)
    time.sleep(0.2)
    assert len(begun) <= 2 + looking.AHEAD
    before = threading.active_count()
    going.close()
    assert threading.active_count() < before
    assert torch.get_num_threads() == count


def test_an_error_ends_it(toy, threads, monkeypatch):
    threads(2)

    def failing(network, x, images, chunk, columns):  # noqa: ARG001
        raise RuntimeError("not enough memory")

    monkeypatch.setattr(looking, "look_at", failing)
    with pytest.raises(RuntimeError, match="not enough memory"):
        list(looks(toy, batches(5), columns_of(toy, LAYERS), 32))
    assert torch.get_num_threads() == 2


def test_beside_others_a_thread_takes_no_more_than_itself(threads):
    threads(3)
    with beside():
        assert torch.get_num_threads() == 1
        assert torch.is_inference_mode_enabled()
    assert torch.get_num_threads() == 3
