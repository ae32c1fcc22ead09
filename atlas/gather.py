"""Store → catalogue: the records the site is drawn from, and the pictures behind them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import atlas
from atlas.config import Config
from atlas.dataset import Dataset
from atlas.errors import DatasetError
from atlas.examples.decode import UnreadableImageError
from atlas.examples.table import ExampleTable
from atlas.kinship import counts, members, similar
from atlas.models.googlenet import GoogLeNet
from atlas.models.zoo import ZOO
from atlas.optvis.recipe import Recipe
from atlas.optvis.subject import Render, renders_of
from atlas.photographs import Crops, Photographs, photographs_of, shown
from atlas.plan import Plan
from atlas.recipes import options_of
from atlas.site.catalogue import (
    Catalogue,
    ChannelRecord,
    CropRecord,
    DatasetRecord,
    LabelRecord,
    ModelRecord,
    RenderRecord,
    WholeTile,
)
from atlas.spotlight import VERSION as SPOTLIGHT
from atlas.spotlight import lit, middle, outlined
from atlas.store import Store
from atlas.units import Unit, by_layer


def gather(
    config: Config,
    plan: Plan,
    store: Store,
    network: GoogLeNet,
    dataset: Dataset | None,
) -> tuple[Catalogue, int]:
    """The catalogue of what the store holds of a plan, and how many renders it lacks."""
    channels = []
    layers = {layer.name: layer for layer in network.layers}
    tables = {} if dataset is None else dataset.tables()
    alike, labels = similar(tables, plan.units), _labels(plan, tables)
    seen = {} if dataset is None else _photographs(plan, dataset, tables)
    measured = {
        unit: _stats(tables[unit.layer], unit.index) for unit in plan.units if unit.layer in tables
    }
    records = _renders(plan, store, measured)
    for unit in plan.units:
        wanted = renders_of(unit, config.render.kinds, config.render.seed)
        renders = [records[render] for render in wanted if render in records]
        stats = measured.get(unit, {})
        branch = layers[unit.layer].branch_of(unit.index).name
        found = vars(seen[unit]) if unit in seen else {}
        channels.append(
            ChannelRecord(
                unit.layer,
                unit.index,
                branch,
                tuple(renders),
                stats=stats,
                similar=alike.get(unit, ()),
                **found,
            )
        )
    record = None
    if dataset is not None and tables:
        images = next(iter(tables.values())).images
        skipped = tuple(name for name, _ in dataset.skipped())
        record = DatasetRecord(dataset.source.spec, images, skipped)
    catalogue = Catalogue(
        config.site.title,
        f"channel-atlas {atlas.__version__}",
        ModelRecord(
            network.name,
            ZOO[network.name].title,
            network.weights_sha256,
            network.classes,
            network.view[1],
        ),
        record,
        plan.recipe.as_json()
        | {
            "preset": config.render.preset,
            "base_seed": config.render.seed,
            "options": options_of(config.render),
        },
        network.layers,
        channels,
        labels,
    )
    return catalogue, len(plan.renders) - len(records)


def _renders(
    plan: Plan, store: Store, stats: Mapping[Unit, Mapping[str, float]]
) -> dict[Render, RenderRecord]:
    """What the store has of the plan's renders."""
    wanted = {key: render for render, key in plan.keys.items()}
    return {
        render: _record(
            render, plan.keys[render], row.facts, plan.recipe, stats.get(render.unit, {})
        )
        for key, row in store.each("render")
        if (render := wanted.get(key)) is not None
    }


def _labels(plan: Plan, tables: Mapping[str, ExampleTable]) -> list[LabelRecord]:
    found = members(tables, plan.units)
    return [
        LabelRecord(label, amount, found.get(label, ()))
        for label, amount in sorted(counts(tables).items())
    ]


def _photographs(
    plan: Plan, dataset: Dataset, tables: Mapping[str, ExampleTable]
) -> dict[Unit, Photographs]:
    """What photographs tell of the plan's channels, for the layers that have a table."""
    crops = Crops(dataset.source, plan.viewing)
    channels_of = {layer: by_layer(plan.units)[layer] for layer in tables}
    crops.measure(i for la, table in tables.items() for i in shown(table, channels_of[la]))
    found = {}
    for layer, table in tables.items():
        channels = channels_of[layer]
        field, maps = dataset.fields.of(layer), dataset.heat.of(layer)
        for index, one in photographs_of(table, channels, field, crops, maps).items():
            found[Unit(layer, index)] = one
    return found


