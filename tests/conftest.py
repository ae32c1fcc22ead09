"""Shared fixtures: a toy network, made-up photographs, random weights, the real files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from atlas.models.dialect import CAFFE, conv_shapes
from atlas.models.googlenet import GoogLeNet
from atlas.models.weights import _their_name
from atlas.models.zoo import load_model
from tests.toy import ToyNetwork

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def toy() -> ToyNetwork:
    return ToyNetwork()


def make_photo(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """A smooth random picture: blobs of colour, no two alike."""
    small = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset folder of 24 pictures in three classes, of several sizes and formats."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(3)
    for i in range(24):
        folder = root / ("n01440764", "zebra", "owl")[i % 3]
        folder.mkdir(exist_ok=True)
        width, height = ((300, 240), (240, 300), (256, 256), (500, 260))[i % 4]
        suffix = ("jpg", "png")[i % 2]
        make_photo(rng, width, height).save(folder / f"{i:02}.{suffix}")
    return root


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file for `googlenet-bvlc` with random parameters that keep signals alive."""
    torch.manual_seed(2)
    state = {}
    for name, shape in conv_shapes(CAFFE).items():
        theirs = _their_name(name, CAFFE)
        fan_in = shape[1] * shape[2] * shape[3]
        state[f"{theirs}.weight"] = torch.randn(shape) * (2 / fan_in) ** 0.5
        state[f"{theirs}.bias"] = torch.randn(shape[0]) * 0.1
    state["loss3_classifier.weight"] = torch.randn(1000, 1024) * 0.03
    state["loss3_classifier.bias"] = torch.randn(1000)
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_file(state, path)
    return path


def _shared(part: str) -> Path:
    path = SHARED / part
    if not path.exists():
        pytest.skip(f"needs ../shared/{part}, which is not here")
    return path


@pytest.fixture(scope="session")
def real_weights() -> Path:
    return _shared("weights/googlenet-bvlc.safetensors")


@pytest.fixture(scope="session")
def real_net(real_weights: Path) -> GoogLeNet:
    return load_model("googlenet-bvlc", real_weights)


@pytest.fixture(scope="session")
def real_photos() -> Path:
    return _shared("imagenet/sample-1000")
