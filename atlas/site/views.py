"""What a channel's page says, worked out in Python so that the template only lays it out."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from atlas.site.catalogue import Catalogue, ChannelRecord, Kind, RenderRecord, Side
from atlas.site.classes import Classes, classes_of
from atlas.site.links import Links
from atlas.site.sheets import Picture, SheetPlan, Tile, ordered_examples
from atlas.site.spectrum import Spectrum, spectrum_of
from atlas.site.text import clean, count, listed, number, percent, slug

KINDS: tuple[Kind, ...] = ("positive", "diverse", "neuron", "negative")

AT_ONCE: Mapping[Side, int] = {"positive": 25, "negative": 10}
"""Photographs of a side that are shown at once: five rows of five, and two."""


@dataclass(frozen=True)
class Plate:
    """The pictures of one kind, with the numbers for the caption."""

    kind: Kind
    pictures: tuple[Picture, ...]
    scores: str
    reasons: tuple[str, ...]

    @property
    def failed(self) -> str:
        """What to say of those that failed: how many, and why; empty where none did."""
        found = [reason for reason in self.reasons if reason]
        if not found:
            return ""
        why = "; ".join(dict.fromkeys(found))
        if len(self.pictures) == 1:
            return (
                f"Failed: {why}. This is where the optimization stopped, not something the "
                "channel wants."
            )
        return (
            f"{len(found)} of {len(self.pictures)} failed ({why}) and show only where the "
            "optimization stopped."
        )


@dataclass(frozen=True)
class Photograph:
    """One example with its caption; `label` may be empty."""

    picture: Picture
    label: str
    activation: str
    source: str


@dataclass(frozen=True)
class Photographs:
    """The photographs of one side, best first: those shown at once, and those behind a click."""

    shown: tuple[Photograph, ...] = ()
    more: tuple[Photograph, ...] = ()


@dataclass(frozen=True)
class Whole:
    """The strongest photograph: with its crop outlined, lit by the map, and if anything is lit."""

    outlined: Picture
    lit: Picture
    fires: bool


@dataclass(frozen=True)
class Similar:
    """A channel that answers to the same classes: its name, page, picture (None without a render)
    and how similar it is."""

    name: str
    page: str
    picture: Picture | None
    cosine: str


@dataclass(frozen=True)
class Achieved:
    """A row of the table of renders, in words; what was not measured is a dash."""

    name: str
    score: str
    share: str
    robust: str
    seed: int
    recipe: str


@dataclass(frozen=True)
class ChannelView:
    """Everything the channel template prints."""

    record: ChannelRecord
    labels: tuple[str, ...]
    fires: str | None
    images: str
    plates: Mapping[Kind, Plate | None]
    photographs: Mapping[Side, Photographs]
    whole: Whole | None
    columns: int
    spectrum: Spectrum | None
    classes: Classes | None
    facts: tuple[tuple[str, str, str], ...]
    ratio: str | None
    best_score: str | None
    command: str
    in_words: str
    achieved: tuple[Achieved, ...]
    similar: tuple[Similar, ...]


def channel_view(
    record: ChannelRecord, plan: SheetPlan, catalogue: Catalogue, links: Links
) -> ChannelView:
    """Work out a channel's page. Paths are seen from inside the layer's folder."""
    labels = strongest_labels(record)
    plates: dict[Kind, Plate | None] = dict.fromkeys(KINDS)
    plates |= {plate.kind: plate for plate in _plates(record, plan, labels, links)}
    photographs = _photographs(record, plan.examples[record.name], links)
    stats = record.stats
    fires = stats.get("fires")
    best = stats.get("best_score")
    positive = next((r for r in record.renders if r.kind == "positive"), None)
    ratio = None
    if best is not None and best > 0 and positive is not None and not positive.reason:
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
        whole=_whole(record, plan, links),
        columns=_columns(len(photographs["positive"].shown)),
        spectrum=spectrum_of(record, plan.spectrum[record.name], links),
        classes=classes_of(record, links),
        facts=tuple(_facts(stats)),
        ratio=ratio,
        best_score=None if best is None else number(best),
        command=command(record, first, catalogue) if first else "",
        in_words=_words(catalogue.recipe, first) if first else "",
        achieved=tuple(_achieved(render) for render in record.renders),
        similar=tuple(_similar(record, plan, links)),
    )


def strongest_labels(record: ChannelRecord, most: int = 3) -> tuple[str, ...]:
    """The labels of the top examples, each once, strongest first."""
    ranked = (clean(e.label, 60) for e in ordered_examples(record) if e.side == "positive")
    return tuple(dict.fromkeys(label for label in ranked if label))[:most]


def about(labels: Sequence[str]) -> str:
    """What the strongest photographs show, to go after a semicolon; empty without labels."""
    return f"; its strongest photographs show {listed(labels)}" if labels else ""


def render_alt(unit: str, render: RenderRecord, about: str) -> str:
    """What a render shows, for who does not see it."""
    unit = clean(unit, 40)
    if render.reason:
        return f"{unit}, {render.kind}: failed, {clean(render.reason, 100)}"
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
    """A nested recipe as rows: ``transforms.jitter``, ``16, 8``; without what is not used."""
    for key, value in recipe.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            yield prefix + str(key), clean(", ".join(str(part) for part in value), 300)
        elif value is not None:
            yield prefix + str(key), clean(str(value), 300)


def _plates(
    record: ChannelRecord, plan: SheetPlan, labels: Sequence[str], links: Links
) -> Iterator[Plate]:
    tiles = plan.renders[record.name]
    pairs = sorted(zip(record.renders, tiles, strict=True), key=lambda pair: pair[0].kind)
    for kind, grouped in groupby(pairs, key=lambda pair: pair[0].kind):
        group = list(grouped)
        scores = sorted(r.activation for r, _ in group if not r.reason)
        low, high = (number(scores[0]), number(scores[-1])) if scores else ("", "")
        yield Plate(
            kind,
            tuple(
                links.picture(tile, render_alt(record.name, r, about(labels)), "../")
                for r, tile in group
            ),
            low if low == high else f"{low} to {high}",
            tuple(clean(r.reason, 100) for r, _ in group),
        )


def _photographs(record: ChannelRecord, tiles: list[Tile], links: Links) -> dict[Side, Photographs]:
    sides: dict[Side, list[Photograph]] = {"positive": [], "negative": []}
    for example, tile in zip(ordered_examples(record), tiles, strict=True):
        photographs = sides[example.side]
        title, value = clean(example.title, 60), number(example.activation)
        if len(photographs) < AT_ONCE[example.side]:
            end = "high" if example.side == "positive" else "low"
            alt = f"{clean(record.name, 40)} {end}: {title}"
        else:  # shown without a caption
            alt = f"{title}, {value}"
        source = clean(example.source, 120)
        picture = links.picture(tile, alt, "../")
        photographs.append(Photograph(picture, clean(example.label), value, source))
    return {
        side: Photographs(tuple(every[: AT_ONCE[side]]), tuple(every[AT_ONCE[side] :]))
        for side, every in sides.items()
    }


def _whole(record: ChannelRecord, plan: SheetPlan, links: Links) -> Whole | None:
    if record.whole is None:
        return None
    outlined, lit = plan.wholes[record.name]
    title = clean(record.whole.example.title, 60)
    return Whole(
        links.picture(outlined, f"{title}, the crop outlined", "../"),
        links.picture(lit, "the same, lit where the channel fires", "../"),
        record.whole.fires,
    )


def _similar(record: ChannelRecord, plan: SheetPlan, links: Links) -> Iterator[Similar]:
    for one, tile in zip(record.similar, plan.similar[record.name], strict=True):
        page = f"{one.index}.html"
        if one.layer != record.layer:
            page = f"../{slug(one.layer)}/{page}"
        name = clean(one.name, 40)
        picture = None
        if tile is not None:
            picture = links.picture(tile, f"{name}, {plan.thumbs[one.name][0].kind}", "../")
        yield Similar(name, page, picture, f"{one.cosine:.2f}")


def _achieved(render: RenderRecord) -> Achieved:
    name = f"{render.kind} {render.number + 1}" if render.kind == "diverse" else render.kind
    score = clean(render.reason, 100) or number(render.activation)
    share = "–" if render.share is None else f"{number(render.share)} ×"
    robust = "–" if render.robust is None else number(render.robust)
    return Achieved(name, score, share, robust, render.seed, render.recipe_sha256[:10])


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
