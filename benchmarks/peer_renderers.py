"""How each library makes one image of a channel out of our networks, for `peers.py`.

All see the same network and end up with a finished 8-bit image, (S, S, 3). A peer is used as its
documentation shows and at its defaults but for size and steps: its own parameterization, transforms
and optimizer, and what it brings images to before the network sees them.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import atlas
from atlas.models.googlenet import GoogLeNet
from atlas.models.network import LOGITS
from atlas.optvis.optimize import optimize
from atlas.optvis.parameterize import to_uint8
from atlas.optvis.recipe import Recipe
from atlas.optvis.subject import renders_of
from atlas.units import Unit

Images = list[NDArray[np.uint8]]
Render = Callable[[GoogLeNet, Sequence[Unit], int, int], Images]
"""Images of units of one layer, of a size, in so many steps."""


class Hookable(nn.Module):
    """A network in which a hook can see the rectified output of one layer.

    Like any module, it computes all of the network; `cut` is a favour, which peers' users do not
    get: it ends at that layer.
    """

    def __init__(self, network: GoogLeNet, layer: str, cut: bool = False) -> None:
        super().__init__()
        self._network = [network]  # in a list, so that a peer does not descend into it
        self._layer, self._cut = layer, cut
        self.add_module(layer, nn.Identity())
        self.register_parameter("_somewhere", nn.Parameter(torch.zeros(1, device=network.device)))

    def forward(self, x: Tensor) -> Tensor:
        layers = (self._layer,) if self._cut else (self._layer, LOGITS)
        (_, taps), *_ = walked = list(self._network[0].walk(x, layers))
        seen: Tensor = getattr(self, self._layer)(torch.relu(taps))
        return seen if self._cut else walked[-1][1].flatten(1)


def together(network: GoogLeNet, units: Sequence[Unit], size: int, steps: int) -> Images:
    """Ours, as ``atlas build`` works: the units of a layer in one batch, batches side by side."""
    return [
        made.image for made in atlas.render(network, list(map(str, units)), size=size, steps=steps)
    ]


def alone(network: GoogLeNet, units: Sequence[Unit], size: int, steps: int) -> Images:
    """Ours, one image at a time."""
    return [image for unit in units for image in together(network, [unit], size, steps)]


def exact(network: GoogLeNet, units: Sequence[Unit], size: int, steps: int) -> Images:
    """Ours in one batch, in float32."""
    renders = [render for unit in units for render in renders_of(unit, ("positive",))]
    recipe = Recipe(size=size, steps=steps, precision="float32")
    return [result.image for result in optimize(network, renders, recipe, network.device)]


def lucent(
    network: GoogLeNet, units: Sequence[Unit], size: int, steps: int, cut: bool = False
) -> Images:
    """torch-lucent: `render_vis`; images below 224 px are brought to that for the network."""
    from lucent.optvis import param, render

    def one(unit: Unit) -> NDArray[np.uint8]:
        with contextlib.redirect_stderr(io.StringIO()):
            (image,) = render.render_vis(
                Hookable(network, unit.layer, cut).eval(),
                str(unit),
                param_f=lambda: param.image(size),
                thresholds=(steps,),
                preprocess=False,  # the network takes RGB in [0, 1] itself
                progress=False,
                show_image=False,
            )
        return _eight_bit(torch.from_numpy(image).permute(0, 3, 1, 2))

    return [one(unit) for unit in units]


def horama(network: GoogLeNet, units: Sequence[Unit], size: int, steps: int) -> Images:
    """Horama: `fourier`, which shows six crops of 224 px to the network at each step."""
    from horama import fourier

    def one(unit: Unit) -> NDArray[np.uint8]:
        def score(images: Tensor) -> Tensor:
            return network.taps(images, unit.layer)[:, unit.index].relu().mean()

        with contextlib.redirect_stderr(io.StringIO()):
            image, _ = fourier(
                score,
                total_steps=steps,
                image_size=size,
                values_range=(0.0, 1.0),
                device=str(network.device),
            )
        return _eight_bit(image.detach()[None])

    return [one(unit) for unit in units]


def dreamlens(network: GoogLeNet, units: Sequence[Unit], size: int, steps: int) -> Images:
    """DreamLens: `FeatureVisualizer.synthesize`."""
    from dreamlens import FeatureVisualizer
    from dreamlens.image_parameters import call_image_parameter

    def one(unit: Unit) -> NDArray[np.uint8]:
        visualizer = FeatureVisualizer(
            Hookable(network, unit.layer), quiet=True, device=network.device, normalize=False
        )
        parameter = visualizer.synthesize(
            unit.layer,
            width=size,
            height=size,
            iters=steps,
            custom_func=lambda outputs: -outputs[0][:, unit.index].mean(),
        )
        image = call_image_parameter(parameter, network.device).detach()
        return _eight_bit(image.reshape(1, 3, size, size).clamp(0, 1))

    return [one(unit) for unit in units]


RENDERERS: dict[str, tuple[Render, str | None]] = {
    "atlas": (together, None),
    "atlas-alone": (alone, None),
    "atlas-float32": (exact, None),
    "torch-lucent": (lucent, "torch-lucent"),
    "torch-lucent-cut": (partial(lucent, cut=True), "torch-lucent"),
    "horama": (horama, "horama"),
    "dreamlens": (dreamlens, "dreamlens"),
}
"""By name, with the distribution each needs."""


def installed(name: str) -> str:
    """The version of a renderer's library.

    Raises:
        PackageNotFoundError: it is not installed.
    """
    return version(RENDERERS[name][1] or "channel-atlas")


def _eight_bit(image: Tensor) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = to_uint8(image)[0].cpu().numpy()
    return pixels
