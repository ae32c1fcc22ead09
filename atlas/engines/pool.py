"""Ray actors that do one thing at a time, and are replaced when they die."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from atlas.engines.worker import Version, version
from atlas.errors import AtlasError, WorkError

TRIES = 3
"""Workers that may die of the same work, and workers in a row that may die before they begin."""

_TICK = 0.2
"""Seconds after which a wait comes back to see whether a signal has come."""

_SILENCE = 20.0
"""Seconds without any worker after which something is said about it."""


@dataclass(eq=False)
class Member:
    """An actor; `held` is what it has done and not yet handed in, `since` when it last did."""

    actor: Any
    held: list[Any] = field(default_factory=list)
    since: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Event:
    """What became of a job: its `result`, or how the worker died of it."""

    member: Member
    job: Any
    result: Any = None
    died: str | None = None


class Pool:
    """So many actors, as many of them as there are resources for.

    Args:
        ray: the module, connected.
        hire: begins an actor; returns it and the reference to what its beginning returns.
        size: how many.
        quiet: say nothing of workers that are lost or awaited.
    """

    def __init__(
        self, ray: Any, hire: Callable[[], tuple[Any, Any]], size: int, quiet: bool = False
    ) -> None:
        self._ray, self._hire_one, self.size, self._quiet = ray, hire, size, quiet
        self._jobs: dict[Any, tuple[Member, Any]] = {}  # by reference; of a beginning, None
        self.idle: list[Member] = []
        self._stillborn = 0
        self._lonely = time.monotonic()
        for _ in range(size):
            self._hire()

    @property
    def busy(self) -> bool:
        """Whether anybody does a job."""
        return any(job is not None for _, job in self._jobs.values())

    def give(self, member: Member, job: Any, method: str, *arguments: Any) -> None:
        """Have an idle member do something."""
        self.idle.remove(member)
        self._jobs[getattr(member.actor, method).remote(*arguments)] = member, job

    def wait(self) -> list[Event]:
        """What has been done since the last time; comes back after a moment even if nothing has.

        Who is in an event's `member` is idle again, or has been replaced.

        Raises:
            WorkError: nobody is left, and nobody else begins.
            AtlasError: what a worker raised.
        """
        if not self._jobs and not self.idle:
            raise WorkError(f"Ray's workers do not start: {self._reason}")
        ready, _ = self._ray.wait(list(self._jobs), num_returns=1, timeout=_TICK)
        events = []
        for reference in ready:
            member, job = self._jobs.pop(reference)
            event = self._event(reference, member, job)
            if event.died is not None:
                self._replace(event)
            else:
                self.idle.append(member)
            if job is not None:
                events.append(event)
            elif event.died is None:
                self._welcome(event.result)
        self._wonder()
        return events

    def dismiss(self) -> None:
        """End all actors."""
        for member in [*self.idle, *(member for member, _ in self._jobs.values())]:
            self._ray.kill(member.actor)
        self.idle, self._jobs = [], {}

    def _event(self, reference: Any, member: Member, job: Any) -> Event:
        try:
            return Event(member, job, self._ray.get(reference))
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, AtlasError):
                raise error.cause from error
            raise
        except self._ray.exceptions.RayError as error:
            return Event(member, job, died=_said(error))

    def _welcome(self, theirs: Version) -> None:
        self._stillborn = 0
        if theirs != version():
            raise WorkError(
                f"a Ray worker has {_versions(theirs)}, this machine {_versions(version())}; "
                "they have to be the same everywhere"
            )

    def _replace(self, event: Event) -> None:
        self._ray.kill(event.member.actor)  # one out of reach would go on
        self._reason = event.died
        if event.job is None:
            self._stillborn += 1
        elif not self._quiet:
            print("a worker died; its work goes to another", file=sys.stderr, flush=True)
        if self._stillborn < TRIES:
            self._hire()

    def _hire(self) -> None:
        actor, beginning = self._hire_one()
        self._jobs[beginning] = Member(actor), None

    def _wonder(self) -> None:
        if self.idle or self.busy:
            self._lonely = time.monotonic()
        elif time.monotonic() - self._lonely > _SILENCE:
            self._lonely = time.monotonic()
            if not self._quiet:
                print("waiting for Ray to start a worker", file=sys.stderr, flush=True)


def _said(error: Exception) -> str:
    """The line of what Ray says that tells why."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "Error:" in line] or lines
    if not telling:
        return type(error).__name__
    # Of a process that died Ray has a detail, and then advice.
    said = telling[-1].rpartition("Worker exit detail: ")[2].partition(" Some common causes")[0]
    return said[:200].rstrip(". ")


def _versions(of: Version) -> str:
    return f"channel-atlas {of.package} ({of.renders}.{of.examples}) with PyTorch {of.torch}"
