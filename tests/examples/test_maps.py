"""Maps of channels over photographs, against the network's taps taken one by one."""

from __future__ import annotations

import numpy as np
import torch

from atlas.examples import maps
from atlas.examples.maps import Wanted, images_of, maps_of
from atlas.examples.sources import open_source
from atlas.examples.view import Viewing
from tests.conftest import make_photo

VIEWING = Viewing(64, 56)


def direct(toy, source, one):
    view = torch.tensor(VIEWING.apply(source.load(one.image))).permute(2, 0, 1)[None]
    return toy.taps(view.to(torch.float32) / 255, one.layer)[0, one.channel].numpy()


class Counting:
    """The toy, remembering batches and layers walked to."""

    def __init__(self, toy):
        self._toy, self.walked = toy, []

    def walk(self, x, layers):
        self.walked.append((len(x), tuple(layers)))
        return self._toy.walk(x, layers)


def test_maps_are_the_networks_taps_before_the_relu(toy, photos):
    source = open_source(f"folder:{photos}")
    rng = np.random.default_rng(1)
    wanted = [
        Wanted(int(rng.integers(24)), layer.name, channel)
        for layer in toy.layers
        for channel in range(layer.channels)
    ]
    done = []
    found = maps_of(toy, source, wanted, VIEWING, progress=done.append)
    assert {name: sorted(of) for name, of in found.items()} == {
        layer.name: list(range(layer.channels)) for layer in toy.layers
    }
    for one in wanted:
        map_ = found[one.layer][one.channel]
        assert map_.dtype == np.float32
        np.testing.assert_allclose(map_, direct(toy, source, one), rtol=1e-4, atol=1e-5)
    assert done[-1] == len(images_of(wanted))
    assert min(of.min() for of in found["things"].values()) < 0


def test_every_image_passes_once_and_only_as_far_as_needed(toy, photos, monkeypatch):
    monkeypatch.setattr(maps, "BATCH", 2)
    network = Counting(toy)
    wanted = [
        Wanted(3, "edges", 0),
        Wanted(9, "things", 1),
        Wanted(3, "edges", 1),
        Wanted(5, "shapes", 0),
        Wanted(3, "shapes", 4),
    ]
    maps_of(network, open_source(f"folder:{photos}"), wanted, VIEWING)
    assert network.walked == [(2, ("edges", "shapes")), (1, ("things",))]


def test_an_image_that_can_no_longer_be_read_is_left_out(toy, tmp_path):
    rng = np.random.default_rng(2)
    for i in range(3):
        make_photo(rng, 70, 64).save(tmp_path / f"{i}.png")
    source = open_source(f"folder:{tmp_path}")
    (tmp_path / "1.png").write_bytes(b"gone")
    wanted = [Wanted(i, "shapes", i) for i in range(3)]
    found = maps_of(toy, source, wanted, VIEWING)
    assert sorted(found["shapes"]) == [0, 2]
    for one in (wanted[0], wanted[2]):
        np.testing.assert_allclose(
            found["shapes"][one.channel], direct(toy, source, one), rtol=1e-4, atol=1e-5
        )
    assert maps_of(toy, source, wanted[1:2], VIEWING) == {}
