"""Workers that die, that never begin, that are of another version, or that say what is wrong."""

from __future__ import annotations

import pytest

from atlas.engines.pool import Pool, _said
from atlas.engines.worker import version
from atlas.errors import DatasetError, WorkError
from tests.engines.pretend import Killed, PretendRay


class Does:
    """Does what it is told to."""

    begins = staticmethod(version)

    def begin(self):
        return self.begins()

    def double(self, value):
        return 2 * value

    def die(self):
        raise Killed("out of memory")

    def complain(self, error):
        raise error


def pool_of(size, begins=version, quiet=False):
    ray = PretendRay()

    def hire():
        actor = ray.started(type("Begins", (Does,), {"begins": staticmethod(begins)}))
        return actor, actor.begin.remote()

    return Pool(ray, hire, size, quiet), ray


def begun(pool):
    while len(pool.idle) < pool.size:
        assert pool.wait() == []
    return pool


def test_jobs_come_back_with_their_results():
    pool, _ = pool_of(2)
    assert not pool.busy
    begun(pool)
    for number in (1, 2):
        pool.give(pool.idle[0], number, "double", number)
    assert (pool.idle, pool.busy) == ([], True)
    events = pool.wait() + pool.wait()
    assert [(event.job, event.result, event.died) for event in events] == [
        (1, 2, None),
        (2, 4, None),
    ]
    assert (len(pool.idle), pool.busy) == (2, False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "RayError"),
        ("The actor died.\n  ip: 127.0.0.1\n", "ip: 127.0.0.1"),
        (
            "Traceback\n  x.py\nModuleNotFoundError: No module\n  pid: 3",
            "ModuleNotFoundError: No module",
        ),
        (
            "The actor died unexpectedly.\n\tpid: 3\nThe actor is dead because its worker process "
            "has died. Worker exit type: SYSTEM_ERROR Worker exit detail: Worker unexpectedly "
            "exits. End of file. Some common causes include: (1) the OOM killer, (2) ray stop.",
            "Worker unexpectedly exits. End of file",
        ),
    ],
)
def test_of_what_ray_says_the_reason_is_passed_on(text, said):
    assert _said(PretendRay.exceptions.RayError(text)) == said


@pytest.mark.parametrize("quiet", [False, True])
def test_one_that_dies_is_replaced_and_said_to_be(capsys, quiet):
    pool, ray = pool_of(1, quiet=quiet)
    begun(pool)
    pool.give(pool.idle[0], "job", "die")
    (event,) = pool.wait()
    assert (event.job, event.died) == ("job", "SomeError: out of memory")
    assert begun(pool).idle[0].actor is ray.actors[1]
    assert capsys.readouterr().err == ("" if quiet else "a worker died; its work goes to another\n")


def test_what_is_wrong_is_raised_here():
    pool, _ = pool_of(1)
    begun(pool)
    pool.give(pool.idle[0], "job", "complain", DatasetError("no such folder"))
    with pytest.raises(DatasetError, match=r"^no such folder$"):
        pool.wait()


def test_a_fault_of_ours_is_not_explained_away():
    pool, _ = pool_of(1)
    begun(pool)
    pool.give(pool.idle[0], "job", "complain", ZeroDivisionError())
    with pytest.raises(PretendRay.exceptions.RayTaskError):
        pool.wait()


def test_workers_of_another_version_are_refused():
    other = version()._replace(package="9.9", torch="1.0")
    pool, _ = pool_of(1, lambda: other)
    with pytest.raises(WorkError, match=r"channel-atlas 9\.9 .* with PyTorch 1\.0, this machine"):
        pool.wait()


def test_workers_that_never_begin_are_not_waited_for():
    def begins():
        raise Killed("no module named 'atlas'")

    pool, ray = pool_of(2, begins)
    for _ in range(4):
        assert pool.wait() == []
    with pytest.raises(WorkError, match="do not start: SomeError: no module named 'atlas'"):
        pool.wait()
    assert len(ray.actors) == 4


def test_some_that_never_begin_do_not_stop_the_others():
    begins = iter([version, *([None] * 9)])

    def begin():
        if (of := next(begins)) is None:
            raise Killed("no disk")
        return of()

    pool, ray = pool_of(2, begin)
    for _ in range(4):
        pool.wait()
    assert len(pool.idle) == 1
    assert len(ray.actors) == 4


def test_all_are_dismissed():
    pool, ray = pool_of(2)
    pool.wait()
    pool.dismiss()
    assert [actor.dead for actor in ray.actors] == [True, True]
    assert pool.idle == []
