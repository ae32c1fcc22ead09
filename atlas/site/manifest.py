"""`manifest.json`: everything the site shows, for programs (DESIGN §5, format 1).

Keys stand in a fixed order and numbers in their shortest form, so equal sites have equal
manifests. A number that is not finite becomes null, which JSON has no other word for. Text from
outside is written in ASCII with ``<``, ``>`` and ``&`` escaped: it stays text inside a script too.
"""

from __future__ import annotations

import gzip
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from atlas.site.catalogue import (
    BandRecord,
    Catalogue,
    ChannelRecord,
    CropRecord,
    ExampleRecord,
    LabelRecord,
    RenderRecord,
)
from atlas.site.sheets import SheetPlan, Tile, ordered_examples
from atlas.site.text import slug
from atlas.units import Layer

FORMAT = 1

LIMIT = 20 * 2**20
"""Bytes of details that a manifest has room for beside the rest; hosts stop at files of 25 MiB."""


Pair = tuple[str, str]
"""Of a channel what is said in any case, and the details, as JSON."""


def manifest_files(
    catalogue: Catalogue, plan: SheetPlan, class_paths: Mapping[str, str], others: Sequence[str]
) -> Iterator[tuple[str, bytes]]:
    """The manifest of a site, as (path, bytes); ``manifest.json`` is the last, and the only one
    unless it would be too large.

    Then every channel's ``examples`` are empty in it and ``examples_in`` names the file, one a
    layer and compressed by gzip, that has them with its spectrum, histogram, classes and so on.

    Args:
        class_paths: the pages of classes, by label.
        others: all other files of the site, of which the manifest lists those that it does not
            name elsewhere: what pruning goes by later.
    """
    lines: list[str] = []
    parts: list[str] = []
    held: list[tuple[str, list[Pair]]] = []  # of layers that may yet fit into one manifest
    size = 0
    for layer in catalogue.layers:
        channels = catalogue.of_layer(layer.name)
        made = ((_text(_entry(one, plan)), _text(_details(one, plan))) for one in channels)
        ready: list[tuple[str, Iterable[Pair]]] = [(layer.name, made)] if channels else []
        if size <= LIMIT:
            held.append((layer.name, list(made)))
            size += sum(len(details) for _, details in held[-1][1])
            ready = [one for one in held if one[1]] if size > LIMIT else []
        for name, pairs in ready:
            parts.append(f"manifest/{slug(name)}.json.gz")
            yield parts[-1], _part(name, pairs, parts[-1], lines)
        if ready:
            held.clear()
    lines += [_joined(*pair) for _, pairs in held for pair in pairs]
    known = {path for c in catalogue.channels for path in _named(c, plan, split=bool(parts))}
    head = _head(catalogue, class_paths, sorted({*others, *parts} - known))
    document = io.BytesIO()
    document.writelines(_document(head, _taken(lines)))
    yield "manifest.json", document.getvalue()


def _taken(lines: list[str]) -> Iterator[str]:
    """The lines, which are let go as they are passed on: together they are megabytes."""
    lines.reverse()
    while lines:
        yield lines.pop()


def _part(layer: str, pairs: Iterable[Pair], path: str, lines: list[str]) -> bytes:
    """The file of a layer of a split manifest; what `manifest.json` says instead goes to `lines`.

    A layer can be tens of megabytes, of which only one channel is there at a time.
    """
    rest = _text({"examples": [], "examples_in": path})

    def whole() -> Iterator[str]:
        for entry, details in pairs:
            lines.append(_joined(entry, rest))
            yield _joined(entry, details)

    packed = io.BytesIO()
    with gzip.GzipFile("", "wb", fileobj=packed, mtime=0) as file:
        file.writelines(_document({"format": FORMAT, "layer": layer}, whole()))
    return packed.getvalue()


def _joined(*objects: str) -> str:
    """One JSON object of the members of several."""
    return "{" + ",".join(text[1:-1] for text in objects if text != "{}") + "}"


def _document(head: Mapping[str, object], channels: Iterable[str]) -> Iterator[bytes]:
    """JSON of `head` with the list of `channels`, each of which is JSON already, in pieces."""
    yield f'{_text(dict(head))[:-1]},"channels":['.encode()
    for number, channel in enumerate(channels):
        yield f"{',' if number else ''}{channel}".encode()
    yield b"]}\n"


def _text(value: dict[str, Any]) -> str:
    text = json.dumps(_finite(value), separators=(",", ":"), allow_nan=False)
    for mark, escaped in _ESCAPES.items():  # these occur inside of strings only
        text = text.replace(mark, escaped)
    return text


def _head(
    catalogue: Catalogue, class_paths: Mapping[str, str], files: Sequence[str]
) -> dict[str, object]:
    model, dataset = catalogue.model, catalogue.dataset
    return {
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
        "layers": [_layer(layer) for layer in catalogue.layers],
        "classes": [_class(one, class_paths.get(one.label)) for one in catalogue.labels],
        "files": list(files),
    }


def _named(channel: ChannelRecord, plan: SheetPlan, split: bool) -> set[str]:
    """The files that a channel's entry in ``manifest.json`` names."""
    name = channel.name
    tiles = list(plan.renders[name])
    if not split:
        tiles += [*plan.examples[name], *plan.wholes.get(name, ())]
        tiles += [tile for band in plan.spectrum[name] for tile in band]
    return {tile.sheet for tile in tiles} | {_page(channel)}


def _page(channel: ChannelRecord) -> str:
    return f"{slug(channel.layer)}/{channel.index}.html"


_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


def _layer(layer: Layer) -> dict[str, object]:
    return {
        "name": layer.name,
        "channels": layer.channels,
        "branches": [{"name": b.name, "start": b.start, "stop": b.stop} for b in layer.branches],
    }


def _entry(channel: ChannelRecord, plan: SheetPlan) -> dict[str, Any]:
    """What a manifest says of a channel in any case."""
    thumb = plan.thumbs.get(channel.name)
    renders = zip(channel.renders, plan.renders[channel.name], strict=True)
    return {
        "layer": channel.layer,
        "index": channel.index,
        "branch": channel.branch,
        "page": _page(channel),
        "thumbnail": thumb and _place(thumb[1]),
        "renders": [_render(record, tile) for record, tile in renders],
        "stats": dict(sorted(channel.stats.items())),
    }


def _details(channel: ChannelRecord, plan: SheetPlan) -> dict[str, Any]:
    """The rest, which is most of it."""
    examples = zip(ordered_examples(channel), plan.examples[channel.name], strict=True)
    return {
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
        "similar": [
            {"layer": one.layer, "index": one.index, "cosine": one.cosine}
            for one in channel.similar
        ],
    }


def _class(record: LabelRecord, page: str | None) -> dict[str, object]:
    """A class with the channels that answer to it, most selective first."""
    return {
        "label": record.label,
        "count": record.count,
        "page": page,
        "channels": [
            {
                "layer": member.layer,
                "index": member.index,
                "mean": member.mean,
                "selectivity": member.selectivity,
            }
            for member in record.members
        ],
    }


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
        "reason": record.reason,
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
