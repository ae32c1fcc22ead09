"""The published accuracy of the real weights, which no wrong detail of a dialect survives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from atlas.examples.sources import FolderSource
from atlas.examples.view import Viewing
from atlas.models.zoo import load_model
from atlas.optvis.parameterize import from_uint8


@pytest.mark.real
def test_caffes_googlenet_classifies_as_it_should(real_net, real_photos):
    source, viewing = FolderSource(real_photos), Viewing(*real_net.view)
    top1 = top5 = 0
    for start in range(0, 1000, 20):
        views = np.stack([viewing.apply(source.load(i)) for i in range(start, start + 20)])
        with torch.inference_mode():
            best = real_net.logits(from_uint8(torch.from_numpy(views))).topk(5).indices
        # One photograph a class, folders in class order.
        hits = best == torch.arange(start, start + 20)[:, None]
        top1 += int(hits[:, 0].sum())
        top5 += int(hits.sum())
    assert top1 >= 725
    assert top5 >= 920


def test_the_embedded_network_knows_its_classes():
    net = load_model("googlenet-mini")
    assert net.classes == len(net.labels) == 200
    assert net.labels[0] == "goldfish"
    assert net.taps(torch.rand(1, 3, 64, 64), "mixed5b").shape == (1, 1024, 2, 2)
