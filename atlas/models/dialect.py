"""Three trained GoogLeNets as data: what differs between them, and the layers they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from atlas.units import Branch, Layer

STEM = ("conv2d0", "conv2d1", "conv2d2")
BLOCKS = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")

# Output widths of a block: 1x1, 3x3 bottleneck, 3x3, 5x5 bottleneck, 5x5, pool projection
# (Szegedy et al. 2014, table 1).
_WIDTHS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


@dataclass(frozen=True)
class Dialect:
    """What differs between trained GoogLeNets (DESIGN §6).

    `scale` and `shift` map RGB in [0, 1] to the network's own input, ``scale * x + shift`` per
    channel of the *network's* order; `bgr` flips the channels first. `naming` is whose names the
    weights files use, `view` how photographs are brought to size (short side, centre crop).
    """

    name: str
    naming: Literal["torchvision", "caffe", "lucid"]
    classes: int
    scale: tuple[float, float, float]
    shift: tuple[float, float, float]
    bgr: bool = False
    five: int = 5
    lrn: tuple[int, float, float] | None = None  # size, alpha, beta; k is 1
    tensorflow_padding: bool = False
    last_pool: int = 3
    view: tuple[int, int] = (256, 224)
    widths: Mapping[str, tuple[int, int, int, int, int, int]] = field(
        default_factory=lambda: dict(_WIDTHS)
    )


TORCHVISION = Dialect(
    "googlenet", "torchvision", 1000, scale=(2.0,) * 3, shift=(-1.0,) * 3, five=3, last_pool=2
)
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, as torchvision has them
MINI = replace(
    TORCHVISION,
    name="googlenet-mini",
    classes=200,
    scale=(1 / _STD[0], 1 / _STD[1], 1 / _STD[2]),
    shift=(-_MEAN[0] / _STD[0], -_MEAN[1] / _STD[1], -_MEAN[2] / _STD[2]),
    view=(64, 64),
)
CAFFE = Dialect(
    "googlenet-bvlc",
    "caffe",
    1000,
    scale=(255.0,) * 3,
    shift=(-104.0, -117.0, -123.0),
    bgr=True,
    lrn=(5, 1e-4, 0.75),
)
LUCID = Dialect(
    "inceptionv1",
    "lucid",
    1008,
    scale=(255.0,) * 3,
    shift=(-117.0,) * 3,
    lrn=(9, 9.99999974738e-05, 0.5),
    tensorflow_padding=True,
    widths=_WIDTHS | {"4a": (192, 96, 204, 16, 48, 64), "5a": (256, 160, 320, 48, 128, 128)},
)


def layers_of(dialect: Dialect) -> tuple[Layer, ...]:
    """The twelve layers with their branches and the names other libraries give them."""
    stem = [
        Layer("conv2d0", (Branch("7x7", 0, 64),), ("conv1", "conv1/7x7_s2")),
        Layer("conv2d1", (Branch("1x1", 0, 64),), ("conv2", "conv2/3x3_reduce")),
        Layer("conv2d2", (Branch("3x3", 0, 192),), ("conv3", "conv2/3x3")),
    ]
    mixed = []
    for block in BLOCKS:
        one, _, three, _, five, pool = dialect.widths[block]
        branches, start = [], 0
        for name, width in zip(
            ("1x1", "3x3", "5x5", "pool"), (one, three, five, pool), strict=True
        ):
            branches.append(Branch(name, start, start + width))
            start += width
        aliases = (f"inception{block}", f"inception_{block}", f"inception_{block}/output")
        mixed.append(Layer(f"mixed{block}", tuple(branches), aliases))
    return (*stem, *mixed)


def bottlenecks_of(dialect: Dialect) -> tuple[Layer, ...]:
    """The 1x1 reductions inside the blocks: tapped like layers, but not shown in an atlas."""
    found = []
    for block in BLOCKS:
        _, three, _, five, _, _ = dialect.widths[block]
        for part, width, number in (("3x3", three, 2), ("5x5", five, 3)):
            aliases = (f"inception{block}.branch{number}.0", f"inception_{block}/{part}_reduce")
            branch = Branch(f"{part}_bottleneck", 0, width)
            found.append(Layer(f"mixed{block}_{part}_bottleneck", (branch,), aliases))
    return tuple(found)


def conv_shapes(dialect: Dialect) -> dict[str, tuple[int, int, int, int]]:
    """Weight shape (out, in, kh, kw) of every convolution, by Distill's name, in order."""
    shapes = {
        "conv2d0": (64, 3, 7, 7),
        "conv2d1": (64, 64, 1, 1),
        "conv2d2": (192, 64, 3, 3),
    }
    channels = 192
    for block in BLOCKS:
        one, three_in, three, five_in, five, pool = dialect.widths[block]
        name = f"mixed{block}"
        shapes[f"{name}_1x1"] = (one, channels, 1, 1)
        shapes[f"{name}_3x3_bottleneck"] = (three_in, channels, 1, 1)
        shapes[f"{name}_3x3"] = (three, three_in, 3, 3)
        shapes[f"{name}_5x5_bottleneck"] = (five_in, channels, 1, 1)
        shapes[f"{name}_5x5"] = (five, five_in, dialect.five, dialect.five)
        shapes[f"{name}_pool_reduce"] = (pool, channels, 1, 1)
        channels = one + three + five + pool
    return shapes
