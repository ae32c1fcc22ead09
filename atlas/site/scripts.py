"""The data files of the scripts: what search, the layer pages' tools and the compare page look up.

A page opened from a disk may load scripts but not read files, so the data come as scripts:
``atlas.register("search", {…});``. Rows are arrays, their columns named once at the head; a label
is a number that points into a list of labels. Text is ASCII, ``<``, ``>`` and ``&`` are escaped.
"""

from __future__ import annotations

import html
import json
import math
import posixpath
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

from atlas.site.catalogue import Catalogue, ChannelRecord, Kind
from atlas.site.content import Note
from atlas.site.prose import MARK
from atlas.site.sheets import LONGEST, SheetPlan, Tile, ordered_examples
from atlas.site.text import clean, short, slug
from atlas.site.views import strongest_labels
from atlas.units import Layer

FOLDER = "data"

SEARCH_LABELS = 3
"""Labels of a channel that search knows."""
LAYER_LABELS = 6
"""Labels of a channel that the filter of its layer's page knows."""
PHOTOGRAPHS = 4
"""Strongest photographs of a channel on the compare page."""
RENDERS = 12
"""Renders of a channel on the compare page: more than there are kinds, and one sheet has them."""
NOTE_LENGTH = 20_000
"""Characters of a note that are searched."""

LAYER_COLUMNS = (
    "index", "branch", "sheet", "tile", "failed", "share", "selectivity", "sparsity", "max",
    "labels",
)  # fmt: skip
PICTURE_COLUMNS = ("renders", "photographs", "labels", "stats")
STATS = ("max", "mean", "fires", "share", "selectivity")  # as `_stats` has them
_LETTERS: dict[Kind, str] = {"positive": "p", "diverse": "d", "neuron": "u", "negative": "n"}
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}
_TAG = re.compile(r"<[^>]*>")


def scripts(
    catalogue: Catalogue,
    plan: SheetPlan,
    notes: Mapping[str, Note],
    layer_notes: Mapping[str, Note],
    class_paths: Mapping[str, str],
) -> Iterator[tuple[str, bytes]]:
    """The data files, as (path relative to the site, bytes).

    Args:
        notes: the notes that have a page of their own.
        layer_notes: notes on layers, by the folder of the layer.
        class_paths: where the page of a class is, by its label; only of classes that have one.
    """
    shown = [
        (layer, sorted(catalogue.of_layer(layer.name), key=lambda channel: channel.index))
        for layer in catalogue.layers
    ]
    shown = [(layer, channels) for layer, channels in shown if channels]
    content = _search(shown, plan, notes, layer_notes, class_paths)
    yield f"{FOLDER}/search.js", _script("search", content)
    for layer, channels in shown:
        for name, table in (
            (f"layers/{slug(layer.name)}", _layer(layer, channels, plan)),
            (f"pictures/{slug(layer.name)}", _pictures(channels, plan)),
        ):
            yield f"{FOLDER}/{name}.js", _script(name, table)


T = TypeVar("T", bound=Hashable)


class _Once(Generic[T]):
    """Things that are said once and then pointed at by their number."""

    def __init__(self) -> None:
        self._numbers: dict[T, int] = {}

    def __call__(self, thing: T) -> int:
        return self._numbers.setdefault(thing, len(self._numbers))

    def all(self) -> list[T]:
        return list(self._numbers)


def _search(
    shown: Sequence[tuple[Layer, Sequence[ChannelRecord]]],
    plan: SheetPlan,
    notes: Mapping[str, Note],
    layer_notes: Mapping[str, Note],
    class_paths: Mapping[str, str],
) -> dict[str, object]:
    """Layers with their channels, classes, and the words of the notes.

    Of a layer, `indices`, `tiles` (sheet × the head's number + place, −1 without a picture) and
    `labels` (as many numbers a channel as the head says, −1 where there are fewer) run parallel.
    """
    words = _Once[str]()
    pages = [[words(_label(label)), path] for label, path in class_paths.items()]
    layers = []
    for layer, channels in shown:
        sheets = _Once[tuple[str, int, int]]()
        tiles: list[int] = []
        labels: list[int] = []
        for channel in channels:
            found = plan.thumbs.get(channel.name)
            tiles.append(LONGEST * sheets(_sheet(found[1])) + found[1].index if found else -1)
            some = [words(label) for label in _labels(channel, SEARCH_LABELS)]
            labels += some + [-1] * (SEARCH_LABELS - len(some))
        layers.append(
            {
                "name": clean(layer.name),
                "folder": slug(layer.name),
                "short": clean(short(layer.name)),
                "aliases": [clean(alias) for alias in layer.aliases],
                "sheets": sheets.all(),
                "indices": [channel.index for channel in channels],
                "tiles": tiles,
                "labels": labels,
            }
        )
    folders = [slug(layer.name) for layer, _ in shown]
    readable = [
        *notes.values(),
        *(layer_notes[folder] for folder in folders if folder in layer_notes),
    ]
    return {
        "columns": {"labels": SEARCH_LABELS, "tiles": LONGEST, "sheets": ["path", "tiles", "size"]},
        "layers": layers,
        "labels": words.all(),
        "classes": pages,
        "notes": [[clean(note.title), note.page, plain(note)] for note in readable],
    }


