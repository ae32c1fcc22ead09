"""The dataset pass of a build: goes on where it was interrupted, may be shared, and is merged.

The state of a pass is kept now and then in the store's ``partial/`` folder; a pass that is run
again goes on from there and ends with the same result. A shard passes over its part of the dataset
and keeps the state it ends with; whoever finds the states of all parts merges them into tables.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from atlas.engines import Engine
from atlas.engines.local import LocalEngine
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
from atlas.examples.sources import Source
from atlas.examples.state import State
from atlas.examples.view import Viewing
from atlas.models.network import Network
from atlas.store import Store, key_of, write_atomically

EVERY_IMAGES, EVERY_SECONDS = 1024, 30.0
"""A state is kept after so many images, but not more often than this."""

MOST_PARTS = 256


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
        self._fields = fields
        self._k, self._viewing, self._store, self._device = k, viewing, store, device
        self._shared: dict[str, object] = {
            "stage": "examples-part",
            "version": VERSION,
            "model": network.name,
            "weights": network.weights_sha256,
            "dataset": dataset,
            "layers": list(self._layers),
            "examples": k,
            "viewing": [viewing.short_side, viewing.crop],
        }

    def whole(self, advance: Callable[[int], None]) -> Collected:
        """The tables: of parts, where the store has all of them, or by a pass of its own."""
        state = self.merged() or self._pass((1, 1), advance)
        return self._finished(state)

    def part(self, part: tuple[int, int], advance: Callable[[int], None]) -> Collected | None:
        """Pass over part i of n and keep its state; the tables, once all parts are there."""
        recipe = self._recipe(part)
        if self._store.facts(key_of(recipe)) is None:
            state = self._pass(part, advance)
            facts = {"images": state.images, "skipped": len(state.skipped)}
            self._store.put(recipe, pack_state(state), "safetensors", facts)
        merged = self.merged(part[1])
        if merged is None:
            return None
        return self._finished(merged)

    def _finished(self, state: State) -> Collected:
        columns = columns_of(self._network, self._layers)
        return finish(self._source, columns, self._fields, state, self._k, self._viewing)

    def merged(self, count: int | None = None) -> State | None:
        """All parts as one, if the store has them: of `count`, or of any number."""
        for n in range(2, MOST_PARTS + 1) if count is None else (count,):
            if self._store.facts(key_of(self._recipe((1, n)))) is None:
                continue
            keys = [key_of(self._recipe((i, n))) for i in range(1, n + 1)]
            if not all(map(self._store.facts, keys)):
                continue
            found = [unpack_state(self._store.read(key) or b"", self._device) for key in keys]
            parts = [state for state in found if state is not None]
            if len(parts) == n:
                total = parts[0]
                for other in parts[1:]:
                    total = total.merge(other)
                return total
        return None

    def _recipe(self, part: tuple[int, int]) -> Mapping[str, object]:
        return self._shared | {"part": list(part)}

    def _pass(self, part: tuple[int, int], advance: Callable[[int], None]) -> State:
        path = self._store.partial(key_of(self._recipe(part)))
        state = unpack_state(path.read_bytes(), self._device) if path.is_file() else None
        if state is None:
            channels = columns_of(self._network, self._layers).total
            state = State.empty(channels, places(self._source, self._k), self._device)
        kept, last = state.images, time.monotonic()
        advance(state.images + len(state.skipped))
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
            enough = state.images - kept >= EVERY_IMAGES
            if enough and time.monotonic() - last >= EVERY_SECONDS:
                write_atomically(path, pack_state(state))
                kept, last = state.images, time.monotonic()
        path.unlink(missing_ok=True)
        return state

    def size(self, part: tuple[int, int]) -> int:
        """Images of a part."""
        return sum(len(chunk) for chunk in chunks(self._source, part))
