"""Images put into the lists of their buckets, of all channels at once (`buckets`).

On the CPU by a compiled loop (Numba); where there is none, or the lists are elsewhere, by PyTorch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from atlas.compiled import compiled
from atlas.examples.ranking import Ranking, priority


def insert(lists: Ranking, place: Tensor, images: Tensor, values: Tensor, where: Tensor) -> None:
    """Put images (N,) into their buckets, in place, where their priority is low enough.

    Args:
        lists: (k, C, B) over channels and buckets, a bucket's places beside each other in memory.
        place: (C, N), the bucket an image belongs to.
        values: (N, C), what it shows, and `where` its flat map position.
    """
    key, by_key = (-priority(images)).sort(descending=True)
    loop = compiled(_insert) if place.device.type == "cpu" else None
    if loop is None:
        _by_torch(lists, place, images, values, where, key, by_key)
        return
    fields = [field.movedim(0, -1).numpy() for field in vars(lists).values()]
    loop(
        *fields,
        place.numpy(),
        key.numpy(),
        by_key.numpy(),
        images.numpy(),
        values.numpy(),
        where.numpy(),
    )


def _insert(
    keys: Any,
    names: Any,
    shown: Any,
    at: Any,
    place: Any,
    key: Any,
    by_key: Any,
    images: Any,
    values: Any,
    where: Any,
) -> None:
    """Into lists (C, B, k), best first."""
    k = keys.shape[2]
    channels, count = place.shape
    for c in range(channels):
        for m in range(count):
            n = by_key[m]
            bucket = place[c, n]
            if not key[m] > keys[c, bucket, k - 1]:
                continue
            i = k - 1
            while i > 0 and keys[c, bucket, i - 1] < key[m]:
                keys[c, bucket, i] = keys[c, bucket, i - 1]
                names[c, bucket, i] = names[c, bucket, i - 1]
                shown[c, bucket, i] = shown[c, bucket, i - 1]
                at[c, bucket, i] = at[c, bucket, i - 1]
                i -= 1
            keys[c, bucket, i] = key[m]
            names[c, bucket, i] = images[n]
            shown[c, bucket, i] = values[n, c]
            at[c, bucket, i] = where[n, c]


def _by_torch(
    lists: Ranking,
    place: Tensor,
    images: Tensor,
    values: Tensor,
    where: Tensor,
    key: Tensor,
    by_key: Tensor,
) -> None:
    k, _, buckets = lists.key.shape
    # As (C · B, k), in the same memory.
    fields = {name: field.movedim(0, -1).view(-1, k) for name, field in vars(lists).items()}
    channels, count = place.shape
    column = torch.arange(count, device=place.device)
    # Each channel's images by bucket, in a bucket by key: one sort, since the code says both.
    bits = max(1, (count - 1).bit_length())
    code = _sorted(((place[:, by_key] << bits) + column).to(torch.int32))
    bucket, nth = code >> bits, code & ((1 << bits) - 1)
    begins = torch.ones_like(bucket, dtype=torch.bool)
    begins[:, 1:] = bucket[:, 1:] != bucket[:, :-1]
    rank = column - torch.where(begins, column, 0).cummax(dim=1).values
    slot = bucket + torch.arange(channels, device=place.device)[:, None] * buckets
    enters = (rank < k) & (key[nth] > fields["key"][:, -1][slot])
    if not bool(enters.any()):
        return
    channel, at = enters.nonzero(as_tuple=True)
    rank, slot, nth = rank[channel, at], slot[channel, at], nth[channel, at]
    # The first of a bucket enters if any does: it marks where the bucket's row begins.
    first = rank == 0
    rows, row = slot[first].long(), first.cumsum(0) - 1
    image = by_key[nth]
    fresh = Ranking.empty(k, (len(rows),), place.device)
    new = {
        "key": key[nth],
        "image": images[image],
        "value": values[image, channel],
        "where": where[image, channel],
    }
    if bool((fields["key"][:, 0] == -torch.inf).all()):  # nothing to merge with
        for name, entries in new.items():
            fields[name][slot, rank] = entries.to(fields[name].dtype)
        return
    both = {}
    for name, entries in new.items():
        room = getattr(fresh, name).T.contiguous()
        room[row, rank] = entries.to(room.dtype)
        both[name] = torch.cat([fields[name].index_select(0, rows), room], dim=1)
    order = _merged(both["key"][:, :k], both["key"][:, k:])[:, :k]
    for name, field in fields.items():
        field.index_copy_(0, rows, both[name].gather(1, order))


def _sorted(rows: Tensor) -> Tensor:
    """Rows of int32 sorted; on the CPU by NumPy, which is fifty times as fast at it."""
    if rows.device.type != "cpu":
        return rows.sort(dim=1).values
    return torch.from_numpy(np.sort(rows.numpy(), axis=1))


def _merged(one: Tensor, two: Tensor) -> Tensor:
    """The order, descending, of rows (N, k) beside (N, k), each descending already: (N, 2k).

    A number's place is how many stand before it: for rows this short found in less than half
    the time of a sort.
    """
    after_two = (two[:, None, :] > one[:, :, None]).sum(2)
    after_one = (one[:, None, :] >= two[:, :, None]).sum(2)
    column = torch.arange(2 * one.shape[1], device=one.device)
    place = torch.cat([after_two, after_one], dim=1) + column % one.shape[1]
    return torch.empty_like(place).scatter_(1, place, column.expand_as(place))
