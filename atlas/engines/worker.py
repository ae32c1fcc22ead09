"""What a worker of another process does for an engine. It knows nothing of who called it.

The network comes as plain numbers (safetensors), the rest as plain values; photographs are read
here, from where the dataset says they are.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from safetensors.torch import load, save

import atlas
from atlas.engines import Finished
from atlas.engines.local import Renderer
from atlas.errors import DatasetError, WorkError
from atlas.examples import collect
from atlas.examples.checkpoint import pack_state
from atlas.examples.sources import Source, open_source
from atlas.examples.state import State
from atlas.examples.view import Viewing
from atlas.examples.workers import FEWEST_IMAGES, Workers
from atlas.failures import memory_explained
from atlas.memory import keep_freed_memory
from atlas.models.dialect import Dialect, conv_shapes
from atlas.models.googlenet import GoogLeNet
from atlas.optvis import recipe as recipes
from atlas.optvis.recipe import Recipe
from atlas.plan import Chunk


@dataclass(frozen=True)
class Shipped:
    """A network on its way to another process: `tensors` are its parameters as safetensors."""

    dialect: Dialect
    tensors: bytes
    weights_sha256: str
    labels: tuple[str, ...]
    name: str
    class_ids: tuple[str, ...]

    @classmethod
    def of(cls, network: GoogLeNet) -> Shipped:
        """Pack a network, on any device."""
        tensors = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
        return cls(
            network.dialect,
            save(tensors),
            network.weights_sha256,
            network.labels,
            network.name,
            network.class_ids,
        )

    def unpacked(self) -> GoogLeNet:
        """The network, on the CPU."""
        tensors = load(self.tensors)
        blank = {"head.weight": tensors["head_weight"], "head.bias": tensors["head_bias"]}
        for name, shape in conv_shapes(self.dialect).items():
            blank[f"{name}.weight"], blank[f"{name}.bias"] = (
                torch.empty(shape),
                torch.empty(shape[0]),
            )
        network = GoogLeNet(
            self.dialect, blank, self.weights_sha256, self.labels, self.name, self.class_ids
        )
        network.load_state_dict(tensors)
        return network


class Version(NamedTuple):
    """What has to be the same wherever work of one build is done."""

    package: str
    renders: int
    examples: int
    torch: str


def version() -> Version:
    """This process's."""
    return Version(atlas.__version__, recipes.VERSION, collect.VERSION, torch.__version__)


@dataclass(frozen=True)
class Photographs:
    """A pass over photographs, as every worker is told.

    `number` is the pass's: what was seen in another one does not count. `spec` names the dataset,
    `images` are how many of it are looked at, `names` the ids of a few:
    whether everybody sees the same files. `places` are those of the lists, `decoders` the
    processes to decode with.
    """

    number: int
    spec: str
    images: int
    names: tuple[tuple[int, str], ...]
    layers: tuple[str, ...]
    places: int
    viewing: Viewing
    decoders: int

    def opened(self) -> Source:
        """The dataset.

        Raises:
            DatasetError: it cannot be had here, or is another one.
        """
        source = open_source(self.spec, self.images)
        same = len(source) == self.images and all(
            source.items[number].id == name for number, name in self.names
        )
        if not same:
            raise DatasetError(
                f"a worker sees other images than this machine under {self.spec}; "
                "every machine has to find the same files there"
            )
        return source


class Worker:
    """Renders chunks, or looks at photographs and keeps what it saw until it is asked for."""

    def __init__(self) -> None:
        self._photographs: Photographs | None = None
        self._state: State
        self._decoders: Workers | None = None

    def begin(self, network: Shipped, device: str, threads: int) -> Version:
        """Get ready for all that follows.

        Args:
            threads: for computing on the CPU; results depend on their number, by rounding.
        """
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who gives out the work
        keep_freed_memory()
        torch.set_num_threads(threads)
        self._device = device
        with memory_explained(f"loading {network.name}", "fewer workers need less"):
            self._network = network.unpacked()
            self._network.to(device)
        self._renderer = Renderer(self._network, device)
        return version()

    def render(self, chunk: Chunk, recipe: Recipe) -> Finished:
        """Render a chunk."""
        return self._renderer(chunk, recipe)

    def look(self, task: Photographs, todo: Sequence[range]) -> None:
        """Look at chunks of photographs, and add what they show to the state.

        Raises:
            DatasetError: the dataset cannot be had here.
        """
        if task != self._photographs:
            self._open(task)
        with memory_explained("passing over the photographs", "fewer layers need less"):
            going = collect.passing(
                self._network,
                self._source,
                task.layers,
                self._state,
                task.viewing,
                todo,
                self._device,
                workers=self._decoders,
            )
            for state in going:
                self._state = state

    def take(self) -> bytes:
        """The state of all chunks since the last time, which is then forgotten."""
        if self._photographs is None:
            raise WorkError("a worker was asked for photographs it has not seen")
        packed = pack_state(self._state)
        self._state = self._empty(self._photographs)
        return packed

    def _open(self, task: Photographs) -> None:
        self._source = task.opened()
        self._state = self._empty(task)
        if self._decoders is None and task.images >= FEWEST_IMAGES:
            self._decoders = Workers(task.decoders)
        self._photographs = task

    def _empty(self, task: Photographs) -> State:
        channels = collect.columns_of(self._network, task.layers).total
        return State.empty(channels, task.places, self._device)