def _layer(layer: Layer, channels: Sequence[ChannelRecord], plan: SheetPlan) -> dict[str, object]:
    """A row a channel of what a layer's page sorts, filters and shows."""
    words, sheets = _Once[str](), _Once[tuple[str, int, int]]()
    branches = [clean(branch.name) for branch in layer.branches]
    rows = []
    for channel in channels:
        found = plan.thumbs.get(channel.name)
        stats = _stats(channel)
        rows.append(
            [
                channel.index,
                layer.branches.index(layer.branch_of(channel.index)),
                sheets(_sheet(found[1])) if found else -1,
                found[1].index if found else -1,
                int(found is not None and bool(found[0].reason)),
                _figures(stats["share"]),
                _figures(stats["selectivity"]),
                _figures(1 - stats["fires"]),
                _figures(stats["max"]),
                [words(label) for label in _labels(channel, LAYER_LABELS)],
            ]
        )
    return {
        "columns": LAYER_COLUMNS,
        "name": clean(layer.name),
        "branches": branches,
        "sheets": sheets.all(),
        "labels": words.all(),
        "rows": rows,
    }


def _pictures(channels: Sequence[ChannelRecord], plan: SheetPlan) -> dict[str, object]:
    """What the compare page shows of a channel, by its index.

    Renders are [sheet, tiles, size, places, kinds, scores], photographs [sheet, tiles, size,
    places, labels, activations]; a score is null if the render failed. The paths of the
    sheets of either lack what all of them begin and end with.
    """
    words = _Once[str]()
    paths = {
        name: _ends([tiles[0].sheet for c in channels if (tiles := tiles_of[c.name])])
        for name, tiles_of in (("renders", plan.renders), ("photographs", plan.examples))
    }
    rows: dict[int, list[object]] = {}
    for channel in channels:
        renders = channel.renders[:RENDERS]
        crops = [e for e in ordered_examples(channel) if e.side == "positive"][:PHOTOGRAPHS]
        rows[channel.index] = [
            [
                *_places(plan.renders[channel.name][: len(renders)], paths["renders"]),
                "".join(_LETTERS[record.kind] for record in renders),
                [_figures(math.nan if r.reason else r.activation) for r in renders],
            ],
            [
                *_places(plan.examples[channel.name][: len(crops)], paths["photographs"]),
                [words(_label(crop.title)) for crop in crops],
                [_figures(crop.activation) for crop in crops],
            ],
            [words(label) for label in _labels(channel, SEARCH_LABELS)],
            [_figures(value) for value in _stats(channel).values()],
        ]
    return {
        "columns": PICTURE_COLUMNS,
        "stats": STATS,
        "paths": paths,
        "labels": words.all(),
        "rows": rows,
    }


def plain(note: Note) -> str:
    """The words of a note on one line; of what it shows of the atlas the names."""

    def names(match: re.Match[str]) -> str:
        code = note.shortcodes.get(match[0])
        said = (match[0],) if code is None else (*code.units, code.label, code.caption)
        return " ".join(filter(None, said))

    return clean(MARK.sub(names, html.unescape(_TAG.sub(" ", note.html))), NOTE_LENGTH)


def _stats(channel: ChannelRecord) -> dict[str, float]:
    """The numbers `STATS` names, not a number where there is none.

    ``share`` is of the positive render, ``selectivity`` of the strongest class.
    """
    stats, none = channel.stats, math.nan
    positive = next((r for r in channel.renders if r.kind == "positive"), None)
    return {
        "max": stats.get("max", none),
        "mean": stats.get("mean", none),
        "fires": stats.get("fires", none),
        "share": none if positive is None or positive.share is None else positive.share,
        "selectivity": channel.classes[0].selectivity if channel.classes else none,
    }


def _labels(channel: ChannelRecord, most: int) -> list[str]:
    """A channel's labels, each once: of its strongest photographs, then its strongest classes."""
    classes = (_label(one.label) for one in channel.classes)
    found = dict.fromkeys((*strongest_labels(channel), *(label for label in classes if label)))
    return list(found)[:most]


def _label(label: str) -> str:
    return clean(label, 60)


def _figures(value: float) -> float | int | None:
    """A measured value in four figures, the shortest way; None if it is no number."""
    if not math.isfinite(value):
        return None
    rounded = float(f"{value:.4g}")
    return int(rounded) if rounded.is_integer() else rounded


def _sheet(tile: Tile) -> tuple[str, int, int]:
    return (tile.sheet, tile.count, tile.size)


def _places(tiles: Sequence[Tile], ends: tuple[str, str]) -> list[object]:
    """Sheet, its tiles, their size, and which of them; the tiles have to be of one sheet."""
    if not tiles:
        return ["", 0, 0, []]
    path, count, size = _sheet(tiles[0])
    name = path[len(ends[0]) : len(path) - len(ends[1])]
    return [name, count, size, [tile.index for tile in tiles]]


def _ends(paths: Sequence[str]) -> tuple[str, str]:
    """The folder all paths are in, with its slash, and the suffix they have in common."""
    if not paths:
        return "", ""
    folder = posixpath.commonpath([posixpath.dirname(path) for path in paths])
    suffixes = {posixpath.splitext(path)[1] for path in paths}
    return f"{folder}/" if folder else "", suffixes.pop() if len(suffixes) == 1 else ""


def _script(name: str, content: object) -> bytes:
    """The script that hands `content` over under `name`."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    for mark, escaped in _ESCAPES.items():  # these occur inside of strings only
        text = text.replace(mark, escaped)
    return f'atlas.register("{name}",{text});\n'.encode()
