"""Config and model → what has to exist: renders in fixed chunks, example tables by layer.

The plan is pure: it depends on the config, the model and the dataset's fingerprint, never on
what happens to be in the store (DESIGN §5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush

from atlas import fields
from atlas.config import Config
from atlas.examples import collect
from atlas.examples.view import Viewing
from atlas.models.network import Network
from atlas.optvis.recipe import Recipe
from atlas.optvis.subject import Render, renders_of
from atlas.store import key_of
from atlas.units import Unit, by_layer, parse_units

CHUNK_IMAGES = {"cpu": 8, "cuda": 256}
"""Images per batch aimed at: beyond 8, two CPU cores gain nothing."""


@dataclass(frozen=True)
class Chunk:
    """Renders that are made together, always; of one layer."""

    layer: str
    renders: tuple[Render, ...]


class Recipes(Mapping[Render, Mapping[str, object]]):
    """The store's recipe of each render, made when it is asked for: all of them at a time would be
    what all share, as often as there are renders."""

    def __init__(self, shared: Mapping[str, object], renders: Sequence[Render]) -> None:
        self._shared, self._renders = dict(shared), dict.fromkeys(renders)

    def __getitem__(self, render: Render) -> Mapping[str, object]:
        if render not in self._renders:
            raise KeyError(render)
        return self._shared | render.as_json()

    def __iter__(self) -> Iterator[Render]:
        return iter(self._renders)

    def __len__(self) -> int:
        return len(self._renders)


@dataclass(frozen=True)
class Plan:
    """Everything a build needs, with the store's recipe (the key's preimage) of each piece."""

    units: tuple[Unit, ...]
    recipe: Recipe
    chunks: tuple[Chunk, ...]
    renders: Mapping[Render, Mapping[str, object]]
    examples: Mapping[str, Mapping[str, object]]
    viewing: Viewing

    @cached_property
    def keys(self) -> Mapping[Render, str]:
        """The store's key of each render."""
        return {render: key_of(recipe) for render, recipe in self.renders.items()}

    def shard(
        self, index: int, count: int, costs: Mapping[str, int] | None = None
    ) -> tuple[Chunk, ...]:
        """Chunks of shard `index` (1 to `count`), in the plan's order.

        Args:
            costs: of an image by layer (`cost.layer_costs`); without, all cost the same.
        """
        shares = balanced(self.chunks, count, costs or {})
        return shares[index - 1] if index <= len(shares) else ()


def make_plan(
    config: Config, recipe: Recipe, network: Network, dataset: str | None, device: str
) -> Plan:
    """Plan a build.

    Args:
        recipe: what `config` asks for, its files read (`recipes.recipe_of`).
        dataset: the dataset's fingerprint, or None without one.
        device: ``cpu`` or ``cuda``; it decides the chunks.

    Raises:
        UnitError: the config's unit spec names what is not there.
    """
    units = parse_units(config.units, network.layers)
    model: dict[str, object] = {"model": network.name, "weights": network.weights_sha256}
    shared = recipe.as_json() | model
    of_unit = {u: renders_of(u, config.render.kinds, config.render.seed) for u in units}
    viewing = Viewing(*network.view)
    examples: dict[str, Mapping[str, object]] = {}
    if dataset is not None:
        for layer in by_layer(units):
            examples[layer] = model | {
                "stage": "examples",
                "version": collect.VERSION,
                "dataset": dataset,
                "layer": layer,
                "examples": config.dataset.examples,
                "viewing": [viewing.short_side, viewing.crop],
                "fields": fields.VERSION,
            }
    return Plan(
        units,
        recipe,
        tuple(cut(of_unit, config.render.chunk, device)),
        Recipes(shared, [render for renders in of_unit.values() for render in renders]),
        examples,
        viewing,
    )


def cut(of_unit: Mapping[Unit, Sequence[Render]], units_per_chunk: int, device: str) -> list[Chunk]:
    """Cut the renders of each layer into fixed runs of units."""
    chunks = []
    for layer, indices in by_layer(of_unit).items():
        images = len(of_unit[Unit(layer, indices[0])])
        run = units_per_chunk or max(1, CHUNK_IMAGES[device] // images)
        for start in range(0, len(indices), run):
            members = [Unit(layer, index) for index in indices[start : start + run]]
            chunks.append(Chunk(layer, tuple(r for unit in members for r in of_unit[unit])))
    return chunks


def balanced(
    chunks: Sequence[Chunk], count: int, costs: Mapping[str, int]
) -> list[tuple[Chunk, ...]]:
    """Share chunks out so that all `count` shares cost about the same.

    The dearest chunk goes to the share that has least so far, then the next one (Graham 1969,
    "longest processing time first"): no share exceeds the mean by more than one chunk. Which
    share a chunk is in depends on the plan alone, never on what is done already. Of more shares
    than chunks only the first ones have any, and only these come back.
    """
    count = min(count, len(chunks))

    def cost(place: int) -> int:
        return len(chunks[place].renders) * costs.get(chunks[place].layer, 1)

    shares: list[list[int]] = [[] for _ in range(count)]
    loads = [(0, share) for share in range(count)]
    for place in sorted(range(len(chunks)), key=lambda place: (-cost(place), place)):
        load, share = heappop(loads)
        shares[share].append(place)
        heappush(loads, (load + cost(place), share))
    return [tuple(chunks[place] for place in sorted(share)) for share in shares]


def missing_chunks(chunks: Sequence[Chunk], plan: Plan, done: Callable[[str], bool]) -> list[Chunk]:
    """The chunks of which anything is not `done` (asked by key)."""
    return [chunk for chunk in chunks if not all(done(plan.keys[r]) for r in chunk.renders)]
