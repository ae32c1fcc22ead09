"""Channel Atlas: what every channel of a vision network responds to, as a static website.

    model = atlas.load_model("googlenet-bvlc", weights="googlenet-bvlc.safetensors")
    images = atlas.render(model, "mixed4c:447", preset="draft")
    tables = atlas.collect_examples(model, "folder:photographs", layers=["mixed4c"])
    report = atlas.build(atlas.Config(...))

Importing the package is cheap: PyTorch is imported when it is first needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from atlas.build import Report
    from atlas.config import Config
    from atlas.examples.collect import Collected
    from atlas.models.googlenet import GoogLeNet
    from atlas.optvis.optimize import Rendered
    from atlas.optvis.subject import Kind, Render

__version__ = "0.1.0"
__all__ = ["Config", "build", "collect_examples", "load_model", "render"]


def __getattr__(name: str) -> Any:
    if name == "Config":
        from atlas.config import Config

        return Config
    raise AttributeError(f"module 'atlas' has no attribute {name!r}")


def load_model(name: str, weights: str | Path | None = None) -> GoogLeNet:
    """Load a network of the zoo (``atlas models`` lists them); see `atlas.models.zoo`."""
    from atlas.models import zoo

    return zoo.load_model(name, weights)


def render(
    model: GoogLeNet,
    units: str,
    kinds: Sequence[Kind] = ("positive",),
    *,
    preset: str = "standard",
    size: int | None = None,
    steps: int | None = None,
    seed: int = 0,
) -> list[Rendered[Render]]:
    """Optimize images for units, several of a layer to a batch, on the model's device.

    Args:
        units: a unit spec such as ``"mixed4c:447,mixed5a:0-7"``.
        kinds: any of ``neuron``, ``positive``, ``diverse`` (four images), ``negative``.
        preset: ``draft`` (96 px, 64 steps), ``standard`` (224, 512) or ``distill`` (224, 2560).
        size: pixels, instead of the preset's.
        steps: instead of the preset's.
        seed: base seed from which each render's own is derived.

    Returns:
        In unit order, then by kind: (S, S, 3) uint8 images with their scores.

    Raises:
        UnitError, RecipeError: what was asked for does not exist or is out of range.
    """
    from atlas.engines import local
    from atlas.optvis.recipe import from_preset
    from atlas.optvis.subject import check_kinds, renders_of
    from atlas.plan import cut
    from atlas.units import parse_units

    recipe = from_preset(preset, size, steps)
    wanted = check_kinds(kinds)
    of_unit = {u: renders_of(u, wanted, seed) for u in parse_units(units, model.layers)}
    device = model.device.type
    finished = local.run(model, cut(of_unit, 0, device), recipe, device)
    return [result for results in finished for result in results]


def collect_examples(
    model: GoogLeNet, dataset: str, layers: Sequence[str] | None = None, k: int = 10
) -> Collected:
    """Find the highest and lowest `k` images of every channel of `layers` (default: all).

    Raises:
        DatasetError, UnitError: the dataset cannot be used, or a layer does not exist.
    """
    from atlas.examples.collect import collect
    from atlas.examples.sources import open_source
    from atlas.units import find_layer

    names = [la.name for la in model.layers] if layers is None else layers
    wanted = [find_layer(name, model.layers).name for name in names]
    return collect(model, open_source(dataset), wanted, k, device=model.device)


def build(config: Config, *, quiet: bool = True) -> Report:
    """Build a whole atlas: render and collect what the store lacks, then write the site."""
    from atlas.build import Project

    project = Project(config, quiet)
    project.check_out()
    project.render()
    project.examples()
    project.pages()
    return project.finish()
