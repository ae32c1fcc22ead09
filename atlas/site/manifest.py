"""`manifest.json`: everything the site shows, for programs (DESIGN §5, format 1).

Keys stand in a fixed order and numbers in their shortest form, so equal sites have equal
manifests. A number that is not finite becomes null, which JSON has no other word for. Text from
outside is written in ASCII with ``<``, ``>`` and ``&`` escaped: it stays text inside a script too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from atlas.site.catalogue import (
    BandRecord,
    Catalogue,
    ChannelRecord,
    CropRecord,
    ExampleRecord,
    RenderRecord,
)
from atlas.site.sheets import SheetPlan, Tile, ordered_examples
from atlas.site.text import slug
from atlas.units import Layer

FORMAT = 1


def manifest(catalogue: Catalogue, plan: SheetPlan) -> bytes:
    """The manifest of a site as compact JSON in ASCII."""
    model, dataset = catalogue.model, catalogue.dataset
    content = {
        "format": FORMAT,
        "generator": catalogue.generator,
        "title": catalogue.title,
        "model": {
            "name": model.name,
            "title": model.title,
            "weights_sha256": model.weights_sha256,
            "classes": model.classes,
        },
        "dataset": dataset
        and {"source": dataset.source, "images": dataset.images, "skipped": len(dataset.skipped)},
        "recipe": dict(catalogue.recipe),
        "layers": [_layer(layer, catalogue, plan) for layer in catalogue.layers],
        "channels": [_channel(channel, plan) for channel in catalogue.channels],
        "classes": _classes(catalogue),
    }
    text = json.dumps(_finite(content), separators=(",", ":"), allow_nan=False)
    for mark, escaped in _ESCAPES.items():  # these occur inside of strings only
        text = text.replace(mark, escaped)
    return text.encode() + b"\n"


_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


def _layer(layer: Layer, catalogue: Catalogue, plan: SheetPlan) -> dict[str, object]:
    """A layer, with the `files` that belong to it as a whole (what pruning goes by later)."""
    folder = slug(layer.name)
    sheets = (s.path for s in plan.strips if s.path.startswith(f"media/layers/{folder}-"))
    shown = any(channel.layer == layer.name for channel in catalogue.channels)
    return {
        "name": layer.name,
        "channels": layer.channels,
        "branches": [{"name": b.name, "start": b.start, "stop": b.stop} for b in layer.branches],
        "files": [f"{folder}/index.html", *sheets] if shown else [],
    }


def _channel(channel: ChannelRecord, plan: SheetPlan) -> dict[str, object]:
    renders = zip(channel.renders, plan.renders[channel.name], strict=True)
    examples = zip(ordered_examples(channel), plan.examples[channel.name], strict=True)
    thumb = plan.thumbs.get(channel.name)
    return {
        "layer": channel.layer,
        "index": channel.index,
        "branch": channel.branch,
        "page": f"{slug(channel.layer)}/{channel.index}.html",
        "thumbnail": thumb and _place(thumb[1]),
        "renders": [_render(record, tile) for record, tile in renders],
        "examples": [_example(record, tile) for record, tile in examples],
        "whole": _whole(channel, plan),
        "spectrum": [
            _band(band, tiles)
            for band, tiles in zip(channel.spectrum, plan.spectrum[channel.name], strict=True)
        ],
        "histogram": channel.histogram
        and {
            "start": channel.histogram.start,
            "width": channel.histogram.width,
            "counts": list(channel.histogram.counts),
        },
        "classes": [
            {"label": one.label, "mean": one.mean, "count": one.count} for one in channel.classes
        ],
        "stats": dict(sorted(channel.stats.items())),
    }


def _classes(catalogue: Catalogue) -> list[dict[str, object]]:
    """Each class with the channels that name it among their strongest, most selective first."""
    return [
        {
            "label": label,
            "count": pairs[0][1].count,
            "channels": [
                {
                    "layer": channel.layer,
                    "index": channel.index,
                    "mean": one.mean,
                    "selectivity": one.selectivity,
                }
                for channel, one in pairs
            ],
        }
        for label, pairs in catalogue.by_class().items()
    ]


def _render(record: RenderRecord, tile: Tile) -> dict[str, object]:
    return {
        "kind": record.kind,
        "number": record.number,
        **_place(tile),
        "activation": record.activation,
        "steps": record.steps,
        "size": record.size,
        "seed": record.seed,
        "recipe_sha256": record.recipe_sha256,
        "started": record.started,
        "finite": record.finite,
        "robust_activation": record.robust,
        "share_of_dataset_maximum": record.share,
        "saturation": record.saturation,
        "high_frequency": record.high_frequency,
        "diversity": record.diversity,
    }


def _example(record: ExampleRecord, tile: Tile) -> dict[str, object]:
    return {"side": record.side, "rank": record.rank, **_crop(record, tile)}


def _whole(channel: ChannelRecord, plan: SheetPlan) -> dict[str, object] | None:
    """The strongest photograph: its picture with the crop outlined, and the one lit by the map."""
    if channel.whole is None:
        return None
    outlined, lit = plan.wholes[channel.name]
    source = channel.whole.example.source
    return {"source": source, **_place(outlined), "activation_tile": list(lit.box)}


def _band(band: BandRecord, tiles: Sequence[Tile]) -> dict[str, object]:
    crops = zip(band.examples, tiles, strict=True)
    return {"range": [band.low, band.high], "examples": [_crop(one, tile) for one, tile in crops]}


def _crop(record: CropRecord, tile: Tile) -> dict[str, object]:
    return {
        "source": record.source,
        "label": record.label,
        "activation": record.activation,
        "position": list(record.position),
        "crop": list(record.crop),
        **_place(tile),
    }


def _place(tile: Tile) -> dict[str, object]:
    return {"sheet": tile.sheet, "tile": list(tile.box)}


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return value
