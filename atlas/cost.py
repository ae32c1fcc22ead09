"""What a render costs, so that shards get equal amounts of work and not equal numbers of chunks.

A step of a render runs the network up to its layer and back, and besides makes the image from its
parameterization, transforms it and steps. The first grows with the layer's depth, the second is
the same for all; both grow with the image's pixels and the recipe's steps, which a plan's renders
share. So an image of a layer costs, but for a common factor, ``F + OWN`` where F are the floating
point operations of the network's forward pass up to the layer per pixel of the image.

Measured for the embedded GoogLeNet at 128 px, the seven renders of a channel a batch, processor
time in bfloat16: this fits the time of a step to within 5 % from mixed3a on but for mixed3b, whose
comparison of diverse images costs more (21 %), and to 20 % in the first three layers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from atlas.models.network import Network

OWN = 34_000
"""Operations a pixel that take as long as what every step does beside the network (measured)."""

_PROBE = 64
"""Side in pixels of the image that is sent through the network to count."""


def layer_costs(
    network: Network, layers: Sequence[str], device: torch.device | str = "cpu"
) -> dict[str, int]:
    """The cost of an image of each layer per pixel and step; whole numbers, the same on every
    machine.

    Args:
        network: on `device`.
    """
    # Takes 100 MB to import, for nothing where no shard is cut.
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    x = torch.zeros(1, 3, _PROBE, _PROBE, device=device)
    with counter, torch.inference_mode():
        return {
            name: counter.get_total_flops() // _PROBE**2 + OWN
            for name, _ in network.walk(x, layers)
        }
