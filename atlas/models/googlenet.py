"""One GoogLeNet, three dialects.

Szegedy et al., *Going deeper with convolutions* (2014), as torchvision, Caffe and Lucid trained
it: the same blocks with different normalization, padding, "5x5" kernels and input range. The
forward pass is our own, so that a layer is tapped before its ReLU and nothing beyond it is
computed. Parameters carry Distill's names (``mixed4c_5x5_bottleneck``) in every dialect.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atlas.models.lrn import local_response_norm
from atlas.models.network import LOGITS, Relu, Window
from atlas.units import Branch, Layer, find_layer

STEM = ("conv2d0", "conv2d1", "conv2d2")
_BLOCKS = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")

# Output widths of a block: 1x1, 3x3 bottleneck, 3x3, 5x5 bottleneck, 5x5, pool projection
# (Szegedy et al. 2014, table 1).
_WIDTHS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


@dataclass(frozen=True)
class Dialect:
    """What differs between trained GoogLeNets (DESIGN §6).

    `scale` and `shift` map RGB in [0, 1] to the network's own input, ``scale * x + shift`` per
    channel of the *network's* order; `bgr` flips the channels first. `naming` is whose names the
    weights files use, `view` how photographs are brought to size (short side, centre crop).
    """

    name: str
    naming: Literal["torchvision", "caffe", "lucid"]
    classes: int
    scale: tuple[float, float, float]
    shift: tuple[float, float, float]
    bgr: bool = False
    five: int = 5
    lrn: tuple[int, float, float] | None = None  # size, alpha, beta; k is 1
    tensorflow_padding: bool = False
    last_pool: int = 3
    view: tuple[int, int] = (256, 224)
    widths: Mapping[str, tuple[int, int, int, int, int, int]] = field(
        default_factory=lambda: dict(_WIDTHS)
    )


TORCHVISION = Dialect(
    "googlenet", "torchvision", 1000, scale=(2.0,) * 3, shift=(-1.0,) * 3, five=3, last_pool=2
)
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, as torchvision has them
MINI = replace(
    TORCHVISION,
    name="googlenet-mini",
    classes=200,
    scale=(1 / _STD[0], 1 / _STD[1], 1 / _STD[2]),
    shift=(-_MEAN[0] / _STD[0], -_MEAN[1] / _STD[1], -_MEAN[2] / _STD[2]),
    view=(64, 64),
)
CAFFE = Dialect(
    "googlenet-bvlc",
    "caffe",
    1000,
    scale=(255.0,) * 3,
    shift=(-104.0, -117.0, -123.0),
    bgr=True,
    lrn=(5, 1e-4, 0.75),
)
LUCID = Dialect(
    "inceptionv1",
    "lucid",
    1008,
    scale=(255.0,) * 3,
    shift=(-117.0,) * 3,
    lrn=(9, 9.99999974738e-05, 0.5),
    tensorflow_padding=True,
    widths=_WIDTHS | {"4a": (192, 96, 204, 16, 48, 64), "5a": (256, 160, 320, 48, 128, 128)},
)


def layers_of(dialect: Dialect) -> tuple[Layer, ...]:
    """The twelve layers with their branches and the names other libraries give them."""
    stem = [
        Layer("conv2d0", (Branch("7x7", 0, 64),), ("conv1", "conv1/7x7_s2")),
        Layer("conv2d1", (Branch("1x1", 0, 64),), ("conv2", "conv2/3x3_reduce")),
        Layer("conv2d2", (Branch("3x3", 0, 192),), ("conv3", "conv2/3x3")),
    ]
    mixed = []
    for block in _BLOCKS:
        one, _, three, _, five, pool = dialect.widths[block]
        branches, start = [], 0
        for name, width in zip(
            ("1x1", "3x3", "5x5", "pool"), (one, three, five, pool), strict=True
        ):
            branches.append(Branch(name, start, start + width))
            start += width
        aliases = (f"inception{block}", f"inception_{block}", f"inception_{block}/output")
        mixed.append(Layer(f"mixed{block}", tuple(branches), aliases))
    return (*stem, *mixed)


def bottlenecks_of(dialect: Dialect) -> tuple[Layer, ...]:
    """The 1x1 reductions inside the blocks: tapped like layers, but not shown in an atlas."""
    found = []
    for block in _BLOCKS:
        _, three, _, five, _, _ = dialect.widths[block]
        for part, width, number in (("3x3", three, 2), ("5x5", five, 3)):
            aliases = (f"inception{block}.branch{number}.0", f"inception_{block}/{part}_reduce")
            branch = Branch(f"{part}_bottleneck", 0, width)
            found.append(Layer(f"mixed{block}_{part}_bottleneck", (branch,), aliases))
    return tuple(found)


def conv_shapes(dialect: Dialect) -> dict[str, tuple[int, int, int, int]]:
    """Weight shape (out, in, kh, kw) of every convolution, by Distill's name, in order."""
    shapes = {
        "conv2d0": (64, 3, 7, 7),
        "conv2d1": (64, 64, 1, 1),
        "conv2d2": (192, 64, 3, 3),
    }
    channels = 192
    for block in _BLOCKS:
        one, three_in, three, five_in, five, pool = dialect.widths[block]
        name = f"mixed{block}"
        shapes[f"{name}_1x1"] = (one, channels, 1, 1)
        shapes[f"{name}_3x3_bottleneck"] = (three_in, channels, 1, 1)
        shapes[f"{name}_3x3"] = (three, three_in, 3, 3)
        shapes[f"{name}_5x5_bottleneck"] = (five_in, channels, 1, 1)
        shapes[f"{name}_5x5"] = (five, five_in, dialect.five, dialect.five)
        shapes[f"{name}_pool_reduce"] = (pool, channels, 1, 1)
        channels = one + three + five + pool
    return shapes


