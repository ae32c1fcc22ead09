"""The networks we know by name: where their weights come from and what they are."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.error import URLError

from atlas.errors import ModelError
from atlas.memory import keep_freed_memory
from atlas.models import dialect, weights
from atlas.models.dialect import Dialect, conv_shapes
from atlas.models.googlenet import GoogLeNet
from atlas.units import Layer

_DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Entry:
    """A network of the zoo.

    `weights` says where its weights come from; `input_range` what RGB in [0, 1] becomes.
    `sha256` is the digest of the published file where we have verified one (files with another
    digest load all the same: people fine-tune).
    """

    name: str
    title: str
    dialect: Dialect
    weights: str
    input_range: str
    labels: str | None = None
    sha256: str | None = None

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Layers, branches and aliases, in network order."""
        return dialect.layers_of(self.dialect)

    @property
    def channels(self) -> int:
        """Channels of all layers together."""
        return sum(layer.channels for layer in self.layers)

    @property
    def parameters(self) -> int:
        """Number of parameters, BatchNorm folded, without auxiliary heads."""
        convs = conv_shapes(self.dialect).values()
        head = self.dialect.classes * 1025
        return sum(o * (i * kh * kw + 1) for o, i, kh, kw in convs) + head


ZOO = {
    entry.name: entry
    for entry in (
        Entry(
            "googlenet",
            "GoogLeNet, torchvision's weights (BatchNorm)",
            dialect.TORCHVISION,
            weights="torchvision GoogLeNet_Weights.IMAGENET1K_V1 (downloaded once), or --weights",
            input_range="2x − 1",
            labels="imagenet",
        ),
        Entry(
            "googlenet-bvlc",
            "GoogLeNet, Caffe's weights (BVLC)",
            dialect.CAFFE,
            weights="--weights FILE",
            input_range="BGR, 255x − (104, 117, 123)",
            labels="imagenet",
            sha256="4301402900957824fe46d23991c5da72bef33f469cae614a648216540adeed8e",
        ),
        Entry(
            "inceptionv1",
            "InceptionV1, Lucid's weights (the network of Distill's appendix)",
            dialect.LUCID,
            weights="--weights FILE",
            input_range="255x − 117",
        ),
        Entry(
            "googlenet-mini",
            "GoogLeNet, trained by this project on Tiny ImageNet (ships with it)",
            dialect.MINI,
            weights="embedded",
            input_range="(x − mean) / std of ImageNet",
            labels="file",
            sha256="8ddf1584d28d6d49d7a8393db9a1626666dc9b09a9554eeffa5671678c2ece81",
        ),
    )
}


def find_entry(name: str) -> Entry:
    """The zoo's entry called `name`.

    Raises:
        ModelError: no such model; the message lists or suggests names.
    """
    if name in ZOO:
        return ZOO[name]
    near = difflib.get_close_matches(name, ZOO, n=2, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known models: {', '.join(ZOO)}"
    raise ModelError(f"unknown model {name!r}; {hint}")


def load_model(name: str, weights_file: str | Path | None = None) -> GoogLeNet:
    """Load a network of the zoo, on the CPU, in float32, with BatchNorm folded.

    Args:
        name: `googlenet`, `googlenet-bvlc`, `inceptionv1` or `googlenet-mini`.
        weights_file: safetensors, or ``.pth`` (read with ``weights_only=True``), named as the
            dialect's library names them. `googlenet-mini` ships with the package and torchvision
            fetches `googlenet`; the others need the file.

    Raises:
        ModelError: unknown model, or weights that are missing, damaged, incomplete or misshapen.
    """
    keep_freed_memory()
    entry = find_entry(name)
    path = Path(weights_file) if weights_file is not None else _default_weights(entry)
    state = weights.convert(weights.read_state(path), entry.dialect, str(path))
    labels: tuple[str, ...] = ()
    if entry.labels == "imagenet":
        labels = imagenet_labels()
    elif entry.labels == "file":
        labels = weights.read_labels(path)
    ids = tuple(imagenet_words()) if entry.labels == "imagenet" else ()
    if len(labels) != len(state["head.bias"]):
        labels = ids = ()
    digest = weights.digest_of(path)
    return GoogLeNet(entry.dialect, state, digest, labels, entry.name, ids)


def _default_weights(entry: Entry) -> Path:
    """The embedded file, or torchvision's own, from its cache or downloaded by it."""
    if entry.weights == "embedded":
        return _DATA / f"{entry.name}.safetensors"
    if entry.name != "googlenet":
        raise ModelError(f"{entry.name} needs its weights: give --weights FILE")
    import torch
    from torchvision.models import GoogLeNet_Weights

    source = GoogLeNet_Weights.IMAGENET1K_V1
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(source.url).name
    if not path.exists():
        try:
            source.get_state_dict(progress=False, check_hash=True)
        except (URLError, OSError, RuntimeError) as error:
            reason = getattr(error, "reason", None) or error
            raise ModelError(
                f"googlenet's weights could not be downloaded ({reason}); "
                f"fetch {source.url} on another machine and give it as --weights FILE, "
                f"or put it at {path}"
            ) from error
    return path


@cache
def imagenet_words() -> dict[str, str]:
    """ImageNet's wnids to readable names, in class order (n01440764 is class 0, tench)."""
    lines = (_DATA / "imagenet.tsv").read_text("utf-8").splitlines()
    pairs = (line.split("\t") for line in lines)
    return {pair[0]: pair[1] for pair in pairs}


def imagenet_labels() -> tuple[str, ...]:
    """The 1000 class names of ILSVRC2012 in class order."""
    return tuple(imagenet_words().values())
