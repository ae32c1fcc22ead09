"""A pass's state as bytes: what an interrupted pass goes on from, and parts are merged from."""

from __future__ import annotations

import json
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from atlas.examples.buckets import Buckets
from atlas.examples.ranking import Ranking, Sample
from atlas.examples.state import State

_RANKING = ("key", "image", "value", "where")
_SAMPLE = ("image", "value", "where")
_GRID = ("low", "high", "exponent", "first", "counts")
_ABOUT = "about"


def pack_state(state: State) -> bytes:
    """Everything a state holds, as safetensors."""
    tensors: dict[str, Tensor] = {"fires": state.fires, "best": state.best}
    rankings = {"top": state.top, "bottom": state.bottom, "images": state.buckets.images}
    for name, ranking in rankings.items():
        tensors |= {f"{name}.{part}": getattr(ranking, part) for part in _RANKING}
    tensors |= {f"sample.{part}": getattr(state.sample, part) for part in _SAMPLE}
    tensors |= {f"grid.{part}": getattr(state.buckets, part) for part in _GRID}
    tensors |= {f"sums.{chunk}": value for chunk, value in state.sums.items()}
    labels = list(state.class_sum)
    tensors |= {f"class.{i}": state.class_sum[label] for i, label in enumerate(labels)}
    about = {
        "seen": list(state.seen.items()),
        "labels": labels,
        "counts": [state.class_count[label] for label in labels],
        "skipped": list(state.skipped.items()),
        "maps": list(state.maps.items()),
    }
    text = json.dumps(about).encode()
    tensors[_ABOUT] = torch.frombuffer(bytearray(text), dtype=torch.uint8)
    return save({name: value.cpu().contiguous() for name, value in tensors.items()})


def unpack_state(data: bytes, device: torch.device | str = "cpu") -> State | None:
    """The state that `pack_state` took apart, or None where these bytes are none."""
    try:
        tensors = {name: value.to(device) for name, value in load(data).items()}
        about: dict[str, Any] = json.loads(bytes(tensors[_ABOUT].cpu().numpy()))

        def ranking(name: str) -> Ranking:
            return Ranking(*(tensors[f"{name}.{part}"] for part in _RANKING))

        seen = {int(chunk): int(images) for chunk, images in about["seen"]}
        labels = [str(label) for label in about["labels"]]
        return State(
            ranking("top"),
            ranking("bottom"),
            Sample(*(tensors[f"sample.{part}"] for part in _SAMPLE)),
            Buckets(
                tensors["grid.low"],
                tensors["grid.high"],
                tensors["grid.exponent"],
                tensors["grid.first"],
                tensors["grid.counts"],
                ranking("images"),
            ),
            tensors["fires"],
            tensors["best"],
            seen,
            {chunk: tensors[f"sums.{chunk}"] for chunk in seen if f"sums.{chunk}" in tensors},
            {label: tensors[f"class.{i}"] for i, label in enumerate(labels)},
            dict(zip(labels, map(int, about["counts"]), strict=True)),
            {int(number): str(reason) for number, reason in about["skipped"]},
            {str(layer): (int(h), int(w)) for layer, (h, w) in about["maps"]},
        )
    except (SafetensorError, KeyError, ValueError, TypeError, RecursionError):
        return None
