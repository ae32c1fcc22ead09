"""The dataset's half of a build: example tables, receptive fields, maps of where channels fire."""

from __future__ import annotations

from collections.abc import Sequence

from atlas.engines import Engine
from atlas.examples.sources import Source
from atlas.examples.table import ExampleTable, pack, unpack
from atlas.fields import PHOTOGRAPHS, Fields
from atlas.heat import Heat
from atlas.models.network import Network
from atlas.plan import Plan
from atlas.progress import Progress
from atlas.store import Store, key_of
from atlas.survey import WHOLE, Survey


class Dataset:
    """What a plan needs to know of its dataset, made where the store lacks it.

    Args:
        network: on `device`.
        fingerprint: of the source.
        k: examples a side.
        engine: passes over the photographs; by default this process does.
    """

    def __init__(
        self,
        network: Network,
        source: Source,
        fingerprint: str,
        plan: Plan,
        store: Store,
        device: str,
        k: int,
        quiet: bool = False,
        engine: Engine | None = None,
    ) -> None:
        self._engine = engine
        self._network, self.source, self.fingerprint = network, source, fingerprint
        self._plan, self._store, self._device = plan, store, device
        self._k, self._quiet = k, quiet
        self.fields = Fields(network, source, fingerprint, plan.viewing, store, device)
        self.heat = Heat(network, source, plan, store, device)

    @property
    def layers(self) -> tuple[str, ...]:
        """The plan's layers."""
        return tuple(self._plan.examples)

    def missing(self) -> list[str]:
        """Layers whose tables the store lacks."""
        return [layer for layer in self.layers if self.table(layer) is None]

    def collect(self, shard: tuple[int, int] = (1, 1)) -> int:
        """Pass over the dataset, or a shard's part of it, and keep the tables there are then.

        A pass that was begun for all layers goes on for all, also if some tables are there already.

        Returns:
            How many tables were made: none, as long as other shards have not done their part.
        """
        missing, survey = self.missing(), self._survey(self.layers)
        if shard == WHOLE and len(missing) < len(self.layers) and not survey.begun():
            survey = self._survey(missing)
        with Progress("photographs", survey.size(shard), "images", self._quiet) as progress:
            if shard == WHOLE:
                found = survey.whole(progress.advance)
            else:
                part = survey.part(shard, progress.advance)
                if part is None:
                    return 0
                found = part
        with self._store.transaction():
            for layer in missing:
                table = found.tables[layer]
                facts = {"images": table.images, "labels": table.labels, "skipped": found.skipped}
                self._store.put_arrays(self._plan.examples[layer], pack(table), facts)
        survey.forget(shard)
        return len(missing)

    def _survey(self, layers: Sequence[str]) -> Survey:
        if self.source.windows:  # which windows are chosen depends on what crops would show
            self._measure(layers)
        return Survey(
            self._network,
            self.source,
            self.fingerprint,
            {layer: self.fields.of(layer) for layer in layers},
            self._k,
            self._plan.viewing,
            self._store,
            self._device,
            self._engine,
        )

    def illustrate(self) -> None:
        """Measure the fields that crops are cut by, and make the maps over whole photographs, once
        the tables of all layers are there."""
        tables = self.tables()
        if not tables:
            return
        self._measure(list(tables))
        if len(tables) == len(self.layers) and self.heat.missing():
            with Progress("maps", self.heat.images(tables), "images", self._quiet) as progress:
                self.heat.make(tables, progress.advance)

    def _measure(self, layers: Sequence[str]) -> None:
        measured = min(PHOTOGRAPHS, len(self.source))
        with Progress("receptive fields", measured, "images", self._quiet) as progress:
            self.fields.measure(layers, progress.advance)

    def tables(self) -> dict[str, ExampleTable]:
        """The example tables that the store has."""
        return {layer: table for layer in self.layers if (table := self.table(layer))}

    def table(self, layer: str) -> ExampleTable | None:
        """The example table of a layer, if the store has it whole."""
        recipe = self._plan.examples.get(layer)
        if recipe is None:
            return None
        key = key_of(recipe)
        facts, arrays = self._store.facts(key), self._store.read_arrays(key)
        if facts is None or arrays is None:
            return None
        return unpack(arrays, facts)

    def skipped(self) -> list[tuple[str, str]]:
        """Images the pass had to leave out, with reasons."""
        for recipe in self._plan.examples.values():
            facts = self._store.facts(key_of(recipe))
            if facts is not None:
                pairs = facts["skipped"]
                assert isinstance(pairs, list)
                return [(str(name), str(reason)) for name, reason in pairs]
        return []
