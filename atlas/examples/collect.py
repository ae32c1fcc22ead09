"""One pass over a dataset: every channel's highest and lowest images, with positions.

An image counts once for a channel, with the maximum (for the top) and the minimum (for the
bottom) of the channel's pre-ReLU map. All channels of a layer are followed at once, so memory is
k × channels and does not depend on the size of the dataset.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atlas.errors import DatasetError
from atlas.examples.sources import FolderSource, UnreadableImageError
from atlas.examples.view import Viewing
from atlas.models.network import Network

VERSION = 1
"""Version of the examples stage: raised whenever the same input would give other tables."""

BATCH = 16


@dataclass(frozen=True)
class ExampleTable:
    """The examples of one layer, best first; `C` channels, `k` ranks.

    `top_*` are by highest maximum, `bottom_*` by lowest minimum. `*_image` (C, k) int64 index
    into the source, −1 where the dataset has fewer images; `*_value` (C, k) float32 pre-ReLU;
    `*_position` (C, k, 2) int64 (y, x) on the map. `stats` are per channel, (C,) float64: min and
    max over everything, mean and std over all positions of all images, `fires` the share of
    images with any positive value, `best_score` and `best_negative_score` the largest mean over
    space of ReLU(a) and of ReLU(−a) that any image reaches. `images` is how many were readable.
    """

    top_image: NDArray[np.int64]
    top_value: NDArray[np.float32]
    top_position: NDArray[np.int64]
    bottom_image: NDArray[np.int64]
    bottom_value: NDArray[np.float32]
    bottom_position: NDArray[np.int64]
    stats: dict[str, NDArray[np.float64]]
    images: int


@dataclass(frozen=True)
class Collected:
    """What a pass found: a table a layer, and the images it had to skip as (id, reason)."""

    tables: dict[str, ExampleTable]
    skipped: tuple[tuple[str, str], ...]


class _Best:
    """Running best k images of every channel; `sign` is +1 for highest, −1 for lowest."""

    def __init__(self, channels: int, k: int, sign: float, device: torch.device | str) -> None:
        self._sign, self._k = sign, k
        self.value = torch.full((k, channels), -torch.inf, device=device)
        self.image = torch.full((k, channels), -1, dtype=torch.int64, device=device)
        self.where = torch.zeros((k, channels), dtype=torch.int64, device=device)

    def update(self, flat: Tensor, images: Tensor) -> None:
        """Take in flat maps (B, C, N) of the images numbered `images` (B,)."""
        peak, where = (flat * self._sign).max(dim=2)
        value = torch.cat([self.value, peak])
        image = torch.cat([self.image, images[:, None].expand_as(peak)])
        place = torch.cat([self.where, where])
        # Stable: among equals, the image that comes first in the dataset stays first.
        order = value.argsort(dim=0, descending=True, stable=True)[: self._k]
        self.value, self.image = value.gather(0, order), image.gather(0, order)
        self.where = place.gather(0, order)

    def table(self, width: int) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
        """Images, values and positions, ranks along the second axis."""
        where = self.where.T.cpu().numpy()
        position = np.stack([where // width, where % width], axis=2)
        value = (self.value.T * self._sign).cpu().numpy()
        return self.image.T.cpu().numpy().copy(), value.copy(), position


class _LayerState:
    """Everything followed for one layer during a pass."""

    def __init__(self, channels: int, k: int, device: torch.device | str) -> None:
        self.top = _Best(channels, k, 1.0, device)
        self.bottom = _Best(channels, k, -1.0, device)
        zeros = torch.zeros(channels, dtype=torch.float64, device=device)
        self._sum, self._squares, self._fires = zeros.clone(), zeros.clone(), zeros.clone()
        self._score, self._negative = zeros.clone(), zeros.clone()
        self._positions, self.images, self._width = 0, 0, 1

    def update(self, taps: Tensor, images: Tensor) -> None:
        """Take in a batch of pre-ReLU maps (B, C, H, W)."""
        flat = taps.flatten(2)
        self.top.update(flat, images)
        self.bottom.update(flat, images)
        self._sum += flat.sum((0, 2), dtype=torch.float64)
        self._squares += flat.square().sum((0, 2), dtype=torch.float64)
        rectified = flat.clamp(min=0)
        score = rectified.mean(2)
        self._fires += (score > 0).sum(0)
        self._score = torch.maximum(self._score, score.amax(0).double())
        negative = score - flat.mean(2)  # mean ReLU(−a) = mean ReLU(a) − mean a
        self._negative = torch.maximum(self._negative, negative.amax(0).double())
        self._positions += flat.shape[0] * flat.shape[2]
        self.images += flat.shape[0]
        self._width = taps.shape[3]

    def finish(self) -> ExampleTable:
        """The table of what was seen."""
        mean = self._sum / self._positions
        variance = (self._squares / self._positions - mean.square()).clamp(min=0)
        top, bottom = self.top.table(self._width), self.bottom.table(self._width)
        stats = {
            "min": torch.as_tensor(bottom[1][:, 0]).double(),
            "max": torch.as_tensor(top[1][:, 0]).double(),
            "mean": mean,
            "std": variance.sqrt(),
            "fires": self._fires / self.images,
            "best_score": self._score,
            "best_negative_score": self._negative,
        }
        arrays = {name: value.cpu().numpy() for name, value in stats.items()}
        return ExampleTable(*top, *bottom, arrays, self.images)


def collect(
    network: Network,
    source: FolderSource,
    layers: Sequence[str],
    k: int = 10,
    viewing: Viewing | None = None,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> Collected:
    """Pass over `source` once and find the examples of every channel of `layers`.

    Args:
        network: on `device`.
        k: how many examples a side, each from another image.
        viewing: how photographs become network input; the default is 256/224 px.
        progress: called with (images done, images in all).

    Raises:
        DatasetError: not one image could be read.
    """
    viewing = viewing or Viewing()
    skipped: list[tuple[str, str]] = []
    widths = {layer.name: layer.channels for layer in network.layers}
    states = {name: _LayerState(widths[name], k, device) for name in layers}
    for numbers, views in _batches(source, viewing, skipped):
        if numbers:
            x = torch.from_numpy(np.stack(views)).to(device).permute(0, 3, 1, 2)
            x = x.to(torch.float32).div(255).contiguous()
            images = torch.tensor(numbers, device=device)
            with torch.inference_mode():
                for name, taps in network.walk(x, layers):
                    states[name].update(taps, images)
        if progress is not None:
            done = next(iter(states.values())).images + len(skipped)
            progress(done, len(source))
    if not next(iter(states.values())).images:
        name, reason = skipped[0]
        raise DatasetError(
            f"none of the {len(source)} images of {source.spec} can be read (first: {name}: {reason})"
        )
    return Collected({name: state.finish() for name, state in states.items()}, tuple(skipped))


def _batches(
    source: FolderSource, viewing: Viewing, skipped: list[tuple[str, str]]
) -> Iterator[tuple[list[int], list[NDArray[np.uint8]]]]:
    """Views in dataset order, `BATCH` at a time; the next batch is decoded meanwhile."""

    def view(index: int) -> NDArray[np.uint8] | str:
        try:
            return viewing.apply(source.load(index))
        except UnreadableImageError as error:
            return str(error)

    with ThreadPoolExecutor(max_workers=2) as pool:
        starts = range(0, len(source), BATCH)

        def submit(start: int) -> list[tuple[int, Future[NDArray[np.uint8] | str]]]:
            indices = range(start, min(start + BATCH, len(source)))
            return [(i, pool.submit(view, i)) for i in indices]

        ahead = submit(0)
        for start in starts:
            batch, ahead = ahead, submit(start + BATCH)
            numbers, views = [], []
            for index, future in batch:
                result = future.result()
                if isinstance(result, str):
                    skipped.append((source.items[index].id, result))
                else:
                    numbers.append(index)
                    views.append(result)
            yield numbers, views
