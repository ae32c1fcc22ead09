"""What pictures lose, and time gains, where the network's passes may be computed in bfloat16.

    python benchmarks/precision.py --weights googlenet-bvlc.safetensors

For units drawn at random over all layers, the same renders are made under two recipes that differ
in `precision` alone, from the same starts under the same transforms, in batches of one layer; and a
third time in float32 from another seed, for what chance alone does. All are judged in float32 as
finished 8-bit images. Numbers are medians over the units of one recipe's over the other's.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import atlas
from atlas.optvis.optimize import Rendered, optimize
from atlas.optvis.precision import arithmetic
from atlas.optvis.recipe import Recipe
from atlas.optvis.subject import Render, renders_of
from atlas.units import Unit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="googlenet-bvlc")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--units", type=int, default=3, help="of each layer")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheet", type=Path, help="write the pictures: float32, bfloat16, chance")
    options = parser.parse_args()
    network = atlas.load_model(options.model, options.weights)
    rng = np.random.default_rng(options.seed)
    exact = Recipe(size=options.size, steps=options.steps, precision="float32")
    rounded = replace(exact, precision="bfloat16")
    used = str(arithmetic("bfloat16", network.device)).removeprefix("torch.")
    print(f"{'layer':9} {'time':>5}  score, bfloat16 / float32      score, other seed / float32")
    everything: list[list[Rendered[Render]]] = [[], [], []]
    times, rows = [], []
    for layer in network.layers:
        chosen = rng.choice(layer.channels, options.units, replace=False)
        units = [Unit(layer.name, int(channel)) for channel in chosen]
        renders = [r for unit in units for r in renders_of(unit, ("positive",))]
        others = [r for unit in units for r in renders_of(unit, ("positive",), base=1)]
        made, seconds = [], []
        for recipe, wanted in ((exact, renders), (rounded, renders), (exact, others)):
            start = time.process_time()
            made.append(optimize(network, wanted, recipe, network.device))
            seconds.append(time.process_time() - start)
        for kept, results in zip(everything, made, strict=True):
            kept += results
        times.append(seconds[1] / seconds[0])
        ratios = [
            [r.activation / e.activation for e, r in zip(made[0], m, strict=True)] for m in made[1:]
        ]
        texts = ["  ".join(f"{ratio:5.3f}" for ratio in row) for row in ratios]
        print(f"{layer.name:9} {times[-1]:5.2f}  {texts[0]:28}  {texts[1]}", flush=True)
        if options.sheet:
            rows += [np.concatenate([r.image for r in results], 1) for results in made]

    base = everything[0]
    for name, results in (("bfloat16", everything[1]), ("other seed", everything[2])):
        pairs = list(zip(base, results, strict=True))
        score = [r.activation / e.activation for e, r in pairs]
        robust = [r.achieved.robust / e.achieved.robust for e, r in pairs]
        high = [r.achieved.high_frequency - e.achieved.high_frequency for e, r in pairs]
        saturated = [r.achieved.saturation - e.achieved.saturation for e, r in pairs]
        print(
            f"\n{name} against float32, {len(pairs)} units: score {np.median(score):.3f} "
            f"(quartiles {np.quantile(score, 0.25):.3f} to {np.quantile(score, 0.75):.3f}, "
            f"least {min(score):.3f}), robust {np.median(robust):.3f}, "
            f"high frequencies {np.median(high):+.4f}, saturation {np.median(saturated):+.4f}"
        )
    print(f"\nCPU time, bfloat16 over float32: {np.median(times):.2f} (median over layers)")
    print(
        f"bfloat16 computed in {used}; channel-atlas {atlas.__version__}, "
        f"torch {torch.__version__}, "
        f"python {platform.python_version()}, {network.device.type}, {os.cpu_count()} cores, "
        f"{torch.get_num_threads()} threads, {options.size} px, {options.steps} steps, "
        f"seed {options.seed}"
    )
    if options.sheet:
        Image.fromarray(np.concatenate(rows)).save(options.sheet)


if __name__ == "__main__":
    main()
