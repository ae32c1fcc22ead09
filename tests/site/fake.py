"""A made-up atlas: toy layers, noise for pictures, and counters that tell who was asked what."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from atlas.site.catalogue import (
    BandRecord,
    Catalogue,
    ChannelRecord,
    ClassRecord,
    CropRecord,
    DatasetRecord,
    ExampleRecord,
    HistogramRecord,
    Kind,
    LabelRecord,
    MemberRecord,
    ModelRecord,
    RenderRecord,
    Side,
    SimilarRecord,
    WholeRecord,
    WholeTile,
)
from atlas.units import Branch, Layer

KINDS: tuple[Kind, ...] = ("neuron", "positive", "diverse", "negative")
LABELS = ("redbone", "Norfolk terrier", "Pembroke", "papillon", "Afghan hound", "dogsled")

TOY_LAYERS = (
    Layer("conv2d0", (Branch("conv", 0, 8),)),
    Layer("mixed3a", (Branch("1x1", 0, 4), Branch("3x3", 4, 10), Branch("pool", 10, 12))),
    Layer("mixed4c", (Branch("1x1", 0, 20), Branch("3x3", 20, 48))),
    Layer("mixed5b", (Branch("1x1", 0, 16),)),
)

_WIDTHS = {
    "mixed3a": (64, 128, 32, 32), "mixed3b": (128, 192, 96, 64), "mixed4a": (192, 208, 48, 64),
    "mixed4b": (160, 224, 64, 64), "mixed4c": (128, 256, 64, 64), "mixed4d": (112, 288, 64, 64),
    "mixed4e": (256, 320, 128, 128), "mixed5a": (256, 320, 128, 128),
    "mixed5b": (384, 384, 128, 128),
}  # fmt: skip


def googlenet_layers() -> tuple[Layer, ...]:
    """The twelve layers with their real channel counts."""
    layers = [
        Layer(name, (Branch("conv", 0, width),))
        for name, width in (("conv2d0", 64), ("conv2d1", 64), ("conv2d2", 192))
    ]
    for name, widths in _WIDTHS.items():
        edges = [sum(widths[:i]) for i in range(5)]
        names = ("1x1", "3x3", "5x5", "pool")
        layers.append(
            Layer(name, tuple(Branch(n, edges[i], edges[i + 1]) for i, n in enumerate(names)))
        )
    return tuple(layers)


def renders(
    unit: str, kinds: Sequence[Kind] = KINDS, size: int = 48, started: bool = True
) -> tuple[RenderRecord, ...]:
    """The renders of a unit, four of them for `diverse`."""
    made = []
    for kind in kinds:
        for number in range(4 if kind == "diverse" else 1):
            digest = hashlib.sha256(f"{unit}/{kind}/{number}".encode()).hexdigest()
            score = 100 + int(digest[:4], 16) / 100
            made.append(
                RenderRecord(
                    kind=kind,
                    number=number,
                    activation=-score if kind == "negative" else score,
                    steps=512,
                    size=size,
                    seed=int(digest[:8], 16),
                    recipe_sha256=digest,
                    started=started,
                    reason="" if started else "never found a gradient",
                )
            )
    return tuple(made)


def examples(unit: str, each: int = 9, labels: Sequence[str] = LABELS) -> tuple[ExampleRecord, ...]:
    """`each` photographs at either end."""
    sides: tuple[Side, Side] = ("positive", "negative")
    return tuple(
        ExampleRecord(
            side=side,
            rank=rank,
            source=f"{unit}/{side}/{rank}.jpg",
            label=labels[rank % len(labels)],
            activation=(617.0 - 31 * rank) if side == "positive" else (-45.0 + 2 * rank),
            position=(3, 5),
            crop=(10, 20, 70 + 9 * rank, 80 + 9 * rank),
        )
        for side in sides
        for rank in range(each)
    )


STATS: Mapping[str, float] = {
    "min": -45.25, "max": 617.0, "mean": -12.5, "std": 41.0, "fires": 0.24, "images": 1000.0,
    "best_score": 50.0,
}  # fmt: skip


HISTOGRAM = HistogramRecord(-48.0, 16.0, (3, 60, 400, 250, 0, 120, *(4,) * 35, 12, 13, 1, 1))
"""The maxima of 1,000 photographs, from just above −48 to 617."""


def spectrum(
    unit: str, each: int = 3, labels: Sequence[str] = LABELS, empty: Sequence[int] = (7,)
) -> tuple[BandRecord, ...]:
    """Ten bands of [−45, 617] with `each` photographs, but for those that are `empty`.

    The last photograph of the highest band is the highest of all, which `examples` has too.
    """
    edges = [-45 + 66.2 * i for i in range(10)] + [617.0]
    bands = []
    for band in range(10):
        low, high = edges[band], edges[band + 1]
        crops = [
            CropRecord(
                source=f"{unit}/band/{band}-{i}.jpg",
                label=labels[(band + i) % len(labels)],
                activation=low + (high - low) * (i + 1) / each,
                position=(1, 2),
                crop=(5, 5, 95, 95),
            )
            for i in range(0 if band in empty else each)
        ]
        if band == 9 and crops:
            crops[-1] = crop_of(examples(unit, 1, labels)[0])
        bands.append(BandRecord(low, high, tuple(crops)))
    return tuple(bands)


def classes(labels: Sequence[str] = LABELS, count: int = 50) -> tuple[ClassRecord, ...]:
    """A class for each label, strongest first."""
    return tuple(
        ClassRecord(label, 300.0 - 40 * i, count, 3.0 - 0.5 * i) for i, label in enumerate(labels)
    )


def crop_of(example: ExampleRecord) -> CropRecord:
    """An example as a mere crop."""
    return CropRecord(**{name: getattr(example, name) for name in CropRecord.__slots__})


def whole(unit: str, labels: Sequence[str] = LABELS, fires: bool = True) -> WholeRecord:
    """The first of a unit's `examples`, to be shown whole."""
    crop = crop_of(examples(unit, 1, labels)[0])
    return WholeRecord(crop, _digest(f"{unit}/map"), fires)


