"""Channel Atlas: what every channel of a vision network responds to, as a static website.

    model = atlas.load_model("googlenet-bvlc", weights="googlenet-bvlc.safetensors")
    picture = atlas.render(model, "mixed4c:447", steps=512, size=224)
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
    from atlas.optvis.objective import Objective
    from atlas.optvis.subject import Kind
    from atlas.pictures import Pictures

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
    objectives: str | Objective | Sequence[str | Objective],
    kinds: Sequence[Kind] = ("positive",),
    *,
    preset: str = "standard",
    size: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    images: int = 4,
    frames: int = 6,
    regularize: Sequence[str] | None = None,
    checkpoints: Sequence[int] = (),
    **recipe: Any,
) -> Pictures:
    """Optimize images, those of a layer in one batch, on the model's device.

        atlas.render(model, "mixed4c:447", steps=512, size=224)
        atlas.render(model, ["mixed4a:0-7", "class:tabby", "mixed4a:97..mixed4a:12"])

    Args:
        objectives: unit specs (``"mixed4c:447,mixed5a:0-7"``), objectives
            (``"class:tabby + 0.5*mixed4a:3"``, see `atlas.optvis.syntax`), interpolations
            (``"mixed4a:476..mixed4a:460"``), or `Objective`s put together in Python; one or many.
        kinds: any of ``neuron``, ``positive``, ``diverse``, ``negative``.
        preset: ``draft`` (96 px, 64 steps), ``standard`` (224, 512) or ``distill`` (224, 2560).
        size: pixels, 32 to 4096, instead of the preset's.
        steps: 0 to 1,000,000, instead of the preset's.
        seed: base seed from which each image's own is derived.
        images: of a diverse set, 2 to 64.
        frames: of an interpolation, 2 to 64.
        regularize: names such as ``["transforms", "tv:2"]`` (`atlas.optvis.regularizer`), ``[]``
            for none.
        checkpoints: steps after which images are kept as well, for film strips.
        recipe: fields of `atlas.optvis.recipe.Recipe`: ``parameterization``, ``decay``,
            ``decorrelate``, ``colours`` (3 × 3), ``optimizer``, ``learning_rate``, ``diversity``,
            ``stop`` and so on. For ``maco`` the spectrum that ships is used where none is given.
            ``start`` may name a photograph; ``colours``, ``spectrum`` and ``patches`` the files
            that ``atlas measure-…`` made.

    Returns:
        In the order asked for, then by kind: (S, S, 3) uint8 images that show and save themselves,
        with their scores and recipes. Of a single image, these are there directly.

    Raises:
        UnitError, ObjectiveError, RecipeError: what was asked for does not exist or is out of
            range; the message shows it.
    """
    from atlas import pictures, recipes, request
    from atlas.optvis.recipe import from_preset
    from atlas.optvis.subject import check_kinds

    fields = recipes.with_files(recipe)
    made_by = from_preset(preset, size, steps, regularize=regularize, **fields)
    subjects = request.subjects_of(
        objectives,
        model,
        check_kinds(kinds),
        seed=seed,
        images=images,
        frames=frames,
        readers=recipes.readers(),
    )
    return pictures.make(model, subjects, made_by, model.device.type, checkpoints)


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

    with Project(config, quiet) as project:
        project.check_out()
        project.render()
        project.examples()
        project.pages()
        return project.finish()
