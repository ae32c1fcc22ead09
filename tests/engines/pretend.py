"""A Ray that works in this process: calls are carried out when somebody waits for them."""

from __future__ import annotations

import itertools
from types import SimpleNamespace


class RayError(Exception):
    pass


class RayTaskError(RayError):
    def __init__(self, cause):
        super().__init__(str(cause))
        self.cause = cause


class Killed(BaseException):
    """Raised by what an actor does: its process dies."""


class PretendRay:
    """As much of the module `ray` as engines use.

    Args:
        resources: of the cluster.
    """

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def __init__(self, **resources):
        self.resources = resources
        self.actors, self.calls, self.options = [], {}, {}
        self._numbers = itertools.count()

    def cluster_resources(self):
        return self.resources

    def put(self, value):
        return value

    def remote(self, **options):
        self.options = options
        return lambda kind: SimpleNamespace(remote=lambda: self.started(kind))

    def started(self, kind):
        actor = PretendActor(self, kind())
        self.actors.append(actor)
        return actor

    def wait(self, references, num_returns, timeout):
        assert references
        assert num_returns == 1
        assert timeout < 1
        return references[:1], references[1:]

    def get(self, reference):
        actor, method, arguments = self.calls.pop(reference)
        if actor.dead:
            raise RayError("The actor died unexpectedly.")
        try:
            return getattr(actor.does, method)(*arguments)
        except Killed as error:
            actor.dead = True
            raise RayError(f"The actor died.\n  SomeError: {error}") from error
        except Exception as error:
            raise RayTaskError(error) from error

    def kill(self, actor):
        actor.dead = True


class PretendActor:
    """A handle of an actor, that `does` things."""

    def __init__(self, ray, does):
        self.ray, self.does, self.dead = ray, does, False

    def __getattr__(self, method):
        def remote(*arguments):
            reference = next(self.ray._numbers)
            self.ray.calls[reference] = self, method, arguments
            return reference

        return SimpleNamespace(remote=remote)
