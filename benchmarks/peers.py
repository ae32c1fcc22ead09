"""Positive renders beside other libraries', at their defaults, on the same network.

    pip install torch-lucent horama dreamlens
    python benchmarks/peers.py --weights googlenet-bvlc.safetensors

Every library has a process of its own, all with as many threads. For each layer in turn they are
given the same units, one library after the other, three rounds: so what else the machine does meets
all of them alike. Ours makes the units of a layer in one batch, as a build does, and once more one
image at a time; peers make one image at a time, which is what they can do. Then ours is given all
units at once, as a build is, which is set against a peer's time for them. Peers compute the whole
network at each step, as they do for their users; ``torch-lucent-cut`` is spared what lies beyond
the layer.

One evaluator judges all finished 8-bit images: the `positive` score, mean over space of ReLU(a), in
float32. Ratios are taken unit by unit within a round, and their median is shown: how many times as
long as ours an image of the peer takes (wall clock, and the processors' time), and our score over
its. Last comes how long ours takes to reach the score that torch-lucent has at its default of 512
steps: renders of 16, 32, 64, … steps, the first of which reaches it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peer_renderers import RENDERERS, installed

import atlas
from atlas.optvis.parameterize import from_uint8
from atlas.units import Unit

OURS, PEER = "atlas", "torch-lucent"
ROUNDS = (16, 32, 64, 128, 256, 512)
"""Steps tried on the way to torch-lucent's score at its own 512."""


def work(options: argparse.Namespace) -> None:
    """What a library's process does: an order a line in, what became of it out."""
    warnings.filterwarnings("ignore")  # of peers, about versions of what they use
    render, _ = RENDERERS[options.worker]
    network = atlas.load_model(options.model, options.weights)
    for line in sys.stdin:
        order = json.loads(line)
        units = [Unit(layer, channel) for layer, channel in order["units"]]
        np.random.seed(order["seed"])  # what peers draw from
        torch.manual_seed(order["seed"])
        clocks = time.perf_counter(), time.process_time()
        images = render(network, units, options.size, order["steps"])
        wall, cpu = time.perf_counter() - clocks[0], time.process_time() - clocks[1]
        scores = []
        with torch.inference_mode():
            for unit, image in zip(units, images, strict=True):
                taps = network.taps(from_uint8(torch.from_numpy(image[None])), unit.layer)
                scores.append(float(taps[0, unit.index].relu().mean()))
        print(json.dumps({"wall": wall, "cpu": cpu, "scores": scores}), flush=True)


