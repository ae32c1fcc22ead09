"""One GoogLeNet, three dialects.

Szegedy et al., *Going deeper with convolutions* (2014), as torchvision, Caffe and Lucid trained
it: the same blocks with different normalization, padding, "5x5" kernels and input range. The
forward pass is our own, so that a layer is tapped before its ReLU and nothing beyond it is
computed. Parameters carry Distill's names (``mixed4c_5x5_bottleneck``) in every dialect.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atlas.models.alone import max_pool, normalized
from atlas.models.dialect import (
    BLOCKS,
    Dialect,
    bottlenecks_of,
    conv_shapes,
    layers_of,
)
from atlas.models.network import LOGITS, Relu, Window
from atlas.models.packed import PackedConvolution, can_pack, folded, folded_weight
from atlas.units import find_layer


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
        self._packed: dict[str, PackedConvolution] | None = None
        for conv in conv_shapes(dialect):
            if conv.endswith(("_1x1", "_bottleneck")):
                continue  # one convolution with its neighbours, below
            self._register(conv, state[f"{conv}.weight"], state[f"{conv}.bias"])
        for block in BLOCKS:
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
            if frozen.ndim == 4:
                frozen = frozen.contiguous(memory_format=torch.channels_last)
            self.register_buffer(f"{name}_{suffix}", frozen)

    def _width(self, name: str) -> int:
        """How many channels a convolution computes."""
        weight: Tensor = getattr(self, f"{name}_weight")
        return len(weight)

    def _conv(self, x: Tensor, name: str, stride: int = 1, padding: int = 0) -> Tensor:
        weight: Tensor = getattr(self, f"{name}_weight")
        bias: Tensor = getattr(self, f"{name}_bias")
        if not len(weight):  # a block whose channels asked for come from its pooling branch
            return x[:, :0]
        differentiated = torch.is_grad_enabled() and x.requires_grad
        # Folding a stride is for the gradient's sake; forward, in float32, it takes longer.
        plain = stride == 2 and x.dtype == torch.float32 and not differentiated
        if self._packed is None or plain:
            return F.conv2d(x, weight, bias, stride=stride, padding=padding)
        if stride == 2:
            x, padding = folded(x, weight.shape[2], padding), 0
        if name not in self._packed:
            weight = folded_weight(weight) if stride == 2 else weight
            self._packed[name] = PackedConvolution(weight, bias, x.shape, padding)
        return self._packed[name](x)

    def preprocess(self, x: Tensor) -> Tensor:
        """RGB in [0, 1], (B, 3, H, W), to the network's own input, channels last in memory.

        Everything after it keeps that order. On two CPU cores a forward and backward pass takes
        0.65 to 0.8 of the time from conv2d2 on: convolutions are spared a reordering and pooling
        is vectorized (benchmarks/throughput.py; PyTorch's pooling of channels first is not).
        """
        if self.dialect.bgr:
            x = x.flip(1)
        scale: Tensor = self._scale  # type: ignore[assignment]
        shift: Tensor = self._shift  # type: ignore[assignment]
        own: Tensor = self.head_weight  # type: ignore[assignment]
        return (x * scale + shift).to(own.dtype, memory_format=torch.channels_last)

    def fitted(
        self, dtype: torch.dtype, layer: str = "", channels: Sequence[int] = ()
    ) -> GoogLeNet:
        """The same network in another precision, or with one layer reduced to some channels,
        its weights packed (`packed`).

        Images go in as they are and are brought to the network's input in float32.

        Args:
            dtype: of weights, activations and what is tapped.
            layer: canonical name. Its tap is (B, len(channels), H', W'); branches that none of
                them comes from are not computed, and nothing beyond the layer can be tapped.
                Without a name, all is there.
            channels: of that layer, ascending, each once.
        """
        twin = copy(self)
        twin._buffers, twin._parts = dict(self._buffers), dict(self._parts)
        twin._packed = {} if can_pack(self.device) else None
        if layer in self._parts:
            twin._keep_of_block(layer, channels)
        elif layer:
            twin._keep(layer, channels)
        for name, value in twin._buffers.items():
            if value is not None and name not in ("_scale", "_shift"):
                twin._buffers[name] = value.to(dtype)
        return twin

    def _keep(self, conv: str, rows: Sequence[int]) -> None:
        """Drop all output channels of a convolution but these."""
        for suffix in ("weight", "bias"):
            value: Tensor = getattr(self, f"{conv}_{suffix}")
            self._buffers[f"{conv}_{suffix}"] = value[
                torch.tensor(rows, device=value.device).long()
            ]

    def _keep_of_block(self, name: str, channels: Sequence[int]) -> None:
        """Drop all output channels of a block but these, and what only the others need."""
        one, three, five = self._parts[name]
        branches = find_layer(name, self.layers).branches
        kept = [[c - b.start for c in channels if b.start <= c < b.stop] for b in branches]
        for part, rows in zip(("3x3", "5x5", "pool_reduce"), kept[1:], strict=True):
            self._keep(f"{name}_{part}", rows)
        threes = range(one, one + three) if kept[1] else ()
        fives = range(one + three, one + three + five) if kept[2] else ()
        self._keep(f"{name}_ones", [*kept[0], *threes, *fives])
        self._parts[name] = [len(kept[0]), len(threes), len(fives)]

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
        for block in BLOCKS:
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
        parts = [one]
        if self._width(f"{name}_3x3"):
            parts.append(self._conv(relu(three), f"{name}_3x3", padding=1))
        if self._width(f"{name}_5x5"):
            parts.append(self._conv(relu(five), f"{name}_5x5", padding=self.dialect.five // 2))
        if self._width(f"{name}_pool_reduce"):
            parts.append(self._conv(max_pool(x, 3, 1, 1), f"{name}_pool_reduce"))
        yield name, torch.cat(parts, dim=1)

    def _pool(self, x: Tensor, kernel: int = 3) -> Tensor:
        if self.dialect.tensorflow_padding:
            x = F.pad(x, (0, 1, 0, 1), value=float("-inf"))
            return max_pool(x, kernel, 2)
        return max_pool(x, kernel, 2, ceil_mode=True)

    def _norm(self, x: Tensor) -> Tensor:
        if self.dialect.lrn is None:
            return x
        return normalized(x, *self.dialect.lrn)

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
        for block in BLOCKS:
            if block == "4a":
                windows.append(pool)
            elif block == "5a":
                windows.append(Window(self.dialect.last_pool, 2, 0))
            windows.append(Window(self.dialect.five, 1, self.dialect.five // 2))
            if name == f"mixed{block}":
                break
        return tuple(windows)
