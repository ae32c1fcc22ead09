"""What a channel's page says, worked out in Python so that the template only lays it out."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from atlas.site.catalogue import (
    Catalogue,
    ChannelRecord,
    ExampleRecord,
    Kind,
    RenderRecord,
    Side,
)
from atlas.site.sheets import SheetPlan, Tile, ordered_examples
from atlas.site.text import clean, count, listed, number, percent

KINDS: tuple[Kind, ...] = ("positive", "diverse", "neuron", "negative")


@dataclass(frozen=True)
class Picture:
    """An `<img>`: the tile, where its sheet is seen from this page, and the alternative text."""

    tile: Tile
    src: str
    alt: str


@dataclass(frozen=True)
class Plate:
    """The pictures of one kind, with the numbers for the caption."""

    kind: Kind
    pictures: tuple[Picture, ...]
    scores: str
    alive: tuple[bool, ...]

    @property
    def dead(self) -> int:
        """How many of them never found a gradient."""
        return self.alive.count(False)


@dataclass(frozen=True)
class Photograph:
    """One example with its caption."""

    picture: Picture
    label: str
    activation: str
    source: str


@dataclass(frozen=True)
class Spread:
    """The number line of a channel's activations, in units of a 1,000-wide drawing."""

    zero: float | None
    box: tuple[float, float] | None
    mean: float | None
    positive: tuple[float, ...]
    negative: tuple[float, ...]
    low: str
    high: str


@dataclass(frozen=True)
class ChannelView:
    """Everything the channel template prints."""

    record: ChannelRecord
    labels: tuple[str, ...]
    fires: str | None
    images: str
    plates: Mapping[Kind, Plate | None]
    photographs: Mapping[Side, tuple[Photograph, ...]]
    columns: int
    facts: tuple[tuple[str, str, str], ...]
    spread: Spread | None
    ratio: str | None
    best_score: str | None
    command: str
    in_words: str


def channel_view(record: ChannelRecord, plan: SheetPlan, catalogue: Catalogue) -> ChannelView:
    """Work out a channel's page. Paths are seen from inside the layer's folder."""
    labels = strongest_labels(record)
    about = f"; its strongest photographs show {listed(labels)}" if labels else ""
    plates: dict[Kind, Plate | None] = dict.fromkeys(KINDS)
    plates |= {plate.kind: plate for plate in _plates(record, plan.renders[record.name], about)}
    photographs = _photographs(record, plan.examples[record.name])
    stats = record.stats
    fires = stats.get("fires")
    best = stats.get("best_score")
    positive = next((r for r in record.renders if r.kind == "positive"), None)
    ratio = None
    if best is not None and best > 0 and positive is not None and positive.started:
        ratio = number(positive.activation / best)
    images = stats.get("images") or (catalogue.dataset.images if catalogue.dataset else 0)
    first = positive or (record.renders[0] if record.renders else None)
    return ChannelView(
        record=record,
        labels=labels,
        fires=None if fires is None else percent(fires),
        images=count(int(images), "photograph") if math.isfinite(images) else "photographs",
        plates=plates,
        photographs=photographs,
        columns=_columns(len(photographs["positive"])),
        facts=tuple(_facts(stats)),
        spread=_spread(record),
        ratio=ratio,
        best_score=None if best is None else number(best),
        command=command(record, first, catalogue) if first else "",
        in_words=_words(catalogue.recipe, first) if first else "",
    )


def strongest_labels(record: ChannelRecord, most: int = 3) -> tuple[str, ...]:
    """The labels of the top examples, each once, strongest first."""
    ranked = (clean(e.label, 60) for e in ordered_examples(record) if e.side == "positive")
    return tuple(dict.fromkeys(label for label in ranked if label))[:most]


def render_alt(unit: str, render: RenderRecord, about: str = "") -> str:
    """What a render shows, for who does not see it."""
    if not render.started:
        return f"{unit}, {render.kind}: blank, the optimization never found a gradient"
    what = {
        "positive": "optimized to excite the whole channel",
        "diverse": f"optimized to excite it, number {render.number + 1} of the diverse ones",
        "neuron": "optimized for the neuron at the centre",
        "negative": "optimized to drive the channel down",
    }[render.kind]
    return f"{unit}, {render.kind}: image {what}{about if render.kind != 'negative' else ''}"


def command(record: ChannelRecord, render: RenderRecord, catalogue: Catalogue) -> str:
    """The command line that makes a render again."""
    options = clean(str(catalogue.recipe.get("options", "")), 1000)
    return (
        f"atlas show {shlex.quote(record.name)} --model {shlex.quote(catalogue.model.name)} "
        f"--kinds {render.kind} --size {render.size} --steps {render.steps} --seed {render.seed}"
        + (f" {options}" if options else "")
    )