class Library:
    """A library at work in a process of its own."""

    def __init__(self, name: str, arguments: Sequence[str]) -> None:
        command = [sys.executable, __file__, *arguments, "--worker", name]
        self.name = name
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()

    def render(self, units: Sequence[Unit], steps: int, seed: int) -> dict[str, Any]:
        """Make images of units: seconds of wall clock and processors, scores."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {
            "units": [(unit.layer, unit.index) for unit in units],
            "steps": steps,
            "seed": seed,
        }
        print(json.dumps(order), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} failed; see above")
        done: dict[str, Any] = json.loads(line)
        return done


def compare(
    libraries: Sequence[Library], layers: Sequence[Sequence[Unit]], steps: int, rounds: int
) -> dict[str, list[dict[str, Any]]]:
    """All orders in turn; of every library, what became of each (layers first, then rounds)."""
    found: dict[str, list[dict[str, Any]]] = {library.name: [] for library in libraries}
    for units in layers:
        for library in libraries:
            library.render(units, 2, 0)  # whatever is only slow the first time
        for number in range(rounds):
            for library in libraries:
                found[library.name].append(library.render(units, steps, number))
        last = {name: done[-rounds:] for name, done in found.items()}
        texts = [
            f"{np.median([d['wall'] for d in done]) / len(units) / steps * 1e3:9.1f}"
            f" {np.median([d['scores'] for d in done]):8.1f}"
            for done in last.values()
        ]
        names = ",".join(str(unit.index) for unit in units)
        print(f"{units[0].layer + ':' + names:18}" + "  ".join(texts), flush=True)
    return found


def summary(found: dict[str, list[dict[str, Any]]]) -> None:
    """Medians of ratios to ours."""
    ours = found[OURS]
    print(f"\n{'':20} {'wall':>6} {'all wall':>9} {'processors':>11}   our score over its")
    for name, done in found.items():
        pairs = list(zip(done, ours, strict=True))
        wall = [d["wall"] / o["wall"] for d, o in pairs]
        cpu = [d["cpu"] / o["cpu"] for d, o in pairs]
        whole = sum(d["wall"] for d in done) / sum(o["wall"] for o in ours)
        scores = [
            mine / theirs if theirs else np.inf
            for d, o in pairs
            for mine, theirs in zip(o["scores"], d["scores"], strict=True)
        ]
        low, high = (np.quantile(scores, q, method="lower") for q in (0.25, 0.75))
        print(
            f"{name:20} {np.median(wall):6.2f} {whole:9.2f} {np.median(cpu):11.2f}   "
            f"{np.median(scores):.2f} ({low:.2f} to {high:.2f}), "
            f"higher in {np.mean(np.array(scores) > 1):.0%}"
        )


def at_once(
    ours: Library,
    units: Sequence[Unit],
    steps: int,
    found: dict[str, list[dict[str, Any]]],
    rounds: int,
) -> None:
    """Ours with all units at once, and how many times as long peers took for them."""
    ours.render(units, 2, 0)
    walls = [ours.render(units, steps, number)["wall"] for number in range(rounds)]
    each = float(np.median(walls)) / len(units) / steps * 1e3
    print(f"\nall {len(units)} at once: {each:.1f} ms an image-step; ", end="")
    texts = []
    for name, done in found.items():
        theirs = [sum(d["wall"] for d in done[number::rounds]) for number in range(rounds)]
        ratios = [their / mine for their, mine in zip(theirs, walls, strict=True)]
        texts.append(f"{name} {np.median(ratios):.2f}")
    print(f"times as long took {', '.join(texts)}", flush=True)


def reach(ours: Library, peer: Library, units: Sequence[Unit]) -> None:
    """How long ours takes to the peer's score at its default steps."""
    print(f"\nto the score of {peer.name} at 512 steps")
    shares = []
    for unit in units:
        theirs = peer.render([unit], 512, 0)
        for steps in ROUNDS:
            mine = ours.render([unit], steps, 0)
            if mine["scores"][0] >= theirs["scores"][0]:
                break
        reached = mine["scores"][0] >= theirs["scores"][0]
        shares.append(theirs["wall"] / mine["wall"] if reached else 0.0)
        text = f"{steps:4} steps {mine['wall']:6.2f} s" if reached else "not in 512 steps"
        print(
            f"{unit!s:14} {theirs['scores'][0]:8.1f} in {theirs['wall']:6.1f} s;  "
            f"ours {mine['scores'][0]:8.1f}, {text}",
            flush=True,
        )
    print(f"ours takes 1/{np.median(shares):.0f} of its time (median)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="googlenet-bvlc")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--units", type=int, default=24)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reach", type=int, default=4, help="units of the last comparison")
    parser.add_argument("--only", help="comma list of libraries beside ours")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options)
        return
    network = atlas.load_model(options.model, options.weights)
    rng = np.random.default_rng(options.seed)
    count = len(network.layers)
    layers = [
        sorted(
            Unit(layer.name, int(channel))
            for channel in rng.choice(
                layer.channels, len(range(n, options.units, count)), replace=False
            )
        )
        for n, layer in enumerate(network.layers)
    ]
    layers = [units for units in layers if units]
    wanted = list(RENDERERS) if options.only is None else [OURS, *options.only.split(",")]
    versions = {}
    for name in wanted:
        try:
            versions[name] = installed(name)
        except PackageNotFoundError:
            print(f"{name}: not installed")
    libraries = [Library(name, sys.argv[1:]) for name in versions]
    try:
        print(f"{'ms an image-step,':18}" + "  ".join(f"{name[:18]:>18}" for name in versions))
        print(f"{'median score':18}")
        found = compare(libraries, layers, options.steps, options.rounds)
        summary(found)
        by_name = {library.name: library for library in libraries}
        every = [unit for units in layers for unit in units]
        at_once(by_name[OURS], every, options.steps, found, options.rounds)
        if options.reach and PEER in by_name:
            places = np.linspace(0, len(layers) - 1, options.reach).round().astype(int)
            reach(by_name[OURS], by_name[PEER], [layers[place][0] for place in places])
    finally:
        for library in libraries:
            library.close()
    peers = ", ".join(f"{name} {value}" for name, value in versions.items() if name != OURS)
    print(
        f"\nchannel-atlas {atlas.__version__}; {peers}; torch {torch.__version__}, "
        f"python {platform.python_version()}, {os.cpu_count()} cores, {torch.get_num_threads()} "
        f"threads each, load {os.getloadavg()[0]:.1f}, {options.size} px, {options.steps} steps, "
        f"{options.rounds} rounds, seed {options.seed}"
    )


if __name__ == "__main__":
    main()
