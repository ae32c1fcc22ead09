"""Every channel's extremes, their places and sums, out of a layer's maps.

On the CPU one compiled loop (Numba) reads the maps once, and rectifies them on its way for the
network; PyTorch needs a reading for each of the seven numbers, and longer to say where an extreme
is. Where there is no Numba, or the maps are elsewhere, PyTorch does it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atlas.compiled import compiled

SLAB = 4_000_000
"""Bytes that PyTorch goes over again and again on a CPU: they stay in its caches."""


class Scan(NamedTuple):
    """Of maps (B, C, H, W), each (B, C): largest and smallest value, the flat positions, int32, at
    which they come first, and as float64 the sums of the values, of their squares and of those
    above zero. `rectified` says whether the maps are by now."""

    rectified: bool
    high: Tensor
    low: Tensor
    high_at: Tensor
    low_at: Tensor
    total: Tensor
    squares: Tensor
    positive: Tensor


def scan(maps: Tensor) -> Scan:
    """See `Scan`. The maps may be used up."""
    on_cpu = maps.device.type == "cpu" and maps.dtype == torch.float32
    loop = compiled(_scan) if on_cpu else None
    maps = maps.permute(0, 2, 3, 1)
    if loop is None or not maps.is_contiguous():
        return _by_torch(maps.contiguous())
    return _by_loop(maps.numpy(), loop)


def prepare() -> None:
    """Have the loop compiled, or loaded, which takes a while."""
    scan(torch.zeros(1, 1, 1, 1))


def _by_torch(maps: Tensor) -> Scan:
    """Of maps (B, H, W, C): with channels side by side all of it is vectorized."""
    few = max(1, SLAB // (maps[:1].numel() * maps.element_size()))
    if maps.device.type != "cpu":
        few = len(maps)
    rows = maps.new_empty((len(maps), 2, *maps.shape[1::2]))  # extremes of each row of a map
    sums = []
    for start in range(0, len(maps), few):
        slab = maps[start : start + few]
        torch.amax(slab, 2, out=rows[start : start + few, 0])
        torch.amin(slab, 2, out=rows[start : start + few, 1])
        parts = (slab, slab * slab, slab.relu())
        sums.append(torch.stack([part.sum((1, 2)) for part in parts]).double())
    extremes, where = _where_first(maps, rows)
    high, low = extremes.unbind(1)
    return Scan(False, high, low, *where.unbind(1), *torch.cat(sums, dim=1))


def _where_first(maps: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Largest and smallest value (B, 2, C) of maps (B, H, W, C), and the flat position, int32, at
    which each comes first.

    PyTorch finds a value across channels in a tenth of the time that it takes to say where it was:
    so `rows` has the largest and smallest of each row of a map, (B, 2, H, C), and places are looked
    for among those and in one row alone.
    """
    extremes = torch.stack([rows[:, 0].amax(1), rows[:, 1].amin(1)], 1)
    row = _first(rows, extremes)
    width = maps.shape[2]
    there = maps.gather(1, row.long()[:, :, None].expand(-1, -1, width, -1))
    return extremes, row * width + _first(there, extremes)


def _first(values: Tensor, value: Tensor) -> Tensor:
    """The first n at which `values` (B, 2, N, C), which are used up, are `value` (B, 2, C); int32.

    Of places with a weight that falls from N to 1 it is the heaviest: in the dtype of the values,
    in which whole numbers this small are exact, all of it is vectorized.
    """
    count = values.shape[2]
    weights = torch.arange(count, 0, -1, dtype=values.dtype, device=values.device)
    heaviest = values.eq_(value[:, :, None]).mul_(weights[:, None]).amax(2)
    return (count - heaviest).to(torch.int32)


def _by_loop(maps: NDArray[np.float32], loop: Callable[..., None]) -> Scan:
    """Of maps (B, H, W, C)."""
    shape = (len(maps), maps.shape[3])
    kinds = [np.float32] * 2 + [np.int32] * 2 + [np.float64] * 3
    found = [np.empty(shape, kind) for kind in kinds]
    loop(maps, *found)
    return Scan(True, *(torch.from_numpy(one) for one in found))


def _scan(
    maps: Any, high: Any, low: Any, high_at: Any, low_at: Any, total: Any, squares: Any, above: Any
) -> None:
    """Over maps (B, H, W, C). What is summed up along a row in float32 goes on in float64."""
    images, height, width, channels = maps.shape
    one = np.empty(channels, np.float32)
    two, three = np.empty_like(one), np.empty_like(one)
    for b in range(images):
        first = maps[b, 0, 0]
        for c in range(channels):
            high[b, c] = low[b, c] = first[c]
            high_at[b, c] = low_at[b, c] = 0
            total[b, c] = squares[b, c] = above[b, c] = 0
        top, top_at, bottom, bottom_at = high[b], high_at[b], low[b], low_at[b]
        place = np.int32(0)
        for y in range(height):
            for c in range(channels):
                one[c] = two[c] = three[c] = 0
            for x in range(width):
                pixel = maps[b, y, x]
                for c in range(channels):
                    value = pixel[c]
                    larger, smaller = value > top[c], value < bottom[c]
                    top[c] = value if larger else top[c]
                    top_at[c] = place if larger else top_at[c]
                    bottom[c] = value if smaller else bottom[c]
                    bottom_at[c] = place if smaller else bottom_at[c]
                    rectified = value if value > 0 else np.float32(0)
                    one[c] += value
                    two[c] += value * value
                    three[c] += rectified
                    pixel[c] = rectified
                place += np.int32(1)
            for c in range(channels):
                total[b, c] += one[c]
                squares[b, c] += two[c]
                above[b, c] += three[c]