def flatten(recipe: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    """A nested recipe as rows of a table: ``transforms.jitter``, ``16, 8``."""
    for key, value in recipe.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            yield prefix + str(key), clean(", ".join(str(part) for part in value), 300)
        else:
            yield prefix + str(key), clean(str(value), 300)


def _plates(record: ChannelRecord, tiles: list[Tile], about: str) -> Iterator[Plate]:
    pairs = sorted(zip(record.renders, tiles, strict=True), key=lambda pair: pair[0].kind)
    for kind, grouped in groupby(pairs, key=lambda pair: pair[0].kind):
        group = list(grouped)
        scores = sorted(r.activation for r, _ in group if r.started)
        low, high = (number(scores[0]), number(scores[-1])) if scores else ("", "")
        yield Plate(
            kind,
            tuple(_picture(tile, render_alt(record.name, r, about)) for r, tile in group),
            low if low == high else f"{low} to {high}",
            tuple(r.started for r, _ in group),
        )


def _photographs(record: ChannelRecord, tiles: list[Tile]) -> dict[Side, tuple[Photograph, ...]]:
    sides: dict[Side, list[Photograph]] = {"positive": [], "negative": []}
    for example, tile in zip(ordered_examples(record), tiles, strict=True):
        label, value = clean(example.label) or "no label", number(example.activation)
        end = "highest" if example.side == "positive" else "lowest"
        alt = f"{record.name}, photograph among the {end}: {label}, activation {value}"
        picture = _picture(tile, alt)
        sides[example.side].append(Photograph(picture, label, value, clean(example.source, 120)))
    return {side: tuple(photographs) for side, photographs in sides.items()}


def _picture(tile: Tile, alt: str) -> Picture:
    return Picture(tile, f"../{tile.sheet}", alt)


def _columns(amount: int) -> int:
    """Columns for a set of photographs on a wide page: the fullest last row of 8 to 10."""
    return max((10, 9, 8), key=lambda c: (-(-amount % c) if amount > c else amount - c, c))


def _facts(stats: Mapping[str, float]) -> Iterator[tuple[str, str, str]]:
    """The rows of the statistics: name, value, what it means."""
    meanings = {
        "max": "highest value anywhere",
        "mean": "average of all",
        "std": "standard deviation",
        "min": "lowest value anywhere",
    }
    for key, meaning in meanings.items():
        if key in stats:
            yield key, number(stats[key]), meaning
    if "fires" in stats:
        yield "fires", percent(stats["fires"]), "photographs with a value above zero somewhere"
    if "images" in stats and math.isfinite(stats["images"]):
        yield "images", f"{stats['images']:,.0f}", "photographs looked at"


def _spread(record: ChannelRecord) -> Spread | None:
    """Where the examples lie between the lowest and the highest activation."""
    stats, examples = record.stats, [e for e in record.examples if math.isfinite(e.activation)]
    low = min([e.activation for e in examples] + [stats.get("min", math.inf)])
    high = max([e.activation for e in examples] + [stats.get("max", -math.inf)])
    if not examples or not (math.isfinite(low) and math.isfinite(high) and low < high):
        return None

    def place(value: float) -> float:
        return round(10 + 980 * (min(max(value, low), high) - low) / (high - low), 1)

    def marks(side: Side) -> tuple[float, ...]:
        return tuple(place(e.activation) for e in _of_side(examples, side))

    mean, std = stats.get("mean", math.nan), stats.get("std", math.nan)
    box = None
    if math.isfinite(mean) and math.isfinite(std):
        box = (place(mean - std), round(place(mean + std) - place(mean - std), 1))
    return Spread(
        zero=place(0) if low <= 0 <= high else None,
        box=box,
        mean=place(mean) if math.isfinite(mean) else None,
        positive=marks("positive"),
        negative=marks("negative"),
        low=number(low),
        high=number(high),
    )


def _of_side(examples: list[ExampleRecord], side: Side) -> list[ExampleRecord]:
    return [example for example in examples if example.side == side]


def _words(recipe: Mapping[str, object], render: RenderRecord) -> str:
    """The recipe as a sentence, from whatever the recipe says of itself."""
    start = recipe.get("parameterization")
    colours = ", colours decorrelated" if recipe.get("colours") else ""
    parts = [f"{clean(str(start), 80)}{colours}" if start else "an optimized image"]
    optimizer = str(recipe.get("optimizer", "")).capitalize()
    rate = recipe.get("learning_rate")
    how = f"{count(render.steps, 'step')} of {clean(optimizer, 40) or 'gradient ascent'}"
    parts.append(how + (f" at a learning rate of {rate}" if isinstance(rate, float) else ""))
    parts.append(f"{render.size} × {render.size} pixels")
    sentence = "; ".join(parts)
    return sentence[:1].upper() + sentence[1:] + "."
