"""A toy network that needs no weights file: three layers, the last with branches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from atlas.models.network import Relu, Window
from atlas.units import Branch, Layer


class ToyNetwork:
    name = "toy"
    weights_sha256 = "0" * 64
    classes = 10
    labels: tuple[str, ...] = (
        *("tabby", "crane", "crane, the machine", "jack-o'-lantern", "black-and-tan coonhound"),
        *("tiger cat", "owl", "zebra", "tench", "goldfish"),
    )
    class_ids = tuple(f"n{i:08}" for i in range(10))
    view = (256, 224)
    layers = (
        Layer("edges", (Branch("7x7", 0, 8),)),
        Layer("shapes", (Branch("3x3", 0, 12),)),
        Layer("things", (Branch("1x1", 0, 6), Branch("3x3", 6, 16)), ("objects",)),
    )

    order = ("edges", "shapes", "things_bottleneck", "things", "logits")
    bottlenecks = (Layer("things_bottleneck", (Branch("things_bottleneck", 0, 4),)),)

    def __init__(self, seed: int = 0) -> None:
        rng = torch.Generator().manual_seed(seed)

        def kernel(out: int, into: int, size: int) -> Tensor:
            return torch.randn(out, into, size, size, generator=rng) / (into * size * size) ** 0.5

        self.first, self.second = kernel(8, 3, 7), kernel(12, 8, 3)
        self.one, self.three = kernel(6, 12, 1), kernel(10, 4, 3)
        self.reduce, self.head = kernel(4, 12, 1), kernel(10, 16, 1)

    def walk(
        self, x: Tensor, layers: Sequence[str], relu: Relu = F.relu
    ) -> Iterator[tuple[str, Tensor]]:
        for name, taps in self._forward(x, relu):
            if name in layers:
                yield name, taps
            if name == max(layers, key=self.order.index):
                return

    def taps(self, x: Tensor, layer: str, relu: Relu = F.relu) -> Tensor:
        return next(self.walk(x, (layer,), relu))[1]

    def _forward(self, x: Tensor, relu: Relu) -> Iterator[tuple[str, Tensor]]:
        x = F.conv2d(2 * x - 1, self.first, stride=2, padding=3)
        yield "edges", x
        x = F.conv2d(F.max_pool2d(relu(x), 2), self.second, padding=1)
        yield "shapes", x
        x = relu(x)
        narrow = F.conv2d(x, self.reduce)
        yield "things_bottleneck", narrow
        three = F.conv2d(relu(narrow), self.three, padding=1)
        x = torch.cat([F.conv2d(x, self.one), three], 1)
        yield "things", x
        yield "logits", F.conv2d(relu(x).mean((2, 3), keepdim=True), self.head)

    def path(self, layer: str) -> tuple[Window, ...]:
        windows = (Window(7, 2, 3), Window(2, 2, 0), Window(3, 1, 1), Window(3, 1, 1))
        return windows[: {"edges": 1, "shapes": 3, "things": 4}[layer]]
