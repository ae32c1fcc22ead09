"""The dataset pass of a build: goes on where it was interrupted, may be shared, and is merged.

The state of a pass is kept in the store now and then; a pass that is run again goes on from there
and ends with the same result. A shard passes over its part of the dataset and keeps the state it
ends with; whoever finds the states of all parts merges them into tables.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from atlas import interrupt
from atlas.config import MOST_SHARDS
from atlas.engines import Engine
from atlas.engines.local import LocalEngine
from atlas.errors import WorkError
from atlas.examples.checkpoint import pack_state, unpack_state
from atlas.examples.collect import (
    VERSION,
    Collected,
    chunks,
    columns_of,
    finish,
    places,
)
from atlas.examples.receptive import ReceptiveField
from atlas.examples.sources import Source, is_still
from atlas.examples.state import State
from atlas.examples.view import Viewing
from atlas.keys import PART, PASS
from atlas.models.network import Network
from atlas.store import Store, key_of, lost

EVERY_IMAGES, EVERY_SECONDS = 1024, 30.0
"""A state is kept after so many images, but not more often than this."""

WHOLE = (1, 1)


class Survey:
    """A pass over one dataset for some layers.

    Args:
        network: on `device`.
        dataset: the source's fingerprint.
        fields: of the layers to follow, by name, the field that crops are cut by.
        k: examples a side.
        engine: does the work; by default this process does.
    """

    def __init__(
        self,
        network: Network,
        source: Source,
        dataset: str,
        fields: Mapping[str, ReceptiveField],
        k: int,
        viewing: Viewing,
        store: Store,
        device: str,
        engine: Engine | None = None,
    ) -> None:
        self._engine = engine or LocalEngine(network, device)
        self._network, self._source, self._layers = network, source, tuple(fields)
        self._fields, self._dataset = fields, dataset
        self._k, self._viewing, self._store, self._device = k, viewing, store, device
        self._shared: dict[str, object] = {
            "version": VERSION,
            "model": network.name,
            "weights": network.weights_sha256,
            "dataset": dataset,
            "layers": list(self._layers),
            "examples": k,
            "viewing": [viewing.short_side, viewing.crop],
        }

    def begun(self) -> bool:
        """Whether the store holds any of a pass over the whole, or parts of one."""
        return self._store.facts(key_of(self._pass_recipe(WHOLE))) is not None or bool(self._held())

    def whole(self, advance: Callable[[int], None]) -> Collected:
        """The tables: of parts, where the store has some, after a pass over those that it lacks; or
        by a pass over the whole."""
        held = self._held()
        if not held:
            return self._finished(self._pass(WHOLE, advance))
        count = max(held, key=lambda n: sum(self.size((i, n)) for i in held[n]))
        before = 0

        def further(done: int) -> None:
            advance(before + done)

        for i in range(1, count + 1):
            self._make_part((i, count), further)
            before += self.size((i, count))
        return self._finished(self._merged(count))

    def part(self, part: tuple[int, int], advance: Callable[[int], None]) -> Collected | None:
        """Pass over part i of n and keep its state; the tables, once all parts are there."""
        self._make_part(part, advance)
        if len(self._held().get(part[1], ())) < part[1]:
            return None
        return self._finished(self._merged(part[1]))

    def forget(self, part: tuple[int, int] = WHOLE) -> None:
        """Drop what a pass that has come to its end would have gone on from."""
        key = key_of(self._pass_recipe(part))
        if self._store.facts(key) is not None:
            self._store.drop([key])

    def _finished(self, state: State) -> Collected:
        columns = columns_of(self._network, self._layers)
        return finish(self._source, columns, self._fields, state, self._k, self._viewing)

    def _held(self) -> dict[int, list[int]]:
        """The parts that the store has: by their number, which."""
        keys = self._store.rows(PART).keys()
        if not keys:
            return {}
        held = {
            n: [i for i in range(1, n + 1) if key_of(self._part_recipe((i, n))) in keys]
            for n in range(2, MOST_SHARDS + 1)
        }
        return {n: parts for n, parts in held.items() if parts}

    def _make_part(self, part: tuple[int, int], advance: Callable[[int], None]) -> None:
        """See that the store has this part."""
        recipe = self._part_recipe(part)
        if self._store.read(key_of(recipe)) is None:
            state = self._pass(part, advance)
            facts = {"images": state.images, "skipped": len(state.skipped)}
            self._store.put(recipe, pack_state(state), "safetensors", facts)
        self.forget(part)

    def _merged(self, count: int) -> State:
        """All parts as one.

        Raises:
            StoreError: one was lost since the store was looked through.
        """
        total: State | None = None
        for i in range(1, count + 1):
            key = key_of(self._part_recipe((i, count)))
            state = unpack_state(self._store.read(key) or b"", self._device)
            if state is None:
                raise lost(self._store, key)
            total = state if total is None else total.merge(state)
        assert total is not None
        return total

    def _part_recipe(self, part: tuple[int, int]) -> Mapping[str, object]:
        return self._shared | {"stage": PART, "part": list(part)}

    def _pass_recipe(self, part: tuple[int, int]) -> Mapping[str, object]:
        return self._shared | {"stage": PASS, "part": list(part)}

    def _pass(self, part: tuple[int, int], advance: Callable[[int], None]) -> State:
        recipe = self._pass_recipe(part)
        data = self._store.read(key_of(recipe))
        state = None if data is None else unpack_state(data, self._device)
        if state is None:
            channels = columns_of(self._network, self._layers).total
            state = State.empty(channels, places(self._source, self._k), self._device)
        kept, last = state, time.monotonic()
        advance(state.images + len(state.skipped))
        with interrupt.patient():
            going = self._engine.look(
                self._source,
                self._layers,
                state,
                self._viewing,
                self._k,
                chunks(self._source, part),
                advance,
            )
            for state in going:
                enough = state.images - kept.images >= EVERY_IMAGES
                if interrupt.asked() or (enough and time.monotonic() - last >= EVERY_SECONDS):
                    self._check_skipped(kept, state)
                    facts = {"images": state.images}
                    self._store.put(recipe, pack_state(state), "safetensors", facts)
                    kept, last = state, time.monotonic()
                interrupt.check()
        self._check_skipped(kept, state)
        return state

    def _check_skipped(self, before: State, now: State) -> None:
        """Tell images that are broken from those that went away during the pass: what is kept of it
        is kept as of the dataset with which it began.

        Raises:
            WorkError: the dataset is no longer that one.
        """
        new = now.skipped.keys() - before.skipped.keys()
        if new and not is_still(self._source, self._dataset, self._store.file_digest):
            first = min(new)
            raise WorkError(
                f"{self._source.items[first].id} of {self._source.spec} was there when the pass "
                f"over the photographs began and cannot be read now ({now.skipped[first]}); "
                "what was seen before is kept, run again when the dataset is as it was"
            )

    def size(self, part: tuple[int, int]) -> int:
        """Images of a part."""
        return sum(len(chunk) for chunk in chunks(self._source, part))
