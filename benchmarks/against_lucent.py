"""Positive renders beside torch-lucent's, at its defaults, on the same network.

    python benchmarks/against_lucent.py --weights googlenet-bvlc.safetensors

For units drawn at random over all layers, both make one image of the same size in the same number
of steps. torch-lucent gets what it gets from its own networks: a module to hook whose output is
the layer after its ReLU, and its defaults otherwise (`render_vis(model, "layer:channel")`,
Fourier parameterization, its standard transforms, Adam at 0.05). One evaluator judges both finished
8-bit images: the `positive` score, mean over space of ReLU(a), and the share of values ≤ 3 or
≥ 252. Times are of whole renders, one image each, side by side on this machine.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import platform
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import atlas
from atlas.models.googlenet import GoogLeNet
from atlas.optvis.achieved import saturation
from atlas.optvis.optimize import optimize
from atlas.optvis.parameterize import from_uint8, to_uint8
from atlas.optvis.recipe import Recipe
from atlas.optvis.subject import renders_of
from atlas.units import Unit, find_layer

warnings.filterwarnings("ignore")


class Hookable(nn.Module):
    """A network cut off at one layer, whose rectified output a hook can see."""

    def __init__(self, network: GoogLeNet, layer: str) -> None:
        super().__init__()
        self._network = [network]  # in a list, so that lucent does not descend into it
        self._layer = layer
        self.add_module(layer, nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        taps = self._network[0].taps(x, self._layer)
        result: Tensor = getattr(self, self._layer)(torch.relu(taps))
        return result


def lucent_image(network: GoogLeNet, unit: Unit, size: int, steps: int, seed: int) -> Tensor:
    """One image by torch-lucent, (1, S, S, 3) uint8."""
    from lucent.optvis import param, render

    np.random.seed(seed)  # what lucent draws from
    torch.manual_seed(seed)
    model = Hookable(network, unit.layer).to(network.device).eval()
    with contextlib.redirect_stderr(io.StringIO()):
        (image,) = render.render_vis(
            model,
            str(unit),
            param_f=lambda: param.image(size),
            thresholds=(steps,),
            preprocess=False,  # the network takes RGB in [0, 1] itself
            progress=False,
            show_image=False,
        )
    return to_uint8(torch.from_numpy(image).permute(0, 3, 1, 2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="googlenet-bvlc")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--units", type=int, default=24)
    parser.add_argument("--layers", help="comma list; default: all")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    network = atlas.load_model(options.model, options.weights)
    if torch.cuda.is_available():
        network.to("cuda")
    rng = np.random.default_rng(options.seed)
    wanted = options.layers.split(",") if options.layers else [la.name for la in network.layers]
    chosen = [find_layer(name, network.layers) for name in wanted]
    layers = [chosen[i % len(chosen)] for i in range(options.units)]
    units = sorted(Unit(layer.name, int(rng.integers(layer.channels))) for layer in layers)
    recipe = Recipe(size=options.size, steps=options.steps)

    def judge(image: Tensor, unit: Unit) -> tuple[float, float]:
        with torch.inference_mode():
            taps = network.taps(from_uint8(image.to(network.device)), unit.layer)
        return float(taps[0, unit.index].relu().mean()), float(saturation(image)[0])

    print(f"{'unit':14} {'ours':>9} {'lucent':>9} {'ratio':>6}  saturated   seconds")
    rows = []
    for number, unit in enumerate(units):
        start = time.perf_counter()
        (ours,) = optimize(network, renders_of(unit, ("positive",)), recipe, network.device)
        middle = time.perf_counter()
        theirs = lucent_image(network, unit, options.size, options.steps, number)
        end = time.perf_counter()
        score, saturated = judge(torch.from_numpy(ours.image)[None], unit)
        peer, peer_saturated = judge(theirs, unit)
        ratio = score / peer if peer else float("inf")
        rows.append((ratio, saturated, peer_saturated, middle - start, end - middle))
        print(
            f"{unit!s:14} {score:9.2f} {peer:9.2f} {ratio:6.2f}"
            f"  {saturated:4.1%} {peer_saturated:5.1%}  {middle - start:5.1f} {end - middle:5.1f}",
            flush=True,
        )
    ratio, saturated, peer_saturated, seconds, peer_seconds = np.array(rows).T
    print(
        f"\nhigher in {np.mean(ratio > 1):.0%} of {len(rows)}; median ratio {np.median(ratio):.2f}"
    )
    print(f"median saturation {np.median(saturated):.1%}, lucent's {np.median(peer_saturated):.1%}")
    print(f"lucent takes {np.median(peer_seconds / seconds):.1f} times as long (median)")
    print(
        f"channel-atlas {atlas.__version__}, torch {torch.__version__}, "
        f"python {platform.python_version()}, {network.device.type}, "
        f"{options.size} px, {options.steps} steps, seed {options.seed}"
    )


if __name__ == "__main__":
    main()
