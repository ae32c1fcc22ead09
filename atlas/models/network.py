"""What the rest of the project asks of a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from atlas.units import Layer

Relu = Callable[[Tensor], Tensor]

LOGITS = "logits"
"""What the pre-softmax class scores are called where a layer's name is expected."""


class Window(NamedTuple):
    """One convolution or pooling on the way to a layer, in pixels of its input.

    `before` is the padding at the top and left.
    """

    kernel: int
    stride: int
    before: int


class Network(Protocol):
    """A vision network: named layers whose pre-ReLU outputs can be tapped."""

    name: str
    weights_sha256: str
    layers: tuple[Layer, ...]
    bottlenecks: tuple[Layer, ...]
    """Convolutions inside the layers that can be tapped too, in network order."""
    classes: int
    labels: tuple[str, ...]
    class_ids: tuple[str, ...]
    """WordNet ids of the classes, or none."""
    view: tuple[int, int]
    """Short side and centre crop, in pixels, of photographs as the network was trained on."""

    def taps(self, x: Tensor, layer: str, relu: Relu = ...) -> Tensor:
        """Pre-ReLU (B, C, H', W') of one layer for x (B, 3, H, W), RGB in [0, 1].

        `layer` may also be a bottleneck, or ``logits`` for (B, classes, 1, 1).
        """

    def walk(
        self, x: Tensor, layers: Sequence[str], relu: Relu = ...
    ) -> Iterator[tuple[str, Tensor]]:
        """The taps of several layers from one forward pass, in network order.

        `relu` is the rectifier used on the way. It may work in place: of a tap, the network uses
        nothing but what `relu` makes of it.
        """

    def path(self, layer: str) -> tuple[Window, ...]:
        """The windows on the widest path from the image to a layer."""


@runtime_checkable
class Fitted(Protocol):
    """A network that can compute less, or less exactly, than it was made for."""

    def fitted(self, dtype: torch.dtype, layer: str = "", channels: Sequence[int] = ()) -> Network:
        """The same network in another precision; of `layer`, if named, its tap has only these
        channels (ascending, each once), and nothing beyond it can be tapped."""