class GoogLeNet(nn.Module):
    """A trained GoogLeNet in one of its dialects; parameters are frozen, float32.

    Args:
        dialect: which GoogLeNet this is.
        state: Distill-named parameters, ``NAME.weight`` and ``NAME.bias`` of every convolution in
            `conv_shapes`, and ``head.weight``, ``head.bias``; BatchNorm already folded in.
        weights_sha256: digest of the file they came from.
        labels: class names, or none.
        class_ids: their WordNet ids, or none.
    """

    def __init__(
        self,
        dialect: Dialect,
        state: dict[str, Tensor],
        weights_sha256: str = "",
        labels: Sequence[str] = (),
        name: str | None = None,
        class_ids: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.name = name or dialect.name
        self.dialect = dialect
        self.weights_sha256 = weights_sha256
        self.labels = tuple(labels)
        self.class_ids = tuple(class_ids)
        self.layers = layers_of(dialect)
        self.bottlenecks = bottlenecks_of(dialect)
        self.view = dialect.view
        self.classes = int(state["head.bias"].shape[0])
        self._parts: dict[str, list[int]] = {}
        for conv in conv_shapes(dialect):
            if conv.endswith(("_1x1", "_bottleneck")):
                continue  # one convolution with its neighbours, below
            self._register(conv, state[f"{conv}.weight"], state[f"{conv}.bias"])
        for block in _BLOCKS:
            names = [f"mixed{block}_{p}" for p in ("1x1", "3x3_bottleneck", "5x5_bottleneck")]
            weights = [state[f"{n}.weight"] for n in names]
            self._parts[f"mixed{block}"] = [len(w) for w in weights]
            bias = torch.cat([state[f"{n}.bias"] for n in names])
            self._register(f"mixed{block}_ones", torch.cat(weights), bias)
        self._register("head", state["head.weight"], state["head.bias"])
        scale, shift = torch.tensor(dialect.scale), torch.tensor(dialect.shift)
        self.register_buffer("_scale", scale.view(1, 3, 1, 1), persistent=False)
        self.register_buffer("_shift", shift.view(1, 3, 1, 1), persistent=False)
        self.eval()

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self._scale.device  # type: ignore[return-value]

    def _register(self, name: str, weight: Tensor, bias: Tensor) -> None:
        for suffix, value in (("weight", weight), ("bias", bias)):
            frozen = value.detach().to(torch.float32).contiguous()
            self.register_buffer(f"{name}_{suffix}", frozen)

    def _conv(self, x: Tensor, name: str, stride: int = 1, padding: int = 0) -> Tensor:
        weight: Tensor = getattr(self, f"{name}_weight")
        bias: Tensor = getattr(self, f"{name}_bias")
        return F.conv2d(x, weight, bias, stride=stride, padding=padding)

    def preprocess(self, x: Tensor) -> Tensor:
        """RGB in [0, 1], (B, 3, H, W), to the network's own input."""
        if self.dialect.bgr:
            x = x.flip(1)
        scale: Tensor = self._scale  # type: ignore[assignment]
        shift: Tensor = self._shift  # type: ignore[assignment]
        return x * scale + shift

    def taps(self, x: Tensor, layer: str, relu: Relu = F.relu) -> Tensor:
        """Pre-ReLU activations of one layer; nothing beyond it is computed.

        Args:
            x: (B, 3, H, W), RGB in [0, 1], H and W from 32.
            layer: canonical name or alias of a layer or a bottleneck, or ``logits``.
            relu: the rectifier used *below* the layer (a hook for redirected gradients).

        Returns:
            (B, C, H', W') before the ReLU, branches concatenated in the order 1x1, 3x3, 5x5, pool;
            logits are (B, classes, 1, 1).

        Raises:
            UnitError: no such layer.
        """
        return next(self.walk(x, (layer,), relu))[1]

    def walk(
        self, x: Tensor, layers: Sequence[str], relu: Relu = F.relu
    ) -> Iterator[tuple[str, Tensor]]:
        """Taps of several layers from one forward pass, in network order; stops after the last.

        Yields:
            (canonical name, pre-ReLU (B, C, H', W')).
        """
        wanted = {self._tap_name(name) for name in layers}
        for name, pre in self._forward(self.preprocess(x), relu):
            if name in wanted:
                wanted.discard(name)
                yield name, pre
            if not wanted:
                return

    def logits(self, x: Tensor) -> Tensor:
        """Pre-softmax class scores (B, classes) for x (B, 3, H, W), RGB in [0, 1]."""
        return self.taps(x, LOGITS).flatten(1)

    forward = logits

    def _tap_name(self, name: str) -> str:
        if name == LOGITS:
            return name
        return find_layer(name, (*self.layers, *self.bottlenecks)).name

    def _forward(self, x: Tensor, relu: Relu) -> Iterator[tuple[str, Tensor]]:
        """Every layer in turn, lazily: the caller stops asking and the rest is never computed."""
        dialect = self.dialect
        if dialect.tensorflow_padding:
            pre = self._conv(F.pad(x, (2, 3, 2, 3)), "conv2d0", stride=2)
        else:
            pre = self._conv(x, "conv2d0", stride=2, padding=3)
        yield "conv2d0", pre
        x = self._norm(self._pool(relu(pre)))
        pre = self._conv(x, "conv2d1")
        yield "conv2d1", pre
        pre = self._conv(relu(pre), "conv2d2", padding=1)
        yield "conv2d2", pre
        x = self._pool(self._norm(relu(pre)))
        for block in _BLOCKS:
            if block == "4a":
                x = self._pool(x)
            elif block == "5a":
                x = self._pool(x, dialect.last_pool)
            for name, pre in self._mixed(x, f"mixed{block}", relu):
                yield name, pre
            x = relu(pre)
        pooled = x.mean((2, 3))
        head = F.linear(pooled, self.head_weight, self.head_bias)  # type: ignore[arg-type]
        yield LOGITS, head[:, :, None, None]

    def _mixed(self, x: Tensor, name: str, relu: Relu) -> Iterator[tuple[str, Tensor]]:
        """A block's bottlenecks, and last the block itself."""
        # The three 1x1 convolutions that read the block's input are one wider convolution.
        one, three, five = torch.split(self._conv(x, f"{name}_ones"), self._parts[name], dim=1)
        yield f"{name}_3x3_bottleneck", three
        yield f"{name}_5x5_bottleneck", five
        three = self._conv(relu(three), f"{name}_3x3", padding=1)
        five = self._conv(relu(five), f"{name}_5x5", padding=self.dialect.five // 2)
        pool = self._conv(F.max_pool2d(x, 3, stride=1, padding=1), f"{name}_pool_reduce")
        yield name, torch.cat((one, three, five, pool), dim=1)

    def _pool(self, x: Tensor, kernel: int = 3) -> Tensor:
        if self.dialect.tensorflow_padding:
            x = F.pad(x, (0, 1, 0, 1), value=float("-inf"))
            return F.max_pool2d(x, kernel, stride=2)
        return F.max_pool2d(x, kernel, stride=2, ceil_mode=True)

    def _norm(self, x: Tensor) -> Tensor:
        if self.dialect.lrn is None:
            return x
        return local_response_norm(x, *self.dialect.lrn)

    def path(self, layer: str) -> tuple[Window, ...]:
        """Kernel, stride and leading padding of every window on the widest path to a layer."""
        name = find_layer(layer, self.layers).name
        pool = Window(3, 2, 0)
        windows = [Window(7, 2, 2 if self.dialect.tensorflow_padding else 3)]
        if name == "conv2d0":
            return tuple(windows)
        windows.append(pool)
        if name == "conv2d1":
            return tuple(windows)
        windows.append(Window(3, 1, 1))
        if name == "conv2d2":
            return tuple(windows)
        windows.append(pool)
        for block in _BLOCKS:
            if block == "4a":
                windows.append(pool)
            elif block == "5a":
                windows.append(Window(self.dialect.last_pool, 2, 0))
            windows.append(Window(self.dialect.five, 1, self.dialect.five // 2))
            if name == f"mixed{block}":
                break
        return tuple(windows)
