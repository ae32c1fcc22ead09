"""The engine that works in other processes: on this machine's processors and GPUs, or a cluster's.

Chunks are handed out one at a time, to whoever has finished the last one, so nobody waits for a
slow worker's queue. What a worker that dies had in hand goes to another; a chunk that several
workers died of, one after the other, is given up. Only this process writes to the store.

Results are those of the local engine, byte for byte, where that gives a chunk as many threads
(`lanes`; PyTorch's convolutions round differently on two threads than on one; measured for
gradients from mixed4a on): the chunks are the same.
"""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from atlas import interrupt
from atlas.engines import Finished, Lost, session
from atlas.engines.pool import TRIES, Pool
from atlas.engines.shares import TAKE, Shares, grouped
from atlas.engines.worker import Photographs, Shipped, Worker
from atlas.errors import WorkError
from atlas.examples.collect import places
from atlas.examples.sources import Source
from atlas.examples.state import State
from atlas.examples.view import Viewing
from atlas.examples.workers import MOST
from atlas.models.googlenet import GoogLeNet
from atlas.optvis.recipe import Recipe
from atlas.plan import Chunk

HAND_IN = 30.0
"""Seconds after which a worker hands in what it has seen of photographs: so much is lost with it,
and handing in takes a second for all channels of GoogLeNet."""


class RayEngine:
    """See the module and `Engine`. Ray starts when there is work, and ends with `close`.

    Args:
        address: HOST:PORT of a running cluster; by default one of its own on this machine.
        workers: how many; by default one a GPU or, on the CPU, as many as there are processors
            for, each with as many threads as this process computes on.
    """

    def __init__(self, address: str | None, workers: int | None, quiet: bool = False) -> None:
        self._address, self._workers, self._quiet = address, workers, quiet
        self._open = ExitStack()
        self._ray: Any = None
        self._pool: Pool | None = None
        self._device = "cpu"
        self._threads = torch.get_num_threads()
        self._passes = 0

    def device(self, wanted: str) -> str:
        """What ``auto`` means to a running cluster: ``cuda`` if it has a GPU.

        Raises:
            WorkError: the cluster cannot be joined, or has no GPU and ``cuda`` was asked for.
        """
        gpus = self._connected().cluster_resources().get("GPU", 0)
        if wanted == "cuda" and not gpus:
            raise WorkError(f"device cuda was asked for, but {self._address} has no GPU; use cpu")
        return "cuda" if gpus and wanted != "cpu" else "cpu"

    def begin(self, network: GoogLeNet, device: str) -> None:
        """Say what workers will need; nothing is started yet."""
        self._network, self._device = network, device

    def close(self) -> None:
        """End workers and, if it is one's own, the cluster."""
        if self._pool is not None:
            self._pool.dismiss()
        self._pool = self._ray = None
        self._open.close()

    def render(self, chunks: Sequence[Chunk], recipe: Recipe) -> Iterator[Finished | Lost]:
        """See `Engine`. The deepest layers, whose chunks take longest, come first.

        When it returns there is a worker, so that rates are of the work alone.
        """
        return self._rendered(self._started(), chunks, recipe)

    def _rendered(
        self, pool: Pool, chunks: Sequence[Chunk], recipe: Recipe
    ) -> Iterator[Finished | Lost]:
        shared = self._ray.put(recipe)
        todo = deque(reversed(chunks))
        deaths: Counter[Chunk] = Counter()
        while True:
            while todo and pool.idle and not interrupt.asked():
                chunk = todo.popleft()
                pool.give(pool.idle[0], chunk, "render", chunk, shared)
            if not pool.busy and (not todo or interrupt.asked()):
                return
            for event in pool.wait():
                chunk = event.job
                if event.died is None:
                    yield event.result
                    continue
                deaths[chunk] += 1
                if deaths[chunk] < TRIES:
                    todo.append(chunk)
                else:
                    yield Lost(chunk, f"{TRIES} workers died of its batch, the last: {event.died}")

    def look(
        self,
        source: Source,
        layers: Sequence[str],
        state: State,
        viewing: Viewing,
        k: int,
        todo: Sequence[range],
        advance: Callable[[int], None],
    ) -> Iterator[State]:
        """See `Engine`. Once a signal waits, what is in hand is finished and handed in."""
        pool = self._started()
        for member in pool.idle:
            member.held, member.since = [], time.monotonic()
        left = [chunk for chunk in todo if chunk.start not in state.seen]
        shares = Shares(grouped(left, pool.size), state, state.fires.device)
        task = self._ray.put(self._photographs(source, layers, viewing, k))
        while True:
            stopping = interrupt.asked()
            ending = stopping or not shares.todo
            for member in list(pool.idle):
                due = time.monotonic() - member.since > HAND_IN
                if member.held and (due or ending):
                    pool.give(member, TAKE, "take")
                elif not stopping and shares.todo:
                    run = shares.todo.popleft()
                    pool.give(member, run, "look", task, run)
            if not pool.busy and ending:
                break
            for event in pool.wait():
                if shares.happened(event) and not interrupt.asked():
                    yield shares.state
                advance(shares.done)
        if interrupt.asked():
            yield shares.state  # with what everybody had in hand
            return
        if shares.fatal:
            first = min(chunk.start for chunk in shares.fatal)
            raise WorkError(
                f"{TRIES} workers died of images of {source.spec}, the first of them among those "
                f"from {source.items[first].id} on; run again without them"
            )

    def _photographs(
        self, source: Source, layers: Sequence[str], viewing: Viewing, k: int
    ) -> Photographs:
        kind, _, rest = source.spec.partition(":")
        spec = f"{kind}:{Path(rest).absolute()}" if kind in ("folder", "parquet") else source.spec
        total = len(source)
        names = tuple((i, source.items[i].id) for i in sorted({0, total // 2, total - 1}))
        decoders = min(MOST, max(1, int(self._cpus()) // self._count()))
        self._passes += 1
        return Photographs(
            *(self._passes, spec, total, names, tuple(layers), places(source, k), viewing, decoders)
        )

    def _cpus(self) -> float:
        return float(self._connected().cluster_resources().get("CPU", 1))

    def _count(self) -> int:
        """How many workers there shall be."""
        if self._workers is not None:
            return self._workers
        if self._device == "cuda":
            return max(1, int(self._connected().cluster_resources().get("GPU", 1)))
        return max(1, int(self._cpus()) // self._threads)

    def _connected(self) -> Any:
        """The module `ray`, connected."""
        if self._ray is None:
            if self._address is not None:
                cluster = session.joined(self._address)
            else:
                cluster = session.own(_processors(), torch.cuda.device_count())
            self._ray = self._open.enter_context(cluster)
        return self._ray

    def _started(self) -> Pool:
        if self._pool is None:
            ray = self._connected()
            cuda = self._device == "cuda"
            # On a machine of one's own nothing else is to be placed: any number of workers fits.
            cpus = 0 if self._address is None else 1 if cuda else self._threads
            actor = ray.remote(
                num_cpus=cpus, num_gpus=1 if cuda else 0, max_restarts=0, max_task_retries=0
            )(Worker)
            network = ray.put(Shipped.of(self._network))

            def hire() -> tuple[Any, Any]:
                member = actor.remote()
                return member, member.begin.remote(network, self._device, self._threads)

            self._pool = Pool(ray, hire, self._count(), self._quiet)
            while not self._pool.idle:
                self._pool.wait()
        return self._pool


def _processors() -> int:
    """Processors that this process may use."""
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return mine or 1
