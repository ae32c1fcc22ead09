"""Weight files → Distill-named parameters, BatchNorm folded.

Three libraries name GoogLeNet's parameters in three ways; this module knows them all and says in
one sentence what is wrong with a file. Nothing is ever unpickled beyond tensors.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import warnings
import zipfile
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from atlas.errors import ModelError
from atlas.models.dialect import Dialect, conv_shapes

_BN = ("weight", "bias", "running_mean", "running_var")
_BN_EPS = 1e-3  # torchvision.models.googlenet.BasicConv2d

_TORCHVISION_PARTS = {
    "1x1": "branch1",
    "3x3_bottleneck": "branch2.0",
    "3x3": "branch2.1",
    "5x5_bottleneck": "branch3.0",
    "5x5": "branch3.1",
    "pool_reduce": "branch4.1",
}
_CAFFE_PARTS = {
    "1x1": "1x1",
    "3x3_bottleneck": "3x3_reduce",
    "3x3": "3x3",
    "5x5_bottleneck": "5x5_reduce",
    "5x5": "5x5",
    "pool_reduce": "pool_proj",
}
_STEMS = {
    "torchvision": {"conv2d0": "conv1", "conv2d1": "conv2", "conv2d2": "conv3", "head": "fc"},
    "caffe": {
        "conv2d0": "conv1_7x7_s2",
        "conv2d1": "conv2_3x3_reduce",
        "conv2d2": "conv2_3x3",
        "head": "loss3_classifier",
    },
    "lucid": {"head": "softmax2_pre_activation_matmul"},
}
# Auxiliary heads exist for training only (DESIGN §6) and are left out.
_IGNORED_PREFIXES = ("aux1.", "aux2.", "loss1_", "loss2_")


def digest_of(path: Path) -> str:
    """sha256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors`` file, or of a ``.pth`` read with ``weights_only=True``.

    Raises:
        ModelError: missing, unreadable, truncated, not a weights file, or holding more than
            tensors.
    """
    if not path.exists():
        raise ModelError(f"weights file {path} does not exist")
    if not path.is_file():
        raise ModelError(f"weights {path} is not a file")
    try:
        if path.suffix == ".safetensors":
            state: object = load_file(path)
        else:
            _check_unpacked(path)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what PyTorch warns of is an error below
                state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(
            f"weights file {path} cannot be read: {error.strerror or error}"
        ) from error
    except SafetensorError as error:
        raise ModelError(
            f"weights file {path} is not a whole safetensors file: {_first_line(error)}"
        ) from error
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"weights file {path} is not a PyTorch state dict, "
            "or holds more than tensors, which is refused"
        ) from error
    except ModelError:
        raise
    except Exception as error:  # what a damaged pickle makes the reader stumble over is anything
        raise ModelError(f"weights file {path} is damaged or not a PyTorch file") from error
    if isinstance(state, dict) and set(state) == {"state_dict"}:
        state = state["state_dict"]
    if not isinstance(state, dict) or not state:
        raise ModelError(f"weights file {path} holds no state dict")
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise ModelError(f"weights file {path}: entry {key!r} is not a tensor")
    return state


def _check_unpacked(path: Path) -> None:
    """PyTorch's files are archives of what is not compressed; one that is unpacks to anything.

    Raises:
        ModelError: it would unpack to more than it is.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > (stored := path.stat().st_size):
            raise ModelError(
                f"weights file {path} would unpack from {stored:,} to {unpacked:,} bytes; "
                "PyTorch does not compress, so it is none of its files"
            )


def read_labels(path: Path) -> tuple[str, ...]:
    """Class names that a safetensors file carries in its metadata (key ``labels``, a JSON list);
    none where it carries none that can be read."""
    with safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
    try:
        labels = json.loads(metadata.get("labels", "[]"))
    except (ValueError, RecursionError):
        return ()
    return tuple(str(label) for label in labels) if isinstance(labels, list) else ()


def convert(state: dict[str, Tensor], dialect: Dialect, where: str) -> dict[str, Tensor]:
    """Rename a library's state dict to Distill's names and fold BatchNorm into the convolutions.

    Args:
        state: as the library of `dialect` names it; auxiliary heads are ignored.
        dialect: which network is expected; the number of classes may differ.
        where: the file, for messages.

    Raises:
        ModelError: missing keys, extra keys, a wrong shape or a value that is not finite.
    """
    expected = _expected_shapes(state, dialect)
    keys = {
        key
        for key in state
        if not key.startswith(_IGNORED_PREFIXES) and not key.endswith("num_batches_tracked")
    }
    if missing := sorted(expected.keys() - keys):
        raise ModelError(
            f"{where} is no {dialect.name}: {len(missing)} of {len(expected)} keys are missing, "
            f"first {missing[0]!r}"
        )
    if extra := sorted(keys - expected.keys()):
        raise ModelError(
            f"{where} is no {dialect.name}: {len(extra)} keys do not belong, first {extra[0]!r}"
        )
    for key, shape in expected.items():
        if tuple(state[key].shape) != shape:
            raise ModelError(
                f"{where}: {key!r} has shape {tuple(state[key].shape)}, "
                f"{dialect.name} needs {shape}"
            )
        if not state[key].is_floating_point() or not bool(torch.isfinite(state[key]).all()):
            raise ModelError(f"{where}: {key!r} holds values that are not finite numbers")
    result: dict[str, Tensor] = {}
    for name in (*conv_shapes(dialect), "head"):
        theirs = _their_name(name, dialect)
        if dialect.naming == "torchvision" and name != "head":
            weight, bias = _fold(state, theirs)
        else:
            weight, bias = state[f"{theirs}.weight"], state[f"{theirs}.bias"]
        result[f"{name}.weight"], result[f"{name}.bias"] = weight.float(), bias.float()
    return result


def _expected_shapes(state: dict[str, Tensor], dialect: Dialect) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in conv_shapes(dialect).items():
        theirs = _their_name(name, dialect)
        if dialect.naming == "torchvision":
            shapes[f"{theirs}.conv.weight"] = shape
            shapes |= {f"{theirs}.bn.{part}": shape[:1] for part in _BN}
        else:
            shapes[f"{theirs}.weight"], shapes[f"{theirs}.bias"] = shape, shape[:1]
    head = _their_name("head", dialect)
    bias = state.get(f"{head}.bias")
    classes = len(bias) if bias is not None and bias.ndim == 1 else dialect.classes
    return shapes | {f"{head}.weight": (classes, 1024), f"{head}.bias": (classes,)}


def _their_name(name: str, dialect: Dialect) -> str:
    """Distill's name of a parameter in the words of the dialect's library."""
    stems = _STEMS[dialect.naming]
    if name in stems:
        return stems[name]
    if dialect.naming == "lucid":
        return f"{name}_pre_relu_conv"
    block, part = name.removeprefix("mixed").split("_", 1)
    if dialect.naming == "torchvision":
        return f"inception{block}.{_TORCHVISION_PARTS[part]}"
    return f"inception_{block}_{_CAFFE_PARTS[part]}"


def _fold(state: dict[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    """Fold BatchNorm into its convolution: w·γ/σ and β − μ·γ/σ, computed in float64."""
    gamma, beta, mean, variance = (state[f"{name}.bn.{part}"].double() for part in _BN)
    factor = gamma / torch.sqrt(variance + _BN_EPS)
    weight = state[f"{name}.conv.weight"].double() * factor[:, None, None, None]
    return weight, beta - mean * factor


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
