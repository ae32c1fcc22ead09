"""The whole map of a channel over a photograph: where it fires, not only how strongly."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atlas.examples.decode import UnreadableImageError
from atlas.examples.sources import Source
from atlas.examples.view import Viewing
from atlas.models.network import Network

BATCH = 16

Maps = dict[int, NDArray[np.float32]]
"""By channel, its pre-ReLU map (h, w)."""


class Wanted(NamedTuple):
    """Image `image` of the source, as one channel sees it."""

    image: int
    layer: str
    channel: int


def images_of(wanted: Iterable[Wanted]) -> list[int]:
    """The images that have to be looked at, each once, in the dataset's order."""
    return sorted({one.image for one in wanted})


def maps_of(
    network: Network,
    source: Source,
    wanted: Iterable[Wanted],
    viewing: Viewing,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> dict[str, Maps]:
    """The maps asked for, by layer and channel; each image passes the network once.

    Images that can no longer be read are left out. Of a batch's taps only the maps asked for are
    kept: one of every channel of a GoogLeNet is 11 MB together.

    Args:
        network: on `device`.
        wanted: one image a channel.
        progress: told how many of `images_of` are done.
    """
    by_image: dict[int, list[Wanted]] = {}
    for one in wanted:
        by_image.setdefault(one.image, []).append(one)
    found: dict[str, Maps] = {}
    images = sorted(by_image)
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        views: list[NDArray[np.uint8]] = []
        seen: list[tuple[int, Wanted]] = []
        for image in batch:
            with suppress(UnreadableImageError):
                views.append(viewing.apply(source.load(image)))
                seen += [(len(views) - 1, one) for one in by_image[image]]
        if views:
            x = torch.from_numpy(np.stack(views)).to(device).permute(0, 3, 1, 2)
            _look(network, x.to(torch.float32).div(255).contiguous(), seen, found)
        if progress is not None:
            progress(start + len(batch))
    return found


def _look(
    network: Network, x: Tensor, seen: list[tuple[int, Wanted]], found: dict[str, Maps]
) -> None:
    """Put the maps that are wanted of a batch, by row of `x`, into `found`."""
    with torch.inference_mode():
        for layer, taps in network.walk(x, sorted({one.layer for _, one in seen})):
            here = [(row, one.channel) for row, one in seen if one.layer == layer]
            rows, channels = torch.tensor(here, device=taps.device).T
            kept = taps[rows, channels].cpu().numpy()
            found.setdefault(layer, {}).update(
                (channel, map_) for (_, channel), map_ in zip(here, kept, strict=True)
            )
