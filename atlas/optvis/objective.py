"""What a render maximizes: vectorized over a batch in which every image has its own channel.

`a` is the pre-ReLU activation of the render's channel (DESIGN §2):

    positive, diverse   mean over space of ReLU(a)
    negative            mean over space of ReLU(−a)
    neuron              a at the centre position

While an image is being jittered, the position that counts for `neuron` is the one nearest to
where its centre has moved: otherwise the first layers, whose fields are smaller than the jitter,
would see a smear of all the places the centre has been.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from atlas.models.network import Relu
from atlas.optvis.recipe import Render


class Objective:
    """The objectives of a batch of renders of one layer."""

    def __init__(self, renders: Sequence[Render], device: torch.device | str = "cpu") -> None:
        self._rows = torch.arange(len(renders), device=device)
        self._channels = torch.tensor([r.unit.index for r in renders], device=device)
        sign = [-1.0 if r.kind == "negative" else 1.0 for r in renders]
        self._sign = torch.tensor(sign, device=device)
        self._neuron = torch.tensor([r.kind == "neuron" for r in renders], device=device)

    def __call__(self, taps: Tensor, relu: Relu = F.relu, theta: Tensor | None = None) -> Tensor:
        """Objective of each image, (B,), to be maximized.

        Args:
            taps: pre-ReLU (B, C, H, W).
            relu: the rectifier of the objective itself.
            theta: (B, 2, 3), the affine map (output to input) each image was warped by, if any.
        """
        a = taps[self._rows, self._channels]
        spread = relu(a * self._sign[:, None, None]).mean((1, 2))
        y, x = a.shape[1] // 2, a.shape[2] // 2
        if theta is None:
            return torch.where(self._neuron, a[:, y, x], spread)
        dx, dy = moved_centre(theta).unbind(1)
        rows = (y + dy * a.shape[1] / 2).round().long().clamp(0, a.shape[1] - 1)
        columns = (x + dx * a.shape[2] / 2).round().long().clamp(0, a.shape[2] - 1)
        return torch.where(self._neuron, a[self._rows, rows, columns], spread)

    def score(self, taps: Tensor) -> Tensor:
        """What is reported, (B,): the objective, with a minus sign for `negative`."""
        return self(taps) * self._sign


def moved_centre(theta: Tensor) -> Tensor:
    """Where the centre of an image lies after a warp, (B, 2) as (x, y) from −1 to 1.

    The map theta = [M | t] takes output to input, p ↦ Mp + t, so the centre, 0 in the input, is
    at −M⁻¹t in the output.
    """
    (a, b), (c, d) = theta[:, 0, :2].unbind(1), theta[:, 1, :2].unbind(1)
    tx, ty = theta[:, :, 2].unbind(1)
    determinant = a * d - b * c
    return torch.stack([b * ty - d * tx, c * tx - a * ty], dim=1) / determinant[:, None]


def gram_cosine(taps: Tensor) -> Tensor:
    """Cosine similarity of Gram matrices between the images of each group.

    Gᵢ = AᵢAᵢᵀ over space for Aᵢ (C, N). ⟨Gᵢ, Gⱼ⟩ = ‖AᵢᵀAⱼ‖²_F, so whichever product is smaller
    is formed: C × C, or N × N per pair.

    Args:
        taps: (G, K, C, H, W), K images in each of G groups.

    Returns:
        (G, K, K), ones on the diagonal.
    """
    a = taps.flatten(3)
    groups, images, channels, positions = a.shape
    a = a / a.flatten(2).norm(dim=2).clamp(min=1e-12)[:, :, None, None]
    if positions < channels:
        flat = a.transpose(2, 3).reshape(groups, images * positions, channels)
        products = flat @ flat.transpose(1, 2)
        blocks = products.view(groups, images, positions, images, positions)
        inner = blocks.square().sum((2, 4))
    else:
        gram = (a @ a.transpose(2, 3)).flatten(2)
        inner = gram @ gram.transpose(1, 2)
    norm = inner.diagonal(dim1=1, dim2=2).clamp(min=1e-24).sqrt()
    cosines: Tensor = inner / (norm[:, :, None] * norm[:, None, :])
    return cosines
