"""What a plan refers to, of everything a store may hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from atlas import fields, heat
from atlas.entry import Entry
from atlas.keys import PART, PASS, key_of
from atlas.plan import Plan
from atlas.units import by_layer

RecipeOf = Callable[[str], Mapping[str, object] | None]
"""The recipe of an entry, by key; None where it cannot be read."""


class References:
    """Tells which entries a plan refers to.

    Args:
        passed: whether all its example tables are there; what a pass leaves before that is of no
            use then.
    """

    def __init__(self, plan: Plan, passed: bool) -> None:
        self._renders = frozenset(plan.keys.values())
        self._tables = {key_of(recipe): layer for layer, recipe in plan.examples.items()}
        self._recipes, self._passed = plan.examples, passed
        self._channels = {layer: sorted(every) for layer, every in by_layer(plan.units).items()}

    def has(self, entry: Entry, recipe_of: RecipeOf) -> bool:
        """Whether the plan refers to an entry; `recipe_of` is asked only where its key does not
        tell."""
        if entry.stage in ("render", "examples"):
            return entry.key in self._renders or entry.key in self._tables
        recipe = recipe_of(entry.key)
        if recipe is None:
            return False
        if entry.stage == "field":
            of_layer = self._recipes.get(str(recipe.get("layer")))
            return recipe.get("version") == fields.VERSION and _alike(recipe, of_layer, _FIELD)
        if entry.stage == "map":
            layer = self._tables.get(str(recipe.get("table")), "")
            channels = self._channels.get(layer)
            return recipe.get("version") == heat.VERSION and recipe.get("channels") == channels
        return self.is_of_pass(recipe) and not self._passed

    def is_of_pass(self, recipe: Mapping[str, object]) -> bool:
        """Whether this is the recipe of a state of the pass that makes the plan's tables."""
        layers = recipe.get("layers")
        if recipe.get("stage") not in (PART, PASS) or not isinstance(layers, list) or not layers:
            return False
        return all(_alike(recipe, self._recipes.get(str(layer)), _PART) for layer in layers)


_FIELD = ("model", "weights", "dataset", "viewing")
_PART = (*_FIELD, "version", "examples")


def _alike(
    recipe: Mapping[str, object], other: Mapping[str, object] | None, names: tuple[str, ...]
) -> bool:
    return other is not None and all(recipe.get(name) == other[name] for name in names)
