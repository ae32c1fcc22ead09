"""Where channels fire in their strongest photographs: maps made once for a table, and kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from atlas.errors import WorkError
from atlas.examples.maps import Maps, Wanted, images_of, maps_of
from atlas.examples.receptive import theoretical
from atlas.examples.sources import Source
from atlas.examples.table import ExampleTable
from atlas.models.network import Network
from atlas.plan import Plan
from atlas.spotlight import light
from atlas.store import Store, key_of
from atlas.units import by_layer

VERSION = 1


class Heat:
    """The maps of a plan's channels, each over the channel's strongest photograph.

    Args:
        network: on `device`.
    """

    def __init__(
        self, network: Network, source: Source, plan: Plan, store: Store, device: str
    ) -> None:
        self._network, self._source, self._plan = network, source, plan
        self._store, self._device = store, device
        self._channels = {la: sorted(every) for la, every in by_layer(plan.units).items()}
        self._held: tuple[str, Maps] | None = None

    def missing(self) -> list[str]:
        """The layers whose maps the store lacks or has damaged."""
        layers = self._plan.examples
        read = self._store.read_arrays
        return [name for name in layers if read(key_of(self._recipe(name))) is None]

    def images(self, tables: Mapping[str, ExampleTable]) -> int:
        """How many photographs `make` looks at."""
        return len(images_of(self._wanted(tables)))

    def _wanted(self, tables: Mapping[str, ExampleTable]) -> list[Wanted]:
        """The best photograph of every channel that has one."""
        return [
            Wanted(image, layer, channel)
            for layer, table in tables.items()
            for channel in self._channels[layer]
            if (image := int(table.top_image[channel, 0])) >= 0
        ]

    def make(self, tables: Mapping[str, ExampleTable], advance: Callable[[int], None]) -> None:
        """Make the maps the store lacks; `tables` are those of all the plan's layers.

        All layers are looked at even if only some are missing: what else is in a batch changes a
        map by rounding, and may not depend on what an earlier run got done (DESIGN §5).

        Raises:
            WorkError: a photograph that the tables name cannot be read any more.
        """
        missing = self.missing()
        wanted = self._wanted(tables)
        found = maps_of(
            self._network, self._source, wanted, self._plan.viewing, self._device, advance
        )
        for one in wanted:
            if one.channel not in found.get(one.layer, {}):
                raise WorkError(
                    f"{self._source.items[one.image].id} of {self._source.spec}, which has the "
                    f"examples of {one.layer}:{one.channel}, cannot be read any more; run again "
                    "when the dataset is as it was"
                )
        for layer in missing:
            maps = found.get(layer, {})
            channels = sorted(maps)
            stacked = np.stack([maps[c] for c in channels]) if maps else np.empty((0, 1, 1))
            arrays: dict[str, NDArray[np.generic]] = {
                "channels": np.array(channels, dtype=np.int64),
                "maps": stacked.astype(np.float32),
            }
            self._store.put_arrays(self._recipe(layer), arrays, {"maps": len(maps)})
        self._held = None

    def of(self, layer: str) -> Maps:
        """The maps of a layer's channels, as far as the store has them."""
        if self._held is None or self._held[0] != layer:
            arrays = self._store.read_arrays(key_of(self._recipe(layer))) or {}
            maps = np.asarray(arrays.get("maps", ()), dtype=np.float32)
            channels = np.asarray(arrays.get("channels", ()), dtype=np.int64).tolist()
            self._held = layer, dict(zip(channels, maps, strict=True))
        return self._held[1]

    def light(self, layer: str, channel: int, size: tuple[int, int]) -> NDArray[np.float64]:
        """How bright a channel's photograph, of `size`, is where (`spotlight.light`)."""
        field = theoretical(self._network.path(layer))
        return light(self.of(layer)[channel], field, size, self._plan.viewing)

    def _recipe(self, layer: str) -> Mapping[str, object]:
        return {
            "stage": "map",
            "version": VERSION,
            "table": key_of(self._plan.examples[layer]),
            "channels": self._channels[layer],
        }
