"""One pass over a dataset: every channel's highest and lowest images, with positions.

An image counts once for a channel, with the maximum (for the top) and the minimum (for the
bottom) of the channel's pre-ReLU map. All channels of a layer are followed at once, so memory is
k × channels and does not depend on the size of the dataset (but for windows of few photographs,
of which all are kept: about 24 bytes a window and channel).
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
from atlas.examples.crop import crop_boxes
from atlas.examples.decode import UnreadableImageError
from atlas.examples.distinct import choose, overlaps
from atlas.examples.receptive import ReceptiveField, theoretical
from atlas.examples.sources import Source
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


@dataclass(frozen=True)
class _Ranking:
    """Images of every channel, best first: image, value and flat position, each (C, P)."""

    image: NDArray[np.int64]
    value: NDArray[np.float32]
    where: NDArray[np.int64]

    def take(self, index: NDArray[np.int64]) -> _Ranking:
        """The entries at `index` (C, k); where that is −1, image −1."""
        safe, gone = np.maximum(index, 0), index < 0
        return _Ranking(
            np.where(gone, -1, np.take_along_axis(self.image, safe, axis=1)),
            np.where(gone, np.float32("nan"), np.take_along_axis(self.value, safe, axis=1)),
            np.take_along_axis(self.where, safe, axis=1),
        )


class _Best:
    """Running best k images of every channel; `sign` is +1 for highest, −1 for lowest.

    With `k` None all images are kept: windows of few photographs, to be thinned out at the end.
    """

    def __init__(self, sign: float, k: int | None) -> None:
        self._sign, self._k = sign, k
        self._parts: list[tuple[Tensor, Tensor, Tensor]] = []

    def update(self, flat: Tensor, images: Tensor) -> None:
        """Take in flat maps (B, C, N) of the images numbered `images` (B,)."""
        peak, where = (flat * self._sign).max(dim=2)
        self._parts.append((peak, images[:, None].expand_as(peak), where))
        if self._k is not None:
            self._parts = [self._sorted()]

    def _sorted(self) -> tuple[Tensor, Tensor, Tensor]:
        value, image, where = (torch.cat(parts) for parts in zip(*self._parts, strict=True))
        # Stable: among equals, the image that comes first in the dataset stays first.
        order = value.argsort(dim=0, descending=True, stable=True)[: self._k]
        return value.gather(0, order), image.gather(0, order), where.gather(0, order)

    def ranking(self) -> _Ranking:
        """What was seen, best first."""
        value, image, where = (part.T.cpu().numpy().copy() for part in self._sorted())
        return _Ranking(image, value * np.float32(self._sign), where)


class _LayerState:
    """Everything followed for one layer during a pass."""

    def __init__(self, channels: int, keep: int | None, device: torch.device | str) -> None:
        self._top, self._bottom = _Best(1.0, keep), _Best(-1.0, keep)
        zeros = torch.zeros(channels, dtype=torch.float64, device=device)
        self._sum, self._squares, self._fires = zeros.clone(), zeros.clone(), zeros.clone()
        self._score, self._negative = zeros.clone(), zeros.clone()
        self._positions, self.images, self._width = 0, 0, 1

    def update(self, taps: Tensor, images: Tensor) -> None:
        """Take in a batch of pre-ReLU maps (B, C, H, W)."""
        flat = taps.flatten(2)
        self._top.update(flat, images)
        self._bottom.update(flat, images)
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

    def finish(self, k: int, thin: Thin | None) -> ExampleTable:
        """The table of what was seen; `thin` passes over images that show the same place."""
        top, bottom = self._top.ranking(), self._bottom.ranking()
        mean = self._sum / self._positions
        variance = (self._squares / self._positions - mean.square()).clamp(min=0)
        stats = {
            "min": torch.as_tensor(bottom.value[:, 0]).double(),
            "max": torch.as_tensor(top.value[:, 0]).double(),
            "mean": mean,
            "std": variance.sqrt(),
            "fires": self._fires / self.images,
            "best_score": self._score,
            "best_negative_score": self._negative,
        }
        arrays = {name: value.cpu().numpy() for name, value in stats.items()}
        if thin is not None:
            top, bottom = thin(top, bottom, self._width)
        else:
            every = np.arange(k)[None].repeat(len(top.image), 0)
            every[:, top.image.shape[1] :] = -1
            top, bottom = top.take(every), bottom.take(every)
        sides = ((r.image, r.value, self._position(r.where)) for r in (top, bottom))
        return ExampleTable(*next(sides), *next(sides), arrays, self.images)

    def _position(self, where: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.stack([where // self._width, where % self._width], axis=2)


Thin = Callable[[_Ranking, _Ranking, int], tuple[_Ranking, _Ranking]]


def _thin(source: Source, field: ReceptiveField, viewing: Viewing, k: int) -> Thin:
    """Chooses a layer's examples so that no two of a channel show the same place (`distinct`)."""
    names = sorted({item.photo or item.id for item in source.items})
    number = {name: i for i, name in enumerate(names)}
    photo = np.array([number[item.photo or item.id] for item in source.items])
    size = np.array([source.size(i) for i in range(len(source))])
    corner = np.array([(item.box or (0, 0))[:2] for item in source.items])

    def places(ranking: _Ranking, width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        position = np.stack([ranking.where // width, ranking.where % width], axis=2)
        boxes = crop_boxes(field, position, size[ranking.image], viewing)
        return boxes + np.tile(corner[ranking.image], 2), photo[ranking.image]

    def thin(top: _Ranking, bottom: _Ranking, width: int) -> tuple[_Ranking, _Ranking]:
        boxes, photos = places(top, width)
        chosen = choose(boxes, photos, k)
        low_boxes, low_photos = places(bottom, width)
        blocked = np.zeros(low_photos.shape, bool)
        rows = np.arange(len(boxes))
        for rank in range(k):
            at = chosen[:, rank]
            near = overlaps(
                low_boxes, low_photos, boxes[rows, at][:, None], photos[rows, at][:, None]
            )
            blocked |= near & (at >= 0)[:, None]
        return top.take(chosen), bottom.take(choose(low_boxes, low_photos, k, blocked))

    return thin


def collect(
    network: Network,
    source: Source,
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
        viewing: how photographs become network input; by default as the network was trained.
        progress: called with (images done, images in all).

    Raises:
        DatasetError: not one image could be read.
    """
    viewing = viewing or Viewing(*network.view)
    windows = source.windows
    skipped: list[tuple[str, str]] = []
    widths = {layer.name: layer.channels for layer in network.layers}
    keep = None if windows else k
    states = {name: _LayerState(widths[name], keep, device) for name in layers}
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
            f"none of the {len(source)} images of {source.spec} can be read "
            f"(first: {name}: {reason})"
        )
    tables = {}
    for name, state in states.items():
        field = theoretical(network.path(name))
        thin = _thin(source, field, viewing, k) if windows else None
        tables[name] = state.finish(k, thin)
    return Collected(tables, tuple(skipped))


def _batches(
    source: Source, viewing: Viewing, skipped: list[tuple[str, str]]
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
