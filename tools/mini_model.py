"""The network that `train_mini.py` trains: how it starts, is measured, saved and read again."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torchvision.models import googlenet
from torchvision.models.googlenet import BasicConv2d

from atlas.errors import ModelError, OutputError, WorkError
from atlas.models.dialect import TORCHVISION
from atlas.models.weights import convert, read_state

SMALLEST = 32
"""Smallest side in pixels: five halvings leave mixed5b one position."""

# ImageNet's mean and standard deviation per channel, RGB in [0, 1] (torchvision's transforms).
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Score:
    """Share of images whose class is the network's first guess, and among its first five."""

    top1: float
    top5: float
    images: int

    def __str__(self) -> str:
        return (
            f"top-1 {100 * self.top1:.2f} %, top-5 {100 * self.top5:.2f} % "
            f"on {self.images:,} images"
        )


def new_network(classes: int, dropout: float = 0.1) -> nn.Module:
    """An untrained GoogLeNet in torchvision's layout, without auxiliary heads.

    Convolutions start as He et al. 2015 (arXiv 1502.01852, §2.2) propose, by fan-out: the variance
    of the gradient then survives the 22 layers. The head starts small, so that the first loss is
    ln(classes).
    """
    model: nn.Module = googlenet(
        weights=None, aux_logits=False, num_classes=classes, init_weights=False, dropout=dropout
    )
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)
    return model


def to_rgb(images: Tensor) -> Tensor:
    """Bytes (B, H, W, 3) to RGB in [0, 1], (B, 3, H, W); in channels-last memory as they lie."""
    return images.permute(0, 3, 1, 2).float() / 255


def normalize(x: Tensor) -> Tensor:
    """RGB in [0, 1] to the network's own input: ImageNet's mean and deviation per channel."""
    return (x - x.new_tensor(_MEAN).view(1, 3, 1, 1)) / x.new_tensor(_STD).view(1, 3, 1, 1)


def clean_batch(images: Tensor, size: int) -> Tensor:
    """Bytes (B, H, W, 3) to the network's input (B, 3, size, size), nothing augmented."""
    x = to_rgb(images)
    if x.shape[-1] != size:
        x = F.interpolate(x, (size, size), mode="bilinear", antialias=True, align_corners=False)
    return normalize(x)


@torch.no_grad()
def evaluate(
    model: nn.Module, images: Tensor, labels: Tensor, size: int, batch: int = 250
) -> Score:
    """Top-1 and top-5 accuracy of `model` on bytes (N, H, W, 3), in evaluation mode."""
    model.eval()
    device = next(model.parameters()).device
    first = five = 0
    for part, wanted in zip(torch.split(images, batch), torch.split(labels, batch), strict=True):
        logits = model(clean_batch(part.to(device), size))
        guesses = logits.topk(min(5, logits.shape[1]), dim=1).indices
        hits = guesses == wanted.to(device)[:, None]
        first += int(hits[:, 0].sum())
        five += int(hits.any(1).sum())
    return Score(first / len(images), five / len(images), len(images))


@torch.no_grad()
def recompute_batchnorm(
    model: nn.Module,
    images: Tensor,
    size: int,
    *,
    batch: int = 128,
    count: int = 16_000,
    seed: int = 0,
) -> None:
    """BatchNorm's means and variances measured again, on clean images and the final weights.

    The running averages of training describe noisy, cropped images and weights that have since
    moved; with 7 epochs that costs almost two points of accuracy. Every batch counts the same.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [m.momentum for m in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # PyTorch's word for a plain average over all batches
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(images), generator=generator)[:count]
    batch = min(batch, len(chosen))
    model.train()
    for part in torch.split(chosen[: len(chosen) // batch * batch], batch):
        model(clean_batch(images[part.to(images.device)].to(device), size))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()


@torch.no_grad()
def fit_float16(model: nn.Module) -> None:
    """Scale channels whose BatchNorm statistics float16 cannot hold; the function stays the same.

    BatchNorm undoes any scale of its convolution, so nothing in training bounds it: short runs at
    the full learning rate end with variances beyond 65,504. Such a channel's weights and mean are
    divided by a power of two, its variance by the square, which is exact but for BatchNorm's eps.
    """
    for block in model.modules():
        if isinstance(block, BasicConv2d):
            mean, variance = block.bn.running_mean, block.bn.running_var
            spread = torch.maximum(variance.sqrt(), mean.abs() / 128)
            scale = torch.exp2((spread / 128).clamp(min=1).log2().ceil())
            block.conv.weight /= scale[:, None, None, None]
            mean /= scale
            variance /= scale**2


def save_network(
    model: nn.Module,
    path: Path,
    classes: Sequence[str],
    labels: Sequence[str],
    size: int,
    score: Score | None = None,
) -> None:
    """Write the parameters as float16 safetensors, whole or not at all.

    The metadata names the classes (as the dataset does) and their labels in words, both JSON
    lists in class order, the layout, the input, and the accuracy where it was measured.

    Raises:
        OutputError: it cannot be written there.
        WorkError: a parameter does not fit float16, which only a diverged run brings about.
    """
    state = {}
    for key, value in model.state_dict().items():
        if key.endswith("num_batches_tracked"):
            continue
        state[key] = value.detach().to("cpu", torch.float16).contiguous()
        if not bool(torch.isfinite(state[key]).all()):
            raise WorkError(f"{key!r} has values beyond float16: the training diverged")
    metadata = {
        "classes": json.dumps(list(classes)),
        "labels": json.dumps(list(labels), ensure_ascii=False),
        "model": "GoogLeNet, torchvision layout (BatchNorm eps 1e-3, aux_logits=False, "
        f"num_classes={len(classes)}), float16",
        "input": "RGB in [0,1], ImageNet mean .485 .456 .406 / std .229 .224 .225, "
        f"{size}x{size} (any size from {SMALLEST})",
    }
    if score is not None:
        metadata |= {"top1": f"{score.top1:.4f}", "top5": f"{score.top5:.4f}"}
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(save(state, metadata))
        partial.replace(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def load_network(path: Path) -> tuple[nn.Module, tuple[str, ...]]:
    """A network saved by `save_network`, in float32 and evaluation mode, and its class names.

    The names are empty where the file's metadata has none.

    Raises:
        ModelError: missing, damaged, or not a GoogLeNet in torchvision's layout.
    """
    state = read_state(path)
    convert(state, TORCHVISION, str(path))  # for its checks: names, shapes, finite values
    model = new_network(len(state["fc.bias"]))
    model.load_state_dict({k: v.float() for k, v in state.items()}, strict=False)
    return model.eval(), _class_names(path, len(state["fc.bias"]))


def _class_names(path: Path, count: int) -> tuple[str, ...]:
    if path.suffix != ".safetensors":
        return ()
    with safe_open(path, framework="pt") as file:
        text = (file.metadata() or {}).get("classes")
    if text is None:
        return ()
    try:
        names = json.loads(text)
    except ValueError as error:
        raise ModelError(f"{path}: its metadata's classes are not a JSON list") from error
    if not isinstance(names, list) or len(names) != count:
        raise ModelError(f"{path}: its metadata does not name {count} classes")
    return tuple(map(str, names))
