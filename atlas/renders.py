"""The renders' half of a build: what the store lacks of a plan is made and kept, failures too."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from atlas import interrupt
from atlas.cost import layer_costs
from atlas.engines import Engine, Lost
from atlas.engines.lanes import lanes_for
from atlas.engines.local import LocalEngine
from atlas.models.network import Network
from atlas.optvis.optimize import Rendered
from atlas.optvis.subject import Render
from atlas.plan import Chunk, Plan, missing_chunks
from atlas.progress import Progress
from atlas.store import Row, Store
from atlas.units import by_layer


@dataclass(frozen=True)
class Failure:
    """A render that came to nothing, and why."""

    render: Render
    reason: str

    def __str__(self) -> str:
        return f"{self.render.unit} {self.render.kind} {self.render.number}: {self.reason}"


@dataclass(frozen=True)
class Made:
    """How many renders were made (or would be) and how many were there, all that failed, and the
    batches that were missing something."""

    rendered: int
    reused: int
    failed: tuple[Failure, ...]
    missing: tuple[Chunk, ...] = ()


class Renders:
    """The renders of a plan.

    Args:
        network: on `device`.
        engine: does the work; by default this process does.
    """

    def __init__(
        self,
        network: Network,
        plan: Plan,
        store: Store,
        device: str,
        quiet: bool = False,
        engine: Engine | None = None,
    ) -> None:
        self._network, self._plan, self._store = network, plan, store
        self._device, self._quiet = device, quiet
        lanes = lanes_for(len(plan.chunks), device)
        self._engine = engine or LocalEngine(network, device, lanes)

    def make(
        self, shard: tuple[int, int] = (1, 1), dry_run: bool = False, retry: bool = False
    ) -> Made:
        """Render what the store lacks of a shard.

        Args:
            dry_run: only count.
            retry: what failed before is made once more.

        Raises:
            WorkError: out of memory, or the disk is full.
            KeyboardInterrupt: after a batch, if that was asked for.
        """
        chunks = self._chunks(shard)
        have = dict(self._store.rows("render"))
        failed = self._failures(chunks, have) if retry else []
        for failure in failed:
            del have[self._plan.keys[failure.render]]
        missing = missing_chunks(chunks, self._plan, have.__contains__)
        keys = [self._plan.keys[render] for chunk in chunks for render in chunk.renders]
        lacking = sum(key not in have for key in keys)
        lost: list[Failure] = []
        if missing and not dry_run:
            self._store.drop(self._plan.keys[failure.render] for failure in failed)
            lost = self._work_off(missing, have, lacking)
            have = self._store.rows("render")
        made = lacking - len(lost)
        failures = (*self._failures(chunks, have), *lost)
        return Made(made, len(keys) - lacking, failures, tuple(missing))

    def _chunks(self, shard: tuple[int, int]) -> tuple[Chunk, ...]:
        if shard == (1, 1):
            return self._plan.chunks
        layers = list(by_layer(self._plan.units))
        return self._plan.shard(*shard, layer_costs(self._network, layers, self._device))

    def _failures(self, chunks: Sequence[Chunk], have: Mapping[str, Row]) -> list[Failure]:
        return [
            Failure(render, str(row.facts["reason"]))
            for chunk in chunks
            for render in chunk.renders
            if (row := have.get(self._plan.keys[render])) and "reason" in row.facts
        ]

    def _work_off(
        self, chunks: Sequence[Chunk], have: Mapping[str, Row], lacking: int
    ) -> list[Failure]:
        """Make and keep what is lacking of some chunks; what was given up without a result."""
        done, lost = 0, list[Failure]()
        going = self._engine.render(chunks, self._plan.recipe)
        with (
            Progress("rendering", lacking, "images", self._quiet) as progress,
            interrupt.patient(),
        ):
            for results in going:
                # What is there already stays: other plans may have made it (DESIGN §5).
                if isinstance(results, Lost):
                    absent = (r for r in results.chunk.renders if self._plan.keys[r] not in have)
                    lost += [Failure(render, results.reason) for render in absent]
                    continue
                new = [r for r in results if self._plan.keys[r.render] not in have]
                with self._store.transaction():
                    for result in new:
                        recipe = self._plan.renders[result.render]
                        self._store.put_image(recipe, result.image, facts_of(result))
                done += len(new)
                progress.advance(done)
            interrupt.check()
        return lost


def facts_of(result: Rendered[Any]) -> dict[str, object]:
    """What the store keeps of a render beside its pixels; a number that is not finite is null.

    A render that failed has a ``reason``.
    """
    facts: dict[str, object] = {
        "activation": result.activation,
        "started": result.started,
        "finite": result.finite,
        "steps": result.steps,
        **result.achieved.as_json(),
    }
    if not result.finite:
        facts["reason"] = f"overflowed after {result.steps} steps"
    elif not result.started:
        facts["reason"] = "never found a gradient"
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in facts.items()
    }
