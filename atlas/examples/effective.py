"""Effective receptive fields: the part of what a position can see that it does look at.

Luo, Li, Urtasun, Zemel, *Understanding the Effective Receptive Field in Deep Convolutional Neural
Networks* (2016): the gradient of a position with respect to the image is concentrated about the
centre of its theoretical field, and most of that field hardly matters.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atlas.examples.receptive import ReceptiveField, theoretical
from atlas.models.network import Network

SHARE = 0.9
"""Share of the gradient energy that an effective field holds.

On Caffe's GoogLeNet a unit that is shown only this square of one of its top photographs, where it
was, keeps in the median over 80 % of its activation at every layer (ImageNet, 1,000 photographs).
"""


@dataclass(frozen=True)
class EffectiveField:
    """How the gradient energy of a layer's positions spreads about their centres.

    Attributes:
        side: of the smallest centred square that holds the share asked for, in input pixels.
        size: of the theoretical field, in input pixels.
        energy: share of the energy in the centred square of each of `sides`; never decreasing,
            1 at the end. All zero where no photograph had a gradient.
        photographs: over how many it is the mean: those with any gradient.
    """

    side: int
    size: int
    energy: tuple[float, ...]
    photographs: int

    @property
    def sides(self) -> range:
        """The sides of `energy`: odd or even as the theoretical size is, up to that size.

        A square of another parity could not have the field's centre for its own.
        """
        return _sides(self.size)

    def side_of(self, share: float) -> int:
        """Side of the smallest centred square with this share; the whole field if none has.

        Raises:
            ValueError: the share is not above 0 and at most 1.
        """
        _check(share)
        return _smallest(self.size, self.energy, share)


def effective_fields(
    network: Network,
    layers: Sequence[str],
    images: Tensor,
    share: float = SHARE,
    seed: int = 0,
) -> dict[str, EffectiveField]:
    """Measure the effective receptive field of layers, averaged over photographs.

    The energy is that of the position in the middle of the map: the square of its gradient with
    respect to the image, summed over colours and channels. The sum over channels is estimated by
    the gradient of a random vector of ±1 over them (Hutchinson 1990): its square is, in
    expectation, that sum. Every photograph's energy is divided by its total first, so that all
    count the same; one that nothing reaches the image from (every path blocked) is left out.

    Where images are smaller than the theoretical field, what lies beyond them has no energy; a
    square about a field's centre may still reach outside, and is never larger than the field.

    Photographs are taken one at a time, each with draws of its own for every layer: memory does
    not grow with their number, nor does what one gives depend on the others.

    Args:
        network: its `path` must lead to the layers; gradients are taken through it as it is.
        layers: names of the layers, canonical.
        images: (N, 3, H, W), RGB in [0, 1], on the network's device.
        share: of the energy that `EffectiveField.side` holds, above 0 and at most 1.
        seed: of the random vectors.

    Raises:
        ValueError: the share is out of range.
    """
    _check(share)
    fields = {layer: theoretical(network.path(layer)) for layer in layers}
    totals = {layer: np.zeros(len(_sides(field.size))) for layer, field in fields.items()}
    counts = dict.fromkeys(fields, 0)
    for number, image in enumerate(images):
        with torch.enable_grad():
            x = image[None].detach().clone().requires_grad_()
            for layer, taps in network.walk(x, tuple(fields)):
                at = (taps.shape[2] // 2, taps.shape[3] // 2)
                vector = signs(taps.shape[1], layer, number, seed).to(taps.device)
                value = (taps[0, :, at[0], at[1]] * vector).sum()
                (gradient,) = torch.autograd.grad(value, x, retain_graph=True)
                # In float64, where the square of no float32 underflows.
                energy = gradient[0].double().square().sum(0)
                within = _within(energy, fields[layer], at)
                if 0 < within[-1] < np.inf:
                    totals[layer] += within / within[-1]
                    counts[layer] += 1
    found = {}
    for layer, field in fields.items():
        curve = tuple((totals[layer] / max(counts[layer], 1)).tolist())
        side = _smallest(field.size, curve, share)
        found[layer] = EffectiveField(side, field.size, curve, counts[layer])
    return found


def signs(channels: int, layer: str, number: int, seed: int) -> Tensor:
    """The ±1 over the channels (C,) of a layer for photograph `number`, float32."""
    digest = hashlib.sha256(f"{seed} {number} {layer}".encode()).digest()
    rng = np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "big")))
    return torch.from_numpy(rng.integers(0, 2, channels).astype(np.float32) * 2 - 1)


def _within(energy: Tensor, field: ReceptiveField, at: tuple[int, int]) -> NDArray[np.float64]:
    """Energy (H, W) inside each centred square of the field of a map position, one a side."""
    first = _sides(field.size).start
    down, across = (
        # The side of the smallest square about the centre that a row or column lies in.
        2 * (torch.arange(extent, device=energy.device) + 0.5 - field.centre(i)).abs() + 1
        for extent, i in zip(energy.shape, at, strict=True)
    )
    ring = (torch.maximum(down[:, None], across) - first).round().long() // 2
    last = len(_sides(field.size)) - 1
    rings = np.bincount(
        ring.clamp(max=last).flatten().cpu().numpy(),
        weights=energy.flatten().cpu().numpy(),
        minlength=last + 1,
    )
    held: NDArray[np.float64] = rings.cumsum()
    return held


def _sides(size: int) -> range:
    return range(1 if size % 2 else 2, size + 1, 2)


def _smallest(size: int, energy: Sequence[float], share: float) -> int:
    return next((s for s, held in zip(_sides(size), energy, strict=True) if held >= share), size)


def _check(share: float) -> None:
    if not 0 < share <= 1:
        raise ValueError(f"a share of the energy is above 0 and at most 1, not {share}")
