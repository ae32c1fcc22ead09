"""The whole pass over photographs beside the bare network, all channels of all layers.

    python benchmarks/dataset_pass.py --weights googlenet-bvlc.safetensors --dataset folder:PATH

Bare: the forward pass alone, over the same images already decoded and in batches of 16. Whole:
decoding, the same forward pass, and every list, histogram and statistic of 5,808 channels. Both
in turns, chunk of 64 images by chunk, so that what else the machine does meets both. Peak memory
is this process's.
"""

from __future__ import annotations

import argparse
import platform
import resource
import time
from pathlib import Path

import numpy as np
import torch

import atlas
from atlas.examples.collect import BATCH, chunks, columns_of, passing
from atlas.examples.sources import open_source
from atlas.examples.state import State
from atlas.examples.view import Viewing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="googlenet-bvlc")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--images", type=int, default=1000)
    options = parser.parse_args()
    network = atlas.load_model(options.model, options.weights)
    source, viewing = open_source(options.dataset), Viewing(*network.view)
    layers = [layer.name for layer in network.layers]
    channels = columns_of(network, layers).total
    bare = whole = 0.0
    images = 0
    going = passing(network, source, layers, State.empty(channels, 25), viewing)
    for chunk in chunks(source):
        start = time.perf_counter()
        next(going)
        whole += time.perf_counter() - start
        views = np.stack([viewing.apply(source.load(i)) for i in chunk])
        start = time.perf_counter()
        with torch.inference_mode():
            for begin in range(0, len(views), BATCH):
                x = torch.from_numpy(views[begin : begin + BATCH]).permute(0, 3, 1, 2)
                for _ in network.walk(x.to(torch.float32).div(255).contiguous(), layers):
                    pass
        bare += time.perf_counter() - start
        images += len(views)
        if images % 256 < len(views) or images >= options.images:
            print(
                f"{images:6} images   bare {images / bare:6.1f} a second   "
                f"whole {images / whole:6.1f}   {bare / whole:.0%}",
                flush=True,
            )
        if images >= options.images:
            break
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"\nthe whole pass runs at {bare / whole:.0%} of the bare network; peak {peak:.2f} GB")
    print(
        f"channel-atlas {atlas.__version__}, torch {torch.__version__}, "
        f"python {platform.python_version()}, {channels:,} channels, "
        f"batches of {BATCH}"
    )


if __name__ == "__main__":
    main()
