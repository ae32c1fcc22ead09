"""Who looks at which photographs, and what happens when somebody dies of it."""

from __future__ import annotations

import pytest
import torch

from atlas.engines.pool import Event, Member
from atlas.engines.shares import TAKE, Shares, grouped
from atlas.errors import WorkError
from atlas.examples.checkpoint import pack_state
from atlas.examples.state import State

A, B, C, D = (range(i, i + 64) for i in range(0, 256, 64))


def seen(*chunks):
    """The state of a worker that has seen nothing in any image of some chunks."""
    state = State.empty(2, 1)
    for chunk in chunks:
        state = state.without(chunk.start, dict.fromkeys(chunk, "odd"))
    return pack_state(state)


@pytest.fixture
def shares():
    return Shares([(A, B), (C,), (D,)], State.empty(2, 1))


def test_chunks_are_grouped_in_order_and_never_cut():
    small = [range(i, i + 64) for i in range(0, 64 * 100, 64)]
    runs = grouped(small, 2)
    assert [chunk for run in runs for chunk in run] == small
    assert {len(run) for run in runs[:-1]} == {4}  # 256 images: as many as one update sorts
    large = [range(i, i + 2500) for i in range(0, 2500 * 512, 2500)]
    assert {len(run) for run in grouped(large, 4)} == {2}
    assert {len(run) for run in grouped(large, 4000)} == {1}
    assert grouped([], 3) == []


def test_what_is_handed_in_is_merged(shares):
    one, two = Member(None), Member(None)
    run, other = shares.todo.popleft(), shares.todo.popleft()
    assert not shares.happened(Event(one, run))
    assert not shares.happened(Event(two, other))
    assert (shares.done, one.held, two.held) == (192, [(A, B)], [(C,)])
    assert shares.happened(Event(two, TAKE, seen(C)))
    assert shares.happened(Event(one, TAKE, seen(A, B)))
    assert (one.held, two.held) == ([], [])
    assert set(shares.state.seen) == {A.start, B.start, C.start}
    assert list(shares.todo) == [(D,)]


def test_what_a_dead_worker_held_is_left_again(shares):
    member = Member(None)
    run, other = shares.todo.popleft(), shares.todo.popleft()
    shares.happened(Event(member, run))
    assert shares.done == 128
    shares.happened(Event(member, other, died="killed"))
    assert shares.done == 0
    assert list(shares.todo) == [(D,), (A, B), (C,)]
    assert shares.fatal == []


def test_of_a_run_that_kills_the_chunk_that_does_is_found(shares):
    shares.happened(Event(Member(None), shares.todo.popleft(), died="killed"))
    assert list(shares.todo) == [(C,), (D,), (A,), (B,)]
    member = Member(None)
    shares.happened(Event(member, (A,)))
    shares.happened(Event(member, TAKE, seen(A)))
    for _ in range(2):
        assert (B,) in shares.todo
        shares.todo.remove((B,))
        shares.happened(Event(Member(None), (B,), died="killed"))
    assert shares.fatal == [B]
    assert list(shares.todo) == [(C,), (D,), (A,)]


def test_handing_in_that_kills_ends(shares):
    run = shares.todo.popleft()
    for _ in range(3):
        shares.happened(Event(Member(None, held=[run]), TAKE, died="killed"))
    assert shares.fatal == [A, B]


def test_damage_on_the_way_is_noticed(shares):
    with pytest.raises(WorkError, match="arrived damaged"):
        shares.happened(Event(Member(None), TAKE, seen(A)[:-5]))
    assert torch.equal(shares.state.fires, torch.zeros(2, dtype=torch.int64))
