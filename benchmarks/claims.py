"""The article's claims, tried out: contact sheets to look at, and the numbers behind them.

    python benchmarks/claims.py --weights googlenet-bvlc.safetensors --out claims/

Olah et al., *Feature Visualization* (2017), says that without regularization images are high-
frequency noise, that a decorrelated space is the better one to climb in, that diversity shows a
channel's facets, that what drives a channel down is something else than what drives it up, and
that one can pass smoothly from one channel to another. Units are drawn at random (`--seed`).
Exits with 1 if a claim does not hold.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import atlas
from atlas.models.googlenet import GoogLeNet
from atlas.optvis.regularizer import DEFAULT
from atlas.pictures import Picture, Pictures, sheet

SPECTRUM: dict[str, tuple[str, ...]] = {
    "none": ("none",),
    "l2": ("l2",),
    "tv": ("tv",),
    "blur": ("blur",),
    "bilateral": ("bilateral",),
    "gradient-blur": ("gradient-blur",),
    "gradient-laplacian": ("gradient-laplacian",),
    "jitter": ("jitter",),
    "rotate": ("rotate",),
    "scale": ("scale",),
    "pad": ("pad",),
    "transforms": ("transforms",),
    "default": DEFAULT,
    "strong": ("transforms", "contrast", "tv:8", "blur:0.3"),
}


class Claims:
    """Makes the images of each claim, prints its table and keeps whether it held."""

    def __init__(self, model: GoogLeNet, options: argparse.Namespace) -> None:
        self.model, self.out = model, options.out
        self.size, self.steps = options.size, options.steps
        self.rng = np.random.default_rng(options.seed)
        self.failed: list[str] = []

    def units(self, count: int, *layers: str) -> list[str]:
        """Random units, of these layers in turn."""
        names = layers or tuple(layer.name for layer in self.model.layers[3:])
        widths = {layer.name: layer.channels for layer in self.model.layers}
        chosen = [names[i % len(names)] for i in range(count)]
        return [f"{name}:{self.rng.integers(widths[name])}" for name in chosen]

    def render(self, what: str | list[str], **more: object) -> Pictures:
        """Images at the size and steps asked for."""
        steps = more.pop("steps", self.steps)
        return atlas.render(self.model, what, size=self.size, steps=steps, **more)

    def keep(self, name: str, rows: list[list[Picture]]) -> None:
        """A contact sheet, one row for each list."""
        images = [picture.image for row in rows for picture in row]
        path = self.out / f"{name}.webp"
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet(images, max(len(row) for row in rows)).save(path, quality=80, method=6)
        print(f"  {path}")

    def judge(self, claim: str, holds: bool) -> None:
        """Print and remember."""
        print(f"  {'holds' if holds else 'DOES NOT HOLD'}: {claim}\n", flush=True)
        if not holds:
            self.failed.append(claim)

    def recipe(self) -> None:
        """The default beside the article's own recipe, a unit of each layer."""
        print(
            "recipe: default against the article's: activation, robust; saturated, high-frequency"
        )
        names = [layer.name for layer in self.model.layers]
        units = self.units(len(names), *names)
        ours = self.render(units)
        article = self.render(units, regularize=["transforms"], settle=0.0)
        rows = []
        for unit, one, other in zip(units, ours, article, strict=True):
            a, b = one.achieved, other.achieved
            row = [one.activation / other.activation, a.robust / b.robust]
            row += [b.saturation, a.saturation, b.high_frequency, a.high_frequency]
            rows.append(row)
            print(f"  {unit:14} {_recipe_line(row)}", flush=True)
        print(f"  {'median':14} {_recipe_line(list(np.median(rows, axis=0)))}")
        self.keep("recipe", [list(ours), list(article)])
        median = np.median(rows, axis=0)
        self.judge(
            "the default reaches as much as the article's recipe, with less saturation and noise",
            bool(median[0] >= 1 and median[3] <= median[2] and median[5] < median[4]),
        )

    def regularization(self) -> None:
        """From none, in pixels, to strong: power at high frequencies and robust activation."""
        print("regularization: high-frequency share, robust activation / activation (medians)")
        units = self.units(6, "mixed3b", "mixed4a", "mixed4b", "mixed4c", "mixed4e", "mixed5a")
        rows, shares = [], {}
        for space in ("pixels", "fourier"):
            for name, regularize in SPECTRUM.items():
                if space == "pixels" and name in ("default", "strong"):
                    continue
                found = self.render(
                    units,
                    regularize=regularize,
                    parameterization=space,
                    decorrelate=space == "fourier",
                )
                share = np.array([p.achieved.high_frequency for p in found])
                robust = np.median([p.achieved.robust / p.activation for p in found])
                shares[space, name] = share
                rows.append(list(found))
                print(f"  {space:8} {name:20} {np.median(share):6.1%} {robust:6.2f}", flush=True)
        self.keep("regularization", rows)
        for space in ("pixels", "fourier"):
            times = np.median(shares[space, "none"] / shares["fourier", "default"])
            self.judge(
                f"without regularization in {space}, {times:.1f} times the high-frequency share "
                "of the default (3 or more)",
                times >= 3,
            )

    def decorrelation(self) -> None:
        """Equal steps in plain pixels and in decorrelated Fourier space."""
        print("decorrelation: activation and robust activation against plain pixels (medians)")
        units = self.units(12, *(layer.name for layer in self.model.layers))
        rows, found = [], {}
        for name, more in {
            "pixels": {"parameterization": "pixels", "decorrelate": False},
            "pixels, colours": {"parameterization": "pixels"},
            "fourier, plain": {"decorrelate": False},
            "fourier, colours": {},
            "laplacian, colours": {"parameterization": "laplacian"},
            "maco, colours": {"parameterization": "maco"},
        }.items():
            made = self.render(units, **more)
            rows.append(list(made))
            found[name] = np.array([(p.activation, p.achieved.robust) for p in made])
            ratio = np.median(found[name] / found["pixels"], axis=0)
            print(f"  {name:20} {ratio[0]:5.2f} {ratio[1]:5.2f}", flush=True)
        self.keep("decorrelation", rows)
        ratio = (found["fourier, colours"] / found["pixels"])[:, 0]
        self.judge(
            f"decorrelated Fourier beats plain pixels for {np.mean(ratio > 1):.0%} of units, "
            f"{np.median(ratio):.2f} times the activation in the median",
            bool(np.mean(ratio > 1) > 0.5 and np.median(ratio) > 1),
        )

    def diversity(self) -> None:
        """Four diverse images beside four independent ones."""
        print("diversity: 1 − mean Gram cosine, share of the independent activation")
        units = self.units(4, "mixed4a", "mixed4c", "mixed4d", "mixed5a")
        rows, apart, kept = [], [], []
        for unit in units:
            diverse = self.render(unit, kinds=["diverse"])
            alone = self.render(unit, kinds=["diverse"], diversity=0.0)
            rows += [list(diverse), list(alone)]
            scores = [
                np.mean([p.achieved.diversity or 0 for p in found]) for found in (diverse, alone)
            ]
            share = min(p.activation for p in diverse) / np.mean([p.activation for p in alone])
            apart.append(scores[0] / scores[1])
            kept.append(share)
            print(
                f"  {unit:14} {scores[0]:.3f} against {scores[1]:.3f}; the least keeps {share:.0%}"
            )
        self.keep("diversity", rows)
        self.judge(
            f"diverse images are {np.median(apart):.1f} times as diverse and the least keeps "
            f"{min(kept):.0%} of an independent one",
            min(apart) > 1 and min(kept) >= 0.7,
        )

    def negatives(self) -> None:
        """What drives four channels of mixed4d up, and what drives them down."""
        print("negatives: cosine of positive and negative images' activations in their layer")
        units = self.units(4, "mixed4d")
        positive = self.render(units)
        again = self.render(units, seed=1)
        negative = self.render(units, kinds=["negative"])
        cosines = []
        for up, other, down in zip(positive, again, negative, strict=True):
            alike, unlike = self.cosine(up, other), self.cosine(up, down)
            cosines.append((alike, unlike))
            print(f"  {up.name:22} two positives {alike:.2f}, with the negative {unlike:.2f}")
        self.keep("negatives", [list(positive), list(again), list(negative)])
        self.judge(
            "negatives differ from positives more than positives of two seeds do",
            all(unlike < alike for alike, unlike in cosines),
        )

    def interpolation(self) -> None:
        """Six frames from one channel to another."""
        print("interpolation: root mean square difference of frames, of 255")
        held = []
        rows = []
        for first, last in (self.units(2, "mixed4a"), self.units(2, "mixed4c")):
            frames = self.render(f"{first}..{last}", frames=6)
            images = [picture.image for picture in frames]
            steps = [apart(a, b) for a, b in itertools.pairwise(images)]
            ends = apart(images[0], images[-1])
            held.append(bool(max(steps) < ends))
            rows.append(list(frames))
            words = " ".join(f"{step:.0f}" for step in steps)
            print(f"  {first} to {last}: neighbours {words}; ends {ends:.0f}")
        self.keep("interpolation", rows)
        self.judge("neighbouring frames are nearer to each other than the ends", all(held))

    def cosine(self, one: Picture, other: Picture) -> float:
        """Cosine of the mean rectified activations of two images in their unit's layer."""
        import torch

        from atlas.optvis.parameterize import from_uint8

        images = from_uint8(torch.from_numpy(np.stack([one.image, other.image])))
        layer = one.render.objective.layers[0]
        with torch.inference_mode():
            taps = self.model.taps(images.to(self.model.device), layer).relu().mean((2, 3))
        return float(torch.nn.functional.cosine_similarity(taps[0], taps[1], dim=0))


def _recipe_line(row: list[float]) -> str:
    ratio, robust, *shares = row
    return f"{ratio:5.2f} {robust:5.2f}   {shares[0]:.1%} → {shares[1]:.1%}   " + (
        f"{shares[2]:.1%} → {shares[3]:.1%}"
    )


def apart(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Root mean square difference."""
    return float(np.sqrt(((one.astype(float) - other) ** 2).mean()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="googlenet-bvlc")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--out", type=Path, default=Path("claims"))
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="comma list of claims")
    options = parser.parse_args()
    claims = Claims(atlas.load_model(options.model, options.weights), options)
    names = ("recipe", "regularization", "decorrelation", "diversity", "negatives", "interpolation")
    parts: dict[str, Callable[[], None]] = {name: getattr(claims, name) for name in names}
    chosen = options.only.split(",") if options.only else list(parts)
    for name in chosen:
        parts[name]()
    sys.exit(1 if claims.failed else 0)


if __name__ == "__main__":
    main()
