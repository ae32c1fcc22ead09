"""What a pass over photographs has seen, for all channels of all its layers at once, as a monoid.

The dataset is cut into fixed chunks of images; a state says which it covers. Two states of
different chunks merge into one that covers both, in any order, to the same result: lists and
histograms depend on the set of images alone, counts are whole numbers, sums of floating-point
numbers are kept by chunk and added in the order of the chunks when they are read. A state merged
with itself is itself.

Memory: about 24 bytes a channel for each of 2·k list places, of the 128·`PER_BUCKET` bucket places
and of `SAMPLE` places, 16 bytes for each of at most 512 chunks, and 8 bytes for each class: for
5,808 channels, k = 25 and 1,000 classes some 200 MB, whatever the size of the dataset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from atlas.errors import WorkError
from atlas.examples.buckets import Buckets
from atlas.examples.look import Look, added
from atlas.examples.ranking import Ranking, Sample

PER_BUCKET = 5
SAMPLE = 25
"""Images of the uniform sample (the reservoir)."""

MOST_CLASSES = 2000
"""With more labels than this, classes are not followed."""

FIXED = 2.0**20
"""Class sums are whole multiples of 1/`FIXED`, so that their order does not matter."""


@dataclass(frozen=True)
class State:
    """See the module. `seen` is the number of images of each chunk that is covered, `sums` Σ a and
    Σ a² of each, `skipped` the images that could not be read, by number, with the reason, `maps`
    height and width of each layer's map."""

    top: Ranking
    bottom: Ranking
    sample: Sample
    buckets: Buckets
    fires: Tensor
    best: Tensor
    seen: dict[int, int] = field(default_factory=dict)
    sums: dict[int, Tensor] = field(default_factory=dict)
    class_sum: dict[str, Tensor] = field(default_factory=dict)
    class_count: dict[str, int] = field(default_factory=dict)
    skipped: dict[int, str] = field(default_factory=dict)
    maps: dict[str, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def empty(cls, channels: int, k: int, device: torch.device | str = "cpu") -> State:
        """Nothing seen, with lists of `k` places."""
        return cls(
            Ranking.empty(k, (channels,), device),
            Ranking.empty(k, (channels,), device),
            Sample.empty(SAMPLE, channels, device),
            Buckets.empty(channels, PER_BUCKET, device),
            torch.zeros(channels, dtype=torch.int64, device=device),
            torch.zeros(2, channels, dtype=torch.float64, device=device),
        )

    @property
    def images(self) -> int:
        """How many images were seen."""
        return sum(self.seen.values())

    def updated(
        self, look: Look, labels: Sequence[str], maps: Mapping[str, tuple[int, int]]
    ) -> State:
        """With what images showed that have these labels (empty: none).

        This state is used up: its buckets are changed in place.
        """
        image = look.images[:, None].expand_as(look.high)
        high, low = look.high.double(), look.low.double()
        class_sum, class_count = dict(self.class_sum), dict(self.class_count)
        fixed = (high * FIXED).round().to(torch.int64)
        for row, label in enumerate(labels):
            if label and (label in class_sum or len(class_sum) <= MOST_CLASSES):
                class_count[label] = class_count.get(label, 0) + 1
                held = class_sum.get(label)
                class_sum[label] = fixed[row].clone() if held is None else held + fixed[row]
        best = torch.stack([look.score.double().amax(0), look.negative.double().amax(0)])
        return State(
            self.top.update(Ranking(high, image, look.high, look.high_at)),
            self.bottom.update(Ranking(-low, image, look.low, look.low_at)),
            self.sample.merge(Sample(look.images, look.high, look.high_at)),
            self.buckets.update(look.high, look.images, look.high_at),
            self.fires + (look.high > 0).sum(0),
            torch.maximum(self.best, best),
            {**self.seen, **{c: self.seen.get(c, 0) + n for c, n in look.seen.items()}},
            added(self.sums, look.sums),
            class_sum,
            class_count,
            self.skipped,
            self.maps or dict(maps),
        )

    def without(self, chunk: int, skipped: Mapping[int, str]) -> State:
        """With images of chunk `chunk` that could not be read, and with it covered."""
        seen = {**self.seen, chunk: self.seen.get(chunk, 0)}
        return State(**(vars(self) | {"seen": seen, "skipped": {**self.skipped, **skipped}}))

    def merge(self, other: State) -> State:
        """Both together.

        Raises:
            WorkError: they share some chunks but not all, so that images would count twice.
        """
        mine, theirs = set(self.seen), set(other.seen)
        if mine == theirs:
            return self
        if mine & theirs:
            raise WorkError(
                f"two parts of a pass overlap: both have chunk {min(mine & theirs)}; "
                "give every part images of its own"
            )
        class_sum = dict(self.class_sum)
        for label, total in other.class_sum.items():
            class_sum[label] = class_sum[label] + total if label in class_sum else total
        counts = {
            label: self.class_count.get(label, 0) + other.class_count.get(label, 0)
            for label in (*self.class_count, *other.class_count)
        }
        return State(
            self.top.merge(other.top),
            self.bottom.merge(other.bottom),
            self.sample.merge(other.sample),
            self.buckets.merge(other.buckets),
            self.fires + other.fires,
            torch.maximum(self.best, other.best),
            self.seen | other.seen,
            self.sums | other.sums,
            class_sum,
            counts,
            self.skipped | other.skipped,
            self.maps or other.maps,
        )

    def total(self) -> Tensor:
        """Σ a and Σ a² of everything, (2, C) float64, added in the order of the chunks."""
        total = torch.zeros_like(self.best)
        for chunk in sorted(self.sums):
            total = total + self.sums[chunk]
        return total
