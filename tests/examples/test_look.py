"""One look at a batch, beside NumPy over the same maps."""

import numpy as np
import pytest
import torch

from atlas.examples import scan
from atlas.examples.look import Columns, look_at

SIZES = {"one": (3, 9, 5), "two": (5, 4, 4), "three": (2, 1, 1)}


class _Maps:
    """A network whose maps are given; it goes on from some of them only."""

    def __init__(self, maps, goes_on):
        self.maps, self.goes_on = maps, goes_on

    def walk(self, _x, layers, relu):
        for name in layers:
            yield name, self.maps[name]
            if name in self.goes_on:
                relu(self.maps[name])


@pytest.mark.parametrize("slab", [1, 500, 4_000_000, 0])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("goes_on", [(), ("one", "two"), tuple(SIZES)])
def test_a_look_is_what_numpy_finds(monkeypatch, slab, order, goes_on):
    """By PyTorch in slabs of so many bytes, or by the loop."""
    if slab:
        monkeypatch.setattr(scan, "SLAB", slab)
        monkeypatch.setattr(scan, "compiled", lambda _: None)
    draws = np.random.default_rng(slab)
    # Few whole numbers: most maps have their extremes at several places.
    maps = {name: draws.integers(-3, 4, (7, *size)) for name, size in SIZES.items()}
    tensors = {
        name: torch.from_numpy(values).float().contiguous(memory_format=order)
        for name, values in maps.items()
    }
    columns = Columns.of({name: size[0] for name, size in SIZES.items()})
    with torch.inference_mode():
        found, sizes = look_at(
            _Maps(tensors, goes_on), torch.zeros(7, 3, 8, 8), torch.arange(7), 64, columns
        )
    assert sizes == {name: size[1:] for name, size in SIZES.items()}
    assert found.seen == {64: 7}
    for name, (start, stop) in columns.layers.items():
        flat = maps[name].reshape(7, stop - start, -1)
        expected = {
            "high": flat.max(2), "high_at": flat.argmax(2), "low": flat.min(2),
            "low_at": flat.argmin(2), "score": flat.clip(0).mean(2),
            "negative": (-flat).clip(0).mean(2),
        }  # fmt: skip
        for key, values in expected.items():
            got = getattr(found, key)[:, start:stop].numpy()
            np.testing.assert_allclose(got, values, rtol=1e-5, atol=1e-6, err_msg=f"{name} {key}")
        sums = np.stack([flat.sum((0, 2)), (flat**2).sum((0, 2))])
        np.testing.assert_allclose(found.sums[64][:, start:stop].numpy(), sums, rtol=1e-6)
