"""The whole pass over photographs beside the bare network, all channels of all layers.

    python benchmarks/dataset_pass.py --weights googlenet-bvlc.safetensors --dataset folder:PATH

Bare: our network's forward pass alone, over the same images already decoded and in batches of 16.
Torchvision: the same of torchvision's own GoogLeNet as it comes, untrained.
Whole: decoding in worker processes, the same forward pass, and every list, histogram and statistic
of 5,808 channels. In turns, some 256 images at a time, so that what else the machine does meets
both; no image is decoded ahead while the bare pass runs. Peak memory is that of this process and
of its workers, so far.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from atlas.examples.workers import Workers


def peak(pid: int) -> int:
    """The most memory a process has had in use, in bytes (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(
        int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")
    )


def main() -> None:
    # Workers import this file: what they do not need is imported here.
    import numpy as np
    import torch
    import torchvision

    import atlas
    from atlas.examples.collect import BATCH, TOGETHER, chunks, columns_of, passing
    from atlas.examples.sources import open_source
    from atlas.examples.state import State
    from atlas.examples.view import Viewing

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="googlenet-bvlc")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2, help="0: threads of this process")
    parser.add_argument("--no-bare", action="store_true", help="the whole pass alone, for memory")
    options = parser.parse_args()
    network = atlas.load_model(options.model, options.weights)
    source, viewing = open_source(options.dataset), Viewing(*network.view)
    layers = [layer.name for layer in network.layers]
    channels = columns_of(network, layers).total
    theirs = torchvision.models.googlenet(aux_logits=False, init_weights=False).eval()
    bare = whole = other = 0.0

    def ours(x: torch.Tensor) -> None:
        for _ in network.walk(x, layers):
            pass

    def forward(model: Callable[[torch.Tensor], object], views: np.ndarray) -> float:
        start = time.perf_counter()
        with torch.inference_mode():
            for begin in range(0, len(views), BATCH):
                x = torch.from_numpy(views[begin : begin + BATCH]).permute(0, 3, 1, 2)
                model(x.to(torch.float32).div(255).contiguous())
        return time.perf_counter() - start

    images = 0
    every = chunks(source)
    group = max(1, BATCH * TOGETHER // len(every[0]))
    state = State.empty(channels, 25)
    with Workers(options.workers) if options.workers else nullcontext() as workers:
        for at in range(0, len(every), group):
            todo = every[at : at + group]
            start = time.perf_counter()
            *_, state = passing(network, source, layers, state, viewing, todo, workers=workers)
            whole += time.perf_counter() - start
            indices = [index for chunk in todo for index in chunk if index not in state.skipped]
            images += len(indices)
            pids = [os.getpid(), *(child.pid for child in multiprocessing.active_children())]
            memory = f"peak {sum(map(peak, pids)) / 1e9:.2f} GB"
            if options.no_bare:
                print(f"{images:6} images   whole {images / whole:6.1f} a second   {memory}")
                if images >= options.images:
                    break
                continue
            views = np.stack([viewing.apply(source.load(index)) for index in indices])
            bare += forward(ours, views)
            other += forward(theirs, views)
            print(
                f"{images:6} images a second:   bare {images / bare:5.1f}   "
                f"torchvision {images / other:5.1f}   whole {images / whole:5.1f}   {memory}",
                flush=True,
            )
            if images >= options.images:
                break
    print()
    if not options.no_bare:
        print(
            f"the whole pass runs at {bare / whole:.0%} of the bare network, "
            f"{other / whole:.0%} of torchvision's"
        )
    print(
        f"channel-atlas {atlas.__version__}, torch {torch.__version__}, "
        f"python {platform.python_version()}, {channels:,} channels, "
        f"batches of {BATCH}, {options.workers} workers"
    )


if __name__ == "__main__":
    main()
