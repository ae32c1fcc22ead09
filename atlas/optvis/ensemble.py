"""An ensemble: the subjects of a batch with all they need of the network and of each other.

Behind the subjects themselves stand the *references* of diverse sets: an independent image of the
same objective, where the batch has none (`diversity`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from atlas.models.network import LOGITS, Fitted, Network, Relu
from atlas.optvis.alignment import Alignment, Sequenced
from atlas.optvis.diversity import DiverseSet, Diversity, gram_cosine
from atlas.optvis.leaves import Channel, Context, Neuron, Photo
from atlas.optvis.objective import Batch, Objective
from atlas.optvis.parameterize import from_uint8
from atlas.optvis.precision import arithmetic
from atlas.optvis.recipe import Recipe, stream
from atlas.optvis.subject import Subject, seed_for
from atlas.optvis.transform import warp


class Ensemble:
    """What a batch looks at and strives for.

    Attributes:
        seeds: of every row, subjects first, references behind them.
        starts: seeds of the start images and transforms: the frames of an interpolation begin as
            the first does and are moved as it is, so that like places are compared.
        frames: rows of each interpolation, in order.
        free: rows that regard no others and may stop by themselves.
    """

    def __init__(
        self,
        network: Network,
        subjects: Sequence[Subject],
        recipe: Recipe,
        device: torch.device | str = "cpu",
    ) -> None:
        self._network, self._recipe, self._device = network, recipe, device
        objectives = [subject.objective for subject in subjects]
        self.seeds = [subject.seed for subject in subjects]
        singles = {s.objective: row for row, s in enumerate(subjects) if s.role == "single"}
        diverse, frames = _groups(subjects, "diverse"), _groups(subjects, "frame")
        sets = []
        for rows in diverse:
            objective = objectives[rows[0]]
            if objective not in singles:
                singles[objective] = len(objectives)
                objectives.append(objective)
                self.seeds.append(seed_for(objective, "positive", 0))
            layer = self._layer_of(objective)
            sets.append(DiverseSet(tuple(rows), singles[objective], layer))
        sequences = [Sequenced(tuple(rows), self._below(objectives, rows)) for rows in frames]
        self.size, self.frames = len(objectives), frames
        bound = {row for one in sets for row in (*one.rows, one.reference)}
        self.free = [row for row in range(self.size) if row not in bound]
        self._sets = sets
        # Of a layer of which lone channels are asked for, the others need not be computed.
        layer, channels = ("", []) if sets or sequences else _channels(objectives, network)
        if layer:
            places = {channel: place for place, channel in enumerate(channels)}
            objectives = [objective.renumbered(places) for objective in objectives]
        self._exact = self._quick = network
        if isinstance(network, Fitted):
            self._exact = network.fitted(torch.float32, layer, channels)
            self._quick = network.fitted(arithmetic(recipe.precision, device), layer, channels)
        self._batch = Batch(objectives, device)
        self._diversity = Diversity(sets, recipe.steps, recipe.diversity, device) if sets else None
        self._alignment = Alignment(sequences, recipe.alignment, device) if sequences else None
        together = [one.layer for one in sets] + [one.layer for one in sequences]
        self._layers = tuple(dict.fromkeys((*self._batch.layers, *together)))
        self._photos: dict[str, Tensor] = {}
        self.starts = list(self.seeds)
        for rows in frames:
            for row in rows:
                self.starts[row] = self.seeds[rows[0]]

    def transforms(self) -> Tensor | None:
        """(steps, B, 2, 3) affine maps, each row's from its own seed, or None for none."""
        recipe = self._recipe
        if recipe.transforms.identity:
            return None
        draws = {
            seed: recipe.transforms.draw(stream(seed, "transforms"), recipe.steps, recipe.size)
            for seed in dict.fromkeys(self.starts)
        }
        stacked = np.stack([draws[seed] for seed in self.starts], axis=1)
        return torch.from_numpy(stacked).to(self._device)

    def begin(self, number: int) -> None:
        """Get ready for step `number`."""
        if self._diversity is not None:
            self._diversity.begin(number)

    def strive(self, images: Tensor, theta: Tensor | None, relu: Relu) -> tuple[Tensor, Tensor]:
        """One look at images (B, 3, S, S) under one step's maps.

        Returns:
            Each image's objective, (B,), and the number to ascend: their sum less what diverse
            sets and interpolations are charged.
        """
        side = self._recipe.transforms.seen(self._recipe.size)
        taps, context = self._look(self._quick, images, theta, relu, side)
        achieved = self._batch(taps, context)
        total = achieved.sum()
        if self._diversity is not None:
            total = total - self._diversity(taps, achieved)
        if self._alignment is not None:
            total = total - self._alignment(taps, achieved)
        return achieved, total

    def scores(self, images: Tensor, theta: Tensor | None = None) -> Tensor:
        """What is reported of images (B, 3, H, W), (B,)."""
        return self._batch.score(*self._look(self._exact, images, theta, F.relu))

    def set_diversity(self, images: Tensor) -> dict[int, float]:
        """Of every row of a diverse set, 1 − its mean Gram cosine with the others."""
        found: dict[int, float] = {}
        if self._sets:
            taps, _ = self._look(self._exact, images, None, F.relu)
            for one in self._sets:
                cosines = gram_cosine(taps[one.layer][list(one.rows)][None])[0]
                others = (cosines.sum(1) - 1) / (len(one.rows) - 1)
                found |= zip(one.rows, (1 - others).tolist(), strict=True)
        return found

    def photo(self, photo: Photo) -> Tensor:
        """A photo at the recipe's size, (1, 3, S, S) in [0, 1]."""
        if photo.sha256 not in self._photos:
            side = self._recipe.size
            image = Image.fromarray(photo.pixels)
            if image.size != (side, side):
                image = image.resize((side, side), Image.Resampling.LANCZOS)
            pixels = torch.from_numpy(np.array(image)[None])
            self._photos[photo.sha256] = from_uint8(pixels.to(self._device))
        return self._photos[photo.sha256]

    def _look(
        self,
        network: Network,
        images: Tensor,
        theta: Tensor | None,
        relu: Relu,
        side: int | None = None,
    ) -> tuple[dict[str, Tensor], Context]:
        def photo_taps(photo: Photo, layer: str, rows: Tensor) -> Tensor:
            picture = self.photo(photo).expand(len(rows), -1, -1, -1)
            if theta is not None:
                picture = warp(picture, theta[rows], side)
            with torch.no_grad():
                return network.taps(picture, layer).float()

        seen = images if theta is None else warp(images, theta, side)
        taps = {n: tap.float() for n, tap in network.walk(seen, self._layers, relu)}
        return taps, Context(relu, theta, photo_taps)

    def _layer_of(self, objective: Objective) -> str:
        """Where the images of an objective are compared: its first layer, of a class the last."""
        layer = objective.layers[0]
        return self._network.layers[-1].name if layer == LOGITS else layer

    def _below(self, objectives: Sequence[Objective], rows: Sequence[int]) -> str:
        """The layer below the lowest that any of these rows looks at."""
        names = [layer.name for layer in self._network.layers]
        order = {name: place for place, name in enumerate(names)}
        inner = {
            b.name: next((i for n, i in order.items() if b.name.startswith(n)), 0)
            for b in self._network.bottlenecks
        }
        places = [
            (order | inner).get(layer, len(names))
            for row in rows
            for layer in objectives[row].layers
        ]
        return names[max(0, min(places) - 1)]


def _channels(objectives: Sequence[Objective], network: Network) -> tuple[str, list[int]]:
    """The layer and the channels of it that these objectives come down to, ascending; ("", [])
    where they look at more than lone channels of one layer, or at a part of a layer."""
    channels: dict[str, set[int]] = {}
    for leaf in (leaf for objective in objectives for leaf in objective.leaves):
        if not isinstance(leaf, Channel | Neuron) or getattr(leaf, "position", None) is not None:
            return "", []
        channels.setdefault(leaf.layer, set()).add(leaf.index)
    if not isinstance(network, Fitted) or len(channels) != 1:
        return "", []
    ((layer, indices),) = channels.items()
    whole = layer in {one.name for one in network.layers}
    return (layer, sorted(indices)) if whole else ("", [])


def _groups(subjects: Sequence[Subject], role: str) -> list[list[int]]:
    """Rows of each group of a role that has two members or more."""
    groups: dict[str, list[int]] = {}
    for row, subject in enumerate(subjects):
        if subject.role == role:
            groups.setdefault(subject.group, []).append(row)
    return [rows for rows in groups.values() if len(rows) > 1]
