"""Loops are compiled if they can be; what they find is tested where they are used."""

import sys
import threading
from types import ModuleType

import numpy as np
import pytest

from atlas import compiled as module
from atlas.compiled import compiled


@pytest.fixture(autouse=True)
def _afresh():
    module._compiled.cache_clear()
    yield
    module._compiled.cache_clear()


def double(values):
    for i in range(len(values)):
        values[i] = values[i] * 2


def test_a_loop_works_in_place():
    values = np.arange(5.0)
    loop = compiled(double)
    assert loop is not double
    loop(values)
    assert values.tolist() == [0, 2, 4, 6, 8]


def test_several_threads_have_the_same():
    found, together = [], threading.Barrier(4)

    def ask():
        together.wait()
        found.append(compiled(double))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(found) == 4
    assert len(set(map(id, found))) == 1


def test_without_numba_there_is_none(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    assert compiled(double) is None


def test_where_nothing_can_be_kept_it_is_compiled_each_time(monkeypatch):
    asked = []

    def njit(cache=False, **_):
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    pretend = ModuleType("numba")
    pretend.njit = njit
    monkeypatch.setitem(sys.modules, "numba", pretend)
    assert compiled(double) is double
    assert asked == [True, False]