def _stats(table: ExampleTable, index: int) -> dict[str, float]:
    stats = {name: float(values[index]) for name, values in sorted(table.stats.items())}
    stats["images"] = table.images
    return stats


def _record(
    render: Render,
    key: str,
    facts: Mapping[str, object],
    recipe: Recipe,
    stats: Mapping[str, float],
) -> RenderRecord:
    def number(name: str) -> float | None:
        value = facts.get(name)
        return float(value) if isinstance(value, int | float) else None

    activation = number("activation")
    best = stats.get(_BEST[render.kind])
    share = activation / best if activation is not None and best else None
    if share is not None and render.kind == "negative":
        share = -share  # the score is below zero, the statistic a mean of ReLU(−a)
    return RenderRecord(
        kind=render.kind,
        number=render.number,
        activation=math.nan if activation is None else activation,
        steps=int(number("steps") or 0),
        size=recipe.size,
        seed=render.seed,
        recipe_sha256=key,
        started=bool(facts["started"]),
        finite=bool(facts.get("finite", True)),
        reason=str(facts.get("reason", "")),
        robust=number("robust"),
        share=share,
        saturation=number("saturation"),
        high_frequency=number("high_frequency"),
        diversity=number("diversity"),
    )


_BEST = {
    "positive": "best_score",
    "diverse": "best_score",
    "negative": "best_negative_score",
    "neuron": "max",
}
"""Which statistic of the photographs a render's score is held against."""


class StoreMedia:
    """Pictures for the site: masters from the store, crops from the dataset."""

    def __init__(self, store: Store, dataset: Dataset | None) -> None:
        self._store, self._dataset = store, dataset
        self._digests = {key: row.sha256 for key, row in store.each("render")}

    def render(self, record: RenderRecord) -> NDArray[np.uint8]:
        """The master of a render, (S, S, 3)."""
        return self._store.read_image(record.recipe_sha256)

    def render_digest(self, record: RenderRecord) -> str:
        """The digest of its file."""
        return self._digests[record.recipe_sha256]

    def crop(self, record: CropRecord) -> NDArray[np.uint8]:
        """The square crop of an example out of its photograph."""
        return np.asarray(self._photograph(record).crop(record.crop))

    def crop_digest(self, record: CropRecord) -> str:
        """A digest of the image's bytes and the crop's place."""
        return _sha256(f"{self._bytes_digest(record)}:{record.crop}")

    def photographs_digest(self) -> str:
        """The fingerprint of the dataset, and the version of what is drawn into photographs."""
        return "" if self._dataset is None else f"{self._dataset.fingerprint}:{SPOTLIGHT}"

    def whole(self, tile: WholeTile) -> NDArray[np.uint8]:
        """The middle square of a photograph, with its crop outlined or lit by the map."""
        record = tile.record
        image = self._photograph(record.example)
        square = middle(image)
        if not tile.lit:
            return outlined(square, record.example.crop, image.size)
        heat = self._opened().heat
        return lit(square, heat.light(tile.layer, tile.index, image.size))

    def whole_digest(self, tile: WholeTile) -> str:
        """A digest of the image's bytes and of the crop's place or the map."""
        by = tile.record.map_sha256 if tile.lit else tile.record.example.crop
        return _sha256(f"{self._bytes_digest(tile.record.example)}:whole {SPOTLIGHT}:{by}")

    def _photograph(self, record: CropRecord) -> Image.Image:
        source = self._opened().source
        try:
            return source.load(source.index_of(record.source))
        except UnreadableImageError as error:
            raise DatasetError(f"{record.source} can no longer be read: {error}") from error

    def _bytes_digest(self, record: CropRecord) -> str:
        source = self._opened().source
        return source.digest(source.index_of(record.source), self._store.file_digest)

    def _opened(self) -> Dataset:
        if self._dataset is None:
            raise DatasetError("examples need their dataset")
        return self._dataset


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
