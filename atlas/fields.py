"""Effective receptive fields of a build: measured once for a network and a dataset, and kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import numpy as np
import torch

from atlas.errors import WorkError
from atlas.examples.decode import UnreadableImageError
from atlas.examples.effective import SHARE, EffectiveField, effective_fields
from atlas.examples.receptive import ReceptiveField, theoretical
from atlas.examples.sources import Source, is_still
from atlas.examples.view import Viewing
from atlas.models.network import Network
from atlas.store import Store, key_of

VERSION = 1
PHOTOGRAPHS = 64
"""Over how many photographs the energy is averaged; with these a side is known to some 2 %."""


class Fields:
    """The fields that crops are cut by: of each layer the square with `SHARE` of the energy.

    Args:
        network: on `device`.
        dataset: the source's fingerprint.
    """

    def __init__(
        self,
        network: Network,
        source: Source,
        dataset: str,
        viewing: Viewing,
        store: Store,
        device: str,
    ) -> None:
        self._network, self._source, self._viewing = network, source, viewing
        self._store, self._device, self._dataset = store, device, dataset
        self._shared = {
            "stage": "field",
            "version": VERSION,
            "model": network.name,
            "weights": network.weights_sha256,
            "dataset": dataset,
            "viewing": [viewing.short_side, viewing.crop],
            "photographs": PHOTOGRAPHS,
            "share": SHARE,
        }

    def measure(self, layers: Sequence[str], advance: Callable[[int], None]) -> None:
        """Measure the fields of layers that the store lacks.

        Raises:
            WorkError: photographs went away since the dataset was opened.
        """
        missing = [layer for layer in layers if self.known(layer) is None]
        if not missing:
            return
        views = self._views(advance)
        for layer, field in effective_fields(self._network, missing, views).items():
            data = json.dumps({name: getattr(field, name) for name in _NAMES}).encode()
            facts = {"side": field.side, "size": field.size, "photographs": field.photographs}
            self._store.put(self._recipe(layer), data, "json", facts)

    def known(self, layer: str) -> EffectiveField | None:
        """What was measured of a layer, if the store has it whole."""
        data = self._store.read(key_of(self._recipe(layer)))
        if data is None:
            return None
        held = json.loads(data)
        return EffectiveField(**(held | {"energy": tuple(held["energy"])}))

    def of(self, layer: str) -> ReceptiveField:
        """The effective field of a layer, or where none was measured the theoretical one."""
        whole = theoretical(self._network.path(layer))
        known = self.known(layer)
        return whole if known is None else whole.narrowed(known.side)

    def _recipe(self, layer: str) -> Mapping[str, object]:
        return self._shared | {"layer": layer}

    def _views(self, advance: Callable[[int], None]) -> torch.Tensor:
        """Views of photographs, spaced evenly over the dataset, that can be read."""
        total = len(self._source)
        indices = np.unique(np.linspace(0, total - 1, min(PHOTOGRAPHS, total)).round().astype(int))
        views = []
        for done, index in enumerate(indices.tolist(), 1):
            with suppress(UnreadableImageError):
                views.append(self._viewing.apply(self._source.load(index)))
            advance(done)
        whole = len(views) == len(indices)
        if not whole and not is_still(self._source, self._dataset, self._store.file_digest):
            raise WorkError(
                f"photographs of {self._source.spec} that were there when it was opened cannot be "
                "read now; run again when the dataset is as it was"
            )
        crop = self._viewing.crop
        stacked = np.stack(views) if views else np.empty((0, crop, crop, 3), np.uint8)
        x = torch.from_numpy(stacked).to(self._device).permute(0, 3, 1, 2)
        return x.to(torch.float32).div(255).contiguous()


_NAMES = ("side", "size", "energy", "photographs")
