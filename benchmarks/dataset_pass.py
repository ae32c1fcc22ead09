"""The whole pass over photographs beside the bare network, all channels of all layers.

    python benchmarks/dataset_pass.py --weights googlenet-bvlc.safetensors --dataset folder:PATH

Bare: our network's forward pass alone, over the same images already decoded and in batches of 16.
Torchvision: the same of torchvision's own GoogLeNet as it comes, untrained.
Whole: a pass from its beginning to its end: decoding in worker processes, the same network, and
every list, histogram and statistic of 5,808 channels. In turns, in each round. With --no-bare the
whole pass alone: what memory it takes is that of this process and of its workers, at most so far.
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
    from atlas.examples.ahead import BATCH
    from atlas.examples.collect import chunks, columns_of, passing
    from atlas.examples.limited import LimitedSource
    from atlas.examples.sources import open_source
    from atlas.examples.state import State
    from atlas.examples.view import Viewing
    from atlas.memory import keep_freed_memory

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="googlenet-bvlc")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2, help="0: threads of this process")
    parser.add_argument("--no-bare", action="store_true", help="the whole pass alone, for memory")
    options = parser.parse_args()
    network = atlas.load_model(options.model, options.weights)
    source, viewing = open_source(options.dataset), Viewing(*network.view)
    if options.images < len(source):
        source = LimitedSource(source, options.images)
    layers = [layer.name for layer in network.layers]
    channels = columns_of(network, layers).total
    theirs = torchvision.models.googlenet(aux_logits=False, init_weights=False).eval()

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

    def whole_pass() -> float:
        state, every, shown = State.empty(channels, 25), chunks(source), 0
        start = time.perf_counter()
        with Workers(options.workers) if options.workers else nullcontext() as workers:
            for now in passing(network, source, layers, state, viewing, every, workers=workers):
                seconds = time.perf_counter() - start
                if options.no_bare and now.images >= shown + 1000:
                    shown = now.images
                    pids = [os.getpid(), *(one.pid for one in multiprocessing.active_children())]
                    memory = f"peak {sum(map(peak, pids)) / 1e9:.2f} GB"
                    print(f"{shown:6} images   {shown / seconds:6.1f} a second   {memory}")
        assert now.images + len(now.skipped) == len(source)
        return time.perf_counter() - start

    keep_freed_memory()
    times: list[tuple[float, float, float]] = []
    if options.no_bare:
        whole_pass()
    else:
        views = np.stack([viewing.apply(source.load(index)) for index in range(len(source))])
        forward(ours, views[: 4 * BATCH]), forward(theirs, views[: 4 * BATCH])
        for _ in range(options.rounds):
            times.append((forward(ours, views), forward(theirs, views), whole_pass()))
            each = [f"{len(views) / seconds:6.1f}" for seconds in times[-1]]
            print("images a second: bare {} torchvision {} whole {}".format(*each), flush=True)
        bare, other, whole = map(sum, zip(*times, strict=True))
        print(
            f"\nthe whole pass runs at {bare / whole:.0%} of the bare network, "
            f"{other / whole:.0%} of torchvision's"
        )
    print(
        f"channel-atlas {atlas.__version__}, torch {torch.__version__}, "
        f"python {platform.python_version()}, {channels:,} channels, {len(source):,} images, "
        f"batches of {BATCH}, {options.workers} workers"
    )


if __name__ == "__main__":
    main()
