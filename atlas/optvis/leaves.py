"""What can be optimized for: each leaf of an objective maps activations to one number an image.

`a` stands for pre-ReLU activations (DESIGN §2), (C, H, W). Every value is to be maximized.

    Channel      mean over space of ReLU(a_k); driven down: of ReLU(−a_k)
    Neuron       a_k at one position
    LayerEnergy  mean of a² over the layer; rectified: of ReLU(a)² (DeepDream)
    ClassScore   z_c;  softmax(z)_c;  z_c − log Σ exp z       (z the logits)
    Direction    mean over space of (a·v) max(cos(a, v), 0.1)^p
    Match        −‖a − a₀‖² / ‖a₀‖²;  mean over space of (a·a₀) max(cos(a, a₀), 0.1)^p

Sources: Olah et al., *Feature Visualization* (2017); cosine exponent and floor, Lucid
`optvis/objectives.py`; inversion, Mahendran & Vedaldi (2015), eq. 1; caricature, Lucid's notebook
"activation caricatures".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from atlas.errors import ObjectiveError
from atlas.models.network import LOGITS, Relu

COSINE_FLOOR = 0.1
"""Cosines below this count as this, so that an exponent never stops the gradient (Lucid)."""


@dataclass(frozen=True)
class Photo:
    """A picture given as input: its name, the digest of its file, and its square pixels.

    `pixels` are (S, S, 3) uint8 RGB; two photos are equal when their digests are.
    """

    name: str = field(compare=False)
    sha256: str
    pixels: NDArray[np.uint8] = field(compare=False, repr=False)


PhotoTaps = Callable[[Photo, str, Tensor], Tensor]
"""Activations of a photo at a layer, warped as the images of the given rows are."""


@dataclass(frozen=True)
class Context:
    """What leaves may need beside activations: the objective's rectifier, the (B, 2, 3) affine
    maps (output to input) the images were warped by, and photos seen the same way."""

    relu: Relu = F.relu
    theta: Tensor | None = None
    photo_taps: PhotoTaps | None = None


Evaluate = Callable[[Tensor, Context], Tensor]
"""(B, C, H, W) taps of the whole batch → one value per leaf of the group.