def channel(layer: Layer, index: int, **changes: object) -> ChannelRecord:
    """A complete channel; `changes` replace its fields."""
    unit = f"{layer.name}:{index}"
    fields: dict[str, object] = {
        "renders": renders(unit), "examples": examples(unit), "stats": STATS,
        "spectrum": spectrum(unit), "histogram": HISTOGRAM, "classes": classes(),
    }  # fmt: skip
    fields.update(changes)
    fields.setdefault("whole", whole(unit) if fields["examples"] else None)
    return ChannelRecord(layer.name, index, layer.branch_of(index).name, **fields)  # type: ignore[arg-type]


def kin(channels: Sequence[ChannelRecord]) -> list[ChannelRecord]:
    """The same with similar channels, where they have none yet: the next, the one half of the list
    away and the one before, of those that have classes."""
    known = [one for one in channels if one.classes]
    found = {}
    for i, one in enumerate(known):
        steps = dict.fromkeys((i + step) % len(known) for step in (1, len(known) // 2, -1))
        others = [known[j] for j in steps if j != i]
        found[one.name] = tuple(
            SimilarRecord(other.layer, other.index, 0.75 - 0.125 * place)
            for place, other in enumerate(others)
        )
    return [replace(one, similar=one.similar or found.get(one.name, ())) for one in channels]


def labels_of(channels: Iterable[ChannelRecord]) -> list[LabelRecord]:
    """The classes that some channels name, each with its 24 most selective channels."""
    found: dict[str, list[MemberRecord]] = {}
    counts = {}
    for one in channels:
        for record in one.classes:
            counts[record.label] = record.count
            members = found.setdefault(record.label, [])
            if record.selectivity > 0:
                member = MemberRecord(one.layer, one.index, record.mean, record.selectivity)
                members.append(member)
    for members in found.values():
        members.sort(key=lambda member: -member.selectivity)
    return [LabelRecord(label, counts[label], tuple(found[label][:24])) for label in sorted(found)]


def catalogue(
    layers: Sequence[Layer] = TOY_LAYERS,
    channels: Sequence[ChannelRecord] | None = None,
    dataset: bool = True,
) -> Catalogue:
    """An atlas of the toy network: all channels but those of the last layer, unless told. They
    have similar channels, and the classes that they name have their channels."""
    if channels is None:
        channels = [channel(la, i) for la in layers[:-1] for i in range(la.channels)]
    channels = kin(channels)
    return Catalogue(
        title="A toy atlas",
        generator="channel-atlas 0.0",
        model=ModelRecord("toy", "Toy network", "7d1e08" + "0" * 58, 10),
        dataset=DatasetRecord("folder:photos", 1000) if dataset else None,
        recipe={
            "parameterization": "fourier, colours decorrelated", "optimizer": "adam",
            "learning_rate": 0.05, "steps": 512, "transforms": {"jitter": [16, 8], "pad": 16},
        },
        layers=layers,
        channels=channels,
        labels=labels_of(channels),
    )  # fmt: skip


@dataclass
class FakeMedia:
    """Smooth coloured noise, a different one for each record; `asked` counts the masters read."""

    asked: Counter[str] = field(default_factory=Counter)
    salt: str = ""

    def render(self, record: RenderRecord) -> NDArray[np.uint8]:
        self.asked["render"] += 1
        return noise(self.render_digest(record), record.size)

    def render_digest(self, record: RenderRecord) -> str:
        return _digest(f"{record.recipe_sha256}/{record.size}/{self.salt}")

    def crop(self, record: CropRecord) -> NDArray[np.uint8]:
        self.asked["crop"] += 1
        return noise(self.crop_digest(record), record.crop[2] - record.crop[0])

    def crop_digest(self, record: CropRecord) -> str:
        return _digest(f"{record.source}/{record.crop}/{self.salt}")

    def photographs_digest(self) -> str:
        return self.salt

    def whole(self, tile: WholeTile) -> NDArray[np.uint8]:
        self.asked["whole"] += 1
        return noise(self.whole_digest(tile), 224)

    def whole_digest(self, tile: WholeTile) -> str:
        by = tile.record.map_sha256 if tile.lit else tile.record.example.crop
        return _digest(f"{tile.record.example.source}/{by}/{self.salt}")


@dataclass
class FakeIndex:
    """A sheet index in memory."""

    known: dict[str, str] = field(default_factory=dict)

    def get(self, key: str) -> str | None:
        return self.known.get(key)

    def put(self, key: str, sha256: str) -> None:
        self.known[key] = sha256


def noise(digest: str, size: int) -> NDArray[np.uint8]:
    """(size, size, 3) blobs of colour that depend on `digest` only."""
    small = np.random.default_rng(int(digest[:12], 16)).integers(0, 256, (6, 6, 3), np.uint8)
    image = Image.fromarray(small).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(image)


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file under `folder`: its time and bytes."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
