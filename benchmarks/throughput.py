"""Image-steps a second by layer, batch, size and precision, beside the bare network's.

    python benchmarks/throughput.py --weights googlenet-bvlc.safetensors

The bare pass is what no render can do without: forward through the network cut off at the layer and
back to the image with all of the layer's channels and nothing else; `bare` in the same precision
and with weights packed as ours are, `loaded` by the network as `load_model` gives it, in float32.
A step of ours is what more steps of a batch of positive renders take more: parameterization,
transforms, penalties and optimizer included, set-up and scores at the end not, nor the first 16
steps, whose ReLUs are redirected. All are measured in turn, and ratios taken round by round; `a
second`, images and steps; times, an image and a step; `ratio`, ours over what stands before it;
`peak`, the share of the device's matrix product, measured here in the same precision and with as
many threads, that the floating-point operations of the cut network (forward, and as many back to
the image) come to.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

import atlas
from atlas.memory import keep_freed_memory
from atlas.models.googlenet import GoogLeNet
from atlas.optvis.optimize import optimize
from atlas.optvis.precision import arithmetic
from atlas.optvis.recipe import PrecisionName, Recipe
from atlas.optvis.subject import renders_of
from atlas.units import Unit, find_layer

LAYERS = "conv2d0,conv2d2,mixed3b,mixed4c,mixed5b"


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Of wall clock, until the device has done it."""
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def product_peak(dtype: torch.dtype, device: torch.device) -> float:
    """Floating-point operations a second of a large matrix product, at best of five."""
    side = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    return 2 * side**3 / min(seconds(lambda: a @ b, device) for _ in range(6))


def operations(network: GoogLeNet, layer: str, size: int) -> int:
    """Of a forward pass of one image to a layer, and of one back."""
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        network.taps(torch.zeros(1, 3, size, size, device=network.device), layer)
    return 2 * int(counter.get_total_flops())


def bare(network: GoogLeNet, layer: str, batch: int, size: int, steps: int) -> float:
    """Seconds of a forward pass and one back to the image."""
    x = torch.rand(batch, 3, size, size, device=network.device, requires_grad=True)
    rows = torch.arange(batch, device=network.device)

    def work() -> None:
        for _ in range(steps):
            taps = network.taps(x, layer)[rows, rows]
            torch.autograd.grad(taps.relu().mean((1, 2)).sum(), x)

    return seconds(work, network.device) / steps


def ours(network: GoogLeNet, layer: str, batch: int, recipe: Recipe, steps: int) -> float:
    """Seconds of a step."""
    renders = [r for n in range(batch) for r in renders_of(Unit(layer, n), ("positive",))]
    times = []
    for count in (recipe.redirect_steps + 2, recipe.redirect_steps + 2 + steps):
        some = Recipe(size=recipe.size, steps=count, precision=recipe.precision)
        times.append(
            seconds(lambda s=some: optimize(network, renders, s, network.device), network.device)
        )
    return (times[1] - times[0]) / steps


def row(network: GoogLeNet, layer: str, batch: int, recipe: Recipe, rounds: int) -> list[float]:
    """Milliseconds an image-step of ours, of the bare pass and of that of the network as loaded,
    and the ratios of ours to both: medians."""
    steps = max(8, 64 // batch)
    lowered = network.fitted(arithmetic(recipe.precision, network.device))
    bare(lowered, layer, batch, recipe.size, 1)
    measured = [
        (
            ours(network, layer, batch, recipe, steps),
            bare(lowered, layer, batch, recipe.size, steps),
            bare(network, layer, batch, recipe.size, steps),
        )
        for _ in range(rounds)
    ]
    mine, packed, loaded = np.array(measured).T * (1e3 / batch)
    columns = (mine, packed, loaded, mine / packed, mine / loaded)
    return [float(np.median(column)) for column in columns]


def numbers(text: str) -> list[int]:
    """A comma list."""
    return [int(part) for part in text.split(",")]


def names(text: str, network: GoogLeNet) -> Sequence[str]:
    """A comma list of layers."""
    return [find_layer(part, network.layers).name for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="googlenet-bvlc")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--layers", default=LAYERS)
    parser.add_argument("--batches", type=numbers, default=[2, 8], help="comma list")
    parser.add_argument("--sizes", type=numbers, default=[128], help="comma list")
    parser.add_argument("--precisions", default="float32,bfloat16")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    keep_freed_memory()
    network = atlas.load_model(options.model, options.weights)
    if torch.cuda.is_available():
        network.to("cuda")
    ratios = []
    for precision in options.precisions.split(","):
        name: PrecisionName = precision
        dtype = arithmetic(name, network.device)
        peak = product_peak(dtype, network.device)
        used = str(dtype).removeprefix("torch.")
        print(f"\n{precision}, computed in {used}: products {peak / 1e9:.0f} GFLOP/s")
        print("layer     batch  size   a second   ours ms: bare  ratio loaded  ratio   peak")
        for layer in names(options.layers, network):
            for size in options.sizes:
                work = operations(network, layer, size)
                for batch in options.batches:
                    recipe = Recipe(size=size, precision=name)
                    found = row(network, layer, batch, recipe, options.rounds)
                    mine, bare_ms, loaded_ms, *both = found
                    ratios.append(both)
                    share = work / (mine / 1e3) / peak
                    print(
                        f"{layer:9} {batch:5} {size:5}  {1e3 / mine:9.1f} {mine:6.2f} "
                        f"{bare_ms:9.2f} {both[0]:6.2f} {loaded_ms:6.2f} {both[1]:6.2f} "
                        f"{share:6.0%}",
                        flush=True,
                    )
    print()
    for what, ratio in zip(
        ("bare pass", "network as loaded"), zip(*ratios, strict=True), strict=True
    ):
        print(
            f"a step takes {np.median(ratio):.2f} times as long as the {what} "
            f"(median; {max(ratio):.2f} at most)"
        )
    print(
        f"channel-atlas {atlas.__version__}, torch {torch.__version__}, "
        f"python {platform.python_version()}, {network.device.type}, {os.cpu_count()} cores, "
        f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}, "
        f"{options.rounds} rounds"
    )


if __name__ == "__main__":
    main()
