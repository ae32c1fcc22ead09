"""Example tables by brute force: everything of every image at once, in NumPy, in float64.

    python -m tests.examples.brute --weights WEIGHTS --dataset parquet:GLOB --channels 60 --seed 3

collects the tables of a whole dataset and says how many lists, histograms and statistics of
channels drawn at random are other than computed here.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import torch

from atlas.examples.collect import collect
from atlas.examples.decode import UnreadableImageError
from atlas.examples.sources import open_source
from atlas.examples.view import Viewing

MASK = 2**64 - 1


@dataclass
class Seen:
    """Of some channels (N images, C): maximum, minimum, where they are, sums over the map."""

    numbers: np.ndarray
    high: np.ndarray
    low: np.ndarray
    total: np.ndarray
    squares: np.ndarray
    positive: np.ndarray
    negative: np.ndarray
    maps: dict[int, tuple[int, int]]


def draw(network, count, seed):
    """(layer, channel) drawn evenly over all channels."""
    every = [(layer.name, c) for layer in network.layers for c in range(layer.channels)]
    rng = np.random.default_rng(seed)
    return [every[i] for i in sorted(rng.choice(len(every), count, replace=False))]


def see(network, source, units):
    """Look at every image, one batch after the other; views are made apart from the collector."""
    view = Viewing(*network.view)
    layers = [layer.name for layer in network.layers if any(u[0] == layer.name for u in units)]
    rows = defaultdict(list)
    numbers, maps, pending = [], {}, []

    def run():
        x = torch.from_numpy(np.stack([v for _, v in pending])).permute(0, 3, 1, 2)
        found = {}
        with torch.inference_mode():
            for name, taps in network.walk(x.float() / 255, layers):
                for j, (layer, channel) in enumerate(units):
                    if layer == name:
                        found[j] = taps[:, channel].double().flatten(1).numpy()
                        maps[j] = tuple(taps.shape[2:])
        a = [found[j] for j in range(len(units))]
        rows["high"].append(np.stack([m.max(1) for m in a], 1))
        rows["low"].append(np.stack([m.min(1) for m in a], 1))
        rows["total"].append(np.stack([m.sum(1) for m in a], 1))
        rows["squares"].append(np.stack([(m**2).sum(1) for m in a], 1))
        rows["positive"].append(np.stack([np.maximum(m, 0).mean(1) for m in a], 1))
        rows["negative"].append(np.stack([np.maximum(-m, 0).mean(1) for m in a], 1))
        numbers.extend(i for i, _ in pending)
        pending.clear()

    for i in range(len(source)):
        try:
            pending.append((i, view.apply(source.load(i))))
        except UnreadableImageError:
            continue
        if len(pending) == 16:
            run()
    if pending:
        run()
    return Seen(np.array(numbers), maps=maps, **{n: np.concatenate(p) for n, p in rows.items()})


def splitmix(n: int) -> int:
    z = ((n + 1) * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return (z ^ (z >> 31)) >> 11


def differences(tables, seen, units, source, k=25):
    """What is other than it should be, as lines."""
    keys = np.array([splitmix(int(n)) for n in seen.numbers])
    place = {int(n): row for row, n in enumerate(seen.numbers)}
    labels = np.array([source.items[int(n)].label for n in seen.numbers])
    wrong = []
    for j, (layer, c) in enumerate(units):
        table, name = tables[layer], f"{layer}:{c}"
        high, low = seen.high[:, j], seen.low[:, j]
        near = 1e-3 * (high.max() - low.min()) + 1e-6

        def check(what, holds, name=name):
            if not holds:
                wrong.append(f"{name}: {what}")

        for what, images, values, value in (
            ("top", table.top_image[c], table.top_value[c], high),
            ("bottom", table.bottom_image[c], -table.bottom_value[c], -low),
        ):
            want = np.argsort(-value, kind="stable")[:k]
            got = [place[int(i)] for i in images if i >= 0]
            check(f"{what} has {len(got)} distinct", len(set(got)) == len(got) == len(want))
            check(f"{what} values", np.allclose(values[: len(want)], value[want], atol=near / 10))
            # The same images, but for those within rounding of each other.
            check(f"{what} images", np.allclose(value[got], value[want], rtol=0, atol=near / 10))
            check(f"{what} set", len(set(got) - set(want)) <= 1)
        # Histogram: buckets of a power of two.
        w, first = 2.0 ** int(table.histogram_exponent[c]), int(table.histogram_first[c])
        column = high.astype(np.float32).astype(float)
        bucket = np.floor(column / w).astype(int) - first
        check("grid", bucket.min() >= 0 and bucket.max() < 128)
        counts = np.bincount(np.clip(bucket, 0, 127), minlength=128)
        off = np.abs(counts - table.histogram[c]).sum()
        check(f"histogram off by {off}", off <= max(2, len(column) // 500))
        check("histogram total", table.histogram[c].sum() == len(column))
        # Bands: of each bucket the 5 of lowest priority, of each tenth of the range 5 of these.
        kept = [
            r
            for b in range(128)
            for r in sorted(np.flatnonzero(bucket == b), key=keys.__getitem__)[:5]
        ]
        span = column.max() - column.min()
        band = np.minimum((column - column.min()) / (span or 1) * 10, 9).astype(int)
        missing = 0
        for b in range(10):
            want = sorted((r for r in kept if band[r] == b), key=keys.__getitem__)[:5]
            got = [place[int(i)] for i in table.band_image[c, b] if i >= 0]
            missing += len(set(want) ^ set(got))
            edge = 1e-3 * span
            inside = [column.min() + b * span / 10 - edge <= column[r] for r in got]
            inside += [column[r] <= column.min() + (b + 1) * span / 10 + edge for r in got]
            check(f"band {b} holds others", all(inside))
        check(f"bands: {missing} images other", missing <= 4)
        sample = np.argsort(keys)[:25]
        check(
            "sample", table.sample_image[c].tolist()[: len(sample)] == seen.numbers[sample].tolist()
        )
        positions = len(high) * seen.maps[j][0] * seen.maps[j][1]
        mean = seen.total[:, j].sum() / positions
        std = np.sqrt(seen.squares[:, j].sum() / positions - mean**2)
        stats = {
            "min": low.min(),
            "max": high.max(),
            "lowest_maximum": high.min(),
            "mean": mean,
            "std": std,
            "best_score": seen.positive[:, j].max(),
            "best_negative_score": seen.negative[:, j].max(),
        }
        for what, value in stats.items():
            check(what, np.isclose(table.stats[what][c], value, rtol=1e-4, atol=near / 10))
        check("fires", abs(table.stats["fires"][c] - (high > 0).mean()) <= 2 / len(high))
        if table.labels:
            names, index = np.unique(labels, return_inverse=True)
            means = np.bincount(index, high) / np.bincount(index)
            best = np.sort(means)[::-1][:10]
            check(
                "class means", np.allclose(table.class_mean[c, : len(best)], best, atol=near / 10)
            )
            for i, value in zip(table.class_index[c], table.class_mean[c], strict=True):
                if i >= 0:
                    label = table.labels[i]
                    check("class", np.isclose(means[names == label][0], value, atol=near / 10))
                    check("class count", table.class_count[i] == (labels == label).sum())
    return wrong


def positions_wrong(network, tables, units, source, per_unit=2):
    """Positions of examples at which the channel's value is not what the table says."""
    view, wrong = Viewing(*network.view), []
    for layer, c in units:
        table = tables[layer]
        for images, values, positions in (
            (table.top_image[c], table.top_value[c], table.top_position[c]),
            (table.bottom_image[c], table.bottom_value[c], table.bottom_position[c]),
            (table.band_image[c, 5], table.band_value[c, 5], table.band_position[c, 5]),
        ):
            for image, value, (y, x) in list(zip(images, values, positions, strict=True))[
                :per_unit
            ]:
                if image < 0:
                    continue
                pixels = torch.from_numpy(np.stack([view.apply(source.load(int(image)))]))
                with torch.inference_mode():
                    a = network.taps(pixels.permute(0, 3, 1, 2).float() / 255, layer)[0, c]
                if not np.isclose(float(a[y, x]), value, rtol=1e-3, atol=1e-3):
                    wrong.append(f"{layer}:{c} image {image} at {y}, {x}")
    return wrong


def main() -> None:
    import atlas

    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="googlenet-bvlc")
    parser.add_argument("--weights")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--channels", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    network = atlas.load_model(options.model, options.weights)
    source = open_source(options.dataset, options.limit)
    units = draw(network, options.channels, options.seed)
    tables = collect(network, source, [layer.name for layer in network.layers], 25).tables
    wrong = differences(tables, see(network, source, units), units, source)
    wrong += positions_wrong(network, tables, units, source)
    print("\n".join(wrong) or f"{len(units)} channels over {len(source)} images: all equal")


if __name__ == "__main__":
    main()