`compiled` makes it of leaves of one class, layer and `variant`, the i-th of which reads row
``rows[i]`` of the batch.
"""


@dataclass(frozen=True)
class Channel:
    """A channel of a layer or bottleneck; `sign` −1 asks for what drives it down."""

    layer: str
    index: int
    sign: Literal[1, -1] = 1
    variant: ClassVar[object] = None

    def __str__(self) -> str:
        return f"{'-' if self.sign < 0 else ''}{self.layer}:{self.index}"

    @staticmethod
    def compiled(leaves: Sequence[Any], rows: Tensor) -> Evaluate:
        index = torch.tensor([leaf.index for leaf in leaves], device=rows.device)
        sign = torch.tensor([float(leaf.sign) for leaf in leaves], device=rows.device)

        def evaluate(taps: Tensor, context: Context) -> Tensor:
            return context.relu(taps[rows, index] * sign[:, None, None]).mean((1, 2))

        return evaluate


@dataclass(frozen=True)
class Neuron:
    """One position (x, y) of a channel's map, the centre where it is None.

    While an image is jittered, the position that counts is the one nearest to where it has moved:
    otherwise the first layers, whose fields are smaller than the jitter, would see a smear of all
    the places it has been.
    """

    layer: str
    index: int
    position: tuple[int, int] | None = None
    variant: ClassVar[object] = None

    def __str__(self) -> str:
        place = "" if self.position is None else f":{self.position[0]}:{self.position[1]}"
        return f"neuron:{self.layer}:{self.index}{place}"

    @staticmethod
    def compiled(leaves: Sequence[Any], rows: Tensor) -> Evaluate:
        device = rows.device
        index = torch.tensor([leaf.index for leaf in leaves], device=device)

        def evaluate(taps: Tensor, context: Context) -> Tensor:
            height, width = taps.shape[2:]
            x, y, at = _places(leaves, height, width, device)
            if context.theta is not None:
                shift = moved(context.theta[rows], at) - at
                x = (x + shift[:, 0] * width / 2).round().long().clamp(0, width - 1)
                y = (y + shift[:, 1] * height / 2).round().long().clamp(0, height - 1)
            return taps[rows, index, y, x]

        return evaluate


def _places(
    leaves: Sequence[Neuron], height: int, width: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Columns, rows and the points (−1 to 1 across the image) of neurons on an H × W map."""
    cells, points = [], []
    for leaf in leaves:
        if leaf.position is None:
            cells.append((width // 2, height // 2))
            points.append((0.0, 0.0))
            continue
        x, y = leaf.position
        if not (x < width and y < height):
            raise ObjectiveError(
                f"{leaf} is off the map: at this size {leaf.layer} is {width} wide, {height} high"
            )
        cells.append((x, y))
        points.append(((2 * x + 1) / width - 1, (2 * y + 1) / height - 1))
    cell = torch.tensor(cells, device=device)
    return cell[:, 0], cell[:, 1], torch.tensor(points, device=device)


def moved(theta: Tensor, points: Tensor) -> Tensor:
    """Where points of the input of a warp lie in its output, (B, 2) as (x, y) from −1 to 1.

    The map theta = [M | t] takes output to input, p ↦ Mp + t, so q is found at M⁻¹(q − t).
    """
    (a, b), (c, d) = theta[:, 0, :2].unbind(1), theta[:, 1, :2].unbind(1)
    qx, qy = (points - theta[:, :, 2]).unbind(1)
    determinant = a * d - b * c
    return torch.stack([d * qx - b * qy, a * qy - c * qx], dim=1) / determinant[:, None]


@dataclass(frozen=True)
class LayerEnergy:
    """A whole layer at once: mean of squares, of all of a or of its positive part."""

    layer: str
    rectified: bool = False

    @property
    def variant(self) -> object:
        return self.rectified

    def __str__(self) -> str:
        return f"{'deepdream' if self.rectified else 'layer'}:{self.layer}"

    @staticmethod
    def compiled(leaves: Sequence[Any], rows: Tensor) -> Evaluate:
        rectified = leaves[0].rectified

        def evaluate(taps: Tensor, context: Context) -> Tensor:
            a = taps[rows]
            return (context.relu(a) if rectified else a).square().mean((1, 2, 3))

        return evaluate


Form = Literal["class", "prob", "lse"]


@dataclass(frozen=True)
class ClassScore:
    """A class: its logit (`class`), probability (`prob`) or log-probability (`lse`).

    The last is the logit less the log-sum-exp of all of them.
    """

    index: int
    form: Form = "class"
    layer: ClassVar[str] = LOGITS

    @property
    def variant(self) -> object:
        return self.form

    def __str__(self) -> str:
        return f"{self.form}:{self.index}"

    @staticmethod
    def compiled(leaves: Sequence[Any], rows: Tensor) -> Evaluate:
        index = torch.tensor([leaf.index for leaf in leaves], device=rows.device)
        form = leaves[0].form

        def evaluate(taps: Tensor, _: Context) -> Tensor:
            logits = taps.flatten(1)[rows]
            if form == "prob":
                logits = logits.softmax(dim=1)
            elif form == "lse":
                logits = logits.log_softmax(dim=1)
            return logits.gather(1, index[:, None])[:, 0]

        return evaluate


@dataclass(frozen=True)
class Direction:
    """A direction of a layer's activation space; `name` is how it was written.

    Raises ObjectiveError when evaluated on a layer with another number of channels.
    """

    layer: str
    vector: tuple[float, ...]
    power: float = 0.0
    name: str = field(default="", compare=False)

    @property
    def variant(self) -> object:
        return self.power

    def __str__(self) -> str:
        name = (
            _quoted(self.name) if self.name else "[" + ",".join(f"{v:g}" for v in self.vector) + "]"
        )
        return f"dir:{self.layer}:{name}{_power(self.power)}"

    @staticmethod
    def compiled(leaves: Sequence[Any], rows: Tensor) -> Evaluate:
        vectors = torch.tensor([leaf.vector for leaf in leaves], device=rows.device)
        first = leaves[0]

        def evaluate(taps: Tensor, _: Context) -> Tensor:
            if taps.shape[1] != vectors.shape[1]:
                raise ObjectiveError(
                    f"direction {first} has length {vectors.shape[1]}, but {first.layer} "
                    f"has {taps.shape[1]} channels"
                )
            return dot_cosine(taps[rows], vectors[:, :, None, None], first.power)

        return evaluate


@dataclass(frozen=True)
class Match:
    """The activations of a photograph: reached (`invert`) or exaggerated (`caricature`)."""

    layer: str
    photo: Photo
    form: Literal["invert", "caricature"] = "invert"
    power: float = 1.0

    @property
    def variant(self) -> object:
        return self.photo, self.form, self.power

    def __str__(self) -> str:
        power = _power(self.power) if self.form == "caricature" and self.power != 1 else ""
        return f"{self.form}:{self.layer}:{_quoted(self.photo.name)}{power}"

    @staticmethod
    def compiled(leaves: Sequence[Any], rows: Tensor) -> Evaluate:
        first = leaves[0]

        def evaluate(taps: Tensor, context: Context) -> Tensor:
            if context.photo_taps is None:
                raise ObjectiveError(f"{first} needs the network to look at its photograph")
            target = context.photo_taps(first.photo, first.layer, rows)
            if first.form == "caricature":
                return dot_cosine(taps[rows], target, first.power)
            apart = (taps[rows] - target).square().sum((1, 2, 3))
            return -apart / target.square().sum((1, 2, 3)).clamp(min=1e-12)

        return evaluate


Leaf = Channel | Neuron | LayerEnergy | ClassScore | Direction | Match


def dot_cosine(a: Tensor, v: Tensor, power: float) -> Tensor:
    """Mean over space of (a·v) max(cos(a, v), 0.1)^power, (B,), for a, v (B, C, H, W)."""
    dot = (a * v).sum(1)
    if power != 0:
        norms = torch.linalg.vector_norm(a, dim=1) * torch.linalg.vector_norm(v, dim=1)
        dot = dot * (dot / norms.clamp(min=1e-12)).clamp(min=COSINE_FLOOR) ** power
    return dot.mean((1, 2))


def _quoted(name: str) -> str:
    """A file name as the syntax takes it."""
    if re.fullmatch(r"[^\s+*×()^,'\"\[]+", name):
        return name
    return f'"{name}"' if '"' not in name else f"'{name}'"


def _power(power: float) -> str:
    return f"^{power:g}" if power else ""
