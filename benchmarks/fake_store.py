"""Make the project of a full-size atlas whose pictures are made up, at true sizes.

    python benchmarks/fake_store.py --out FOLDER [--weights googlenet-bvlc.safetensors]

`FOLDER` gets an ``atlas.toml``, made-up photographs in the class folders of ImageNet, and a store
that holds everything ``atlas pages`` asks for. Renders are made up. Examples, statistics,
receptive fields and maps are not: the network passes over the photographs as in every build. What
is there already stays, so a run that was stopped goes on. All 5,808 channels take about 6 GB.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from fake_options import add_options
from fake_pictures import photograph, render
from PIL import Image

from atlas.build import Project, facts_of
from atlas.config import load_config
from atlas.errors import AtlasError, ConfigError
from atlas.examples.receptive import theoretical
from atlas.models.zoo import imagenet_words
from atlas.optvis.achieved import Achieved
from atlas.optvis.optimize import Rendered
from atlas.optvis.subject import Render
from atlas.progress import Progress
from atlas.store import key_of, write_atomically
from atlas.units import Unit, by_layer

DISTINCT = 24
"""Different pictures of a layer for each of: one neuron, everything else. Strips draw seven of
them, so that hardly two are alike; all their masters are files of their own."""

HEAD = "# An atlas of made-up pictures: benchmarks/fake_store.py.\n"
"""The first line of the config, by which a folder is known as one of ours."""

CONFIG = """\
units = {units}
store = "store"

[model]
name = {model}{weights}

[dataset]
source = {dataset}

[site]
out = "site"
templates = "templates"
content = "content"
"""


def main() -> None:
    """Parse, make, and turn errors into one line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_options(parser)
    options = parser.parse_args()
    try:
        make(options)
    except AtlasError as error:
        print(f"fake_store: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def make(options: argparse.Namespace) -> None:
    """Make what `options.out` lacks."""
    if options.images < 1:
        raise ConfigError(f"--images {options.images}: one photograph at least is needed")
    out: Path = options.out
    check_ours(out)
    photographs = out / f"photographs-{options.images}"
    model = "googlenet-mini" if options.weights is None else "googlenet-bvlc"
    weights = "" if options.weights is None else f"\nweights = {_toml(options.weights.resolve())}"
    config = CONFIG.format(
        units=_toml(options.units),
        model=_toml(model),
        weights=weights,
        dataset=_toml(f"folder:{photographs.name}"),
    )
    write_atomically(out / "atlas.toml", (HEAD + config).encode())
    for folder in ("templates", "content"):
        (out / folder).mkdir(exist_ok=True)
    make_photographs(photographs, options.images)
    project = Project(load_config(out / "atlas.toml", {}))
    project.examples()
    assert project.dataset is not None  # the config names one
    project.dataset.illustrate()
    make_renders(project)
    project.finish()


def check_ours(folder: Path) -> None:
    """Refuse a folder that holds anything else.

    Raises:
        ConfigError: it does.
    """
    if not folder.exists():
        return
    config = folder / "atlas.toml"
    if not folder.is_dir() or (
        any(folder.iterdir())
        and not (config.is_file() and config.read_bytes().startswith(HEAD.encode()))
    ):
        raise ConfigError(f"--out {folder} holds something else; name an empty or a new folder")


def make_photographs(folder: Path, count: int) -> None:
    """`count` photographs, dealt out to the classes of ImageNet in turn."""
    classes = tuple(imagenet_words())
    with Progress("drawing photographs", count, "images") as progress:
        for number in range(count):
            path = folder / classes[number % len(classes)] / f"{number:06d}.jpg"
            if not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(path, photograph(_rng(f"photograph {number}")))
            progress.advance(number + 1)


def make_renders(project: Project) -> None:
    """The renders of the plan that the store lacks, with facts in keeping with the tables."""
    plan, store, network = project.plan, project.store, project.network
    assert project.dataset is not None  # the config names one
    depths = {layer.name: i for i, layer in enumerate(network.layers)}
    draw = _drawer(plan.recipe.size, len(depths) - 1)
    done = 0
    with Progress("making up renders", len(plan.renders), "images") as progress:
        for layer, channels in by_layer(plan.units).items():
            table = project.dataset.table(layer)
            assert table is not None  # its pass is done
            best = table.stats["best_score"]
            field = theoretical(network.path(layer)).size
            here = {Unit(layer, index) for index in channels}
            with store.transaction():
                for one, recipe in plan.renders.items():
                    if one.unit not in here:
                        continue
                    if store.facts(key_of(recipe)) is None:
                        window = field if one.kind == "neuron" else None
                        rng = _rng(str(one))
                        data = draw(depths[layer], window, int(rng.integers(DISTINCT)))
                        result = _result(one, plan.recipe.steps, best[one.unit.index], rng)
                        store.put(recipe, data, "png", facts_of(result))
                    done += 1
                    progress.advance(done)


def _drawer(size: int, deepest: int) -> Callable[[int, int | None, int], bytes]:
    """Draws picture `number` of a layer as PNG, each once."""

    @cache
    def draw(depth: int, window: int | None, number: int) -> bytes:
        rng = _rng(f"render {depth} {window} {number}")
        buffer = io.BytesIO()
        pixels = render(rng, size, depth / deepest, window)
        Image.fromarray(pixels).save(buffer, "PNG", compress_level=6)
        return buffer.getvalue()

    return draw


def _result(one: Render, steps: int, best: float, rng: np.random.Generator) -> Rendered[Render]:
    """What is known of a finished render: scores one to five times those of photographs."""
    score = float(max(best, 0.1) * rng.uniform(1, 5))
    score = -score if one.kind == "negative" else score
    diversity = float(rng.uniform(0.1, 0.6)) if one.kind == "diverse" else None
    robust, saturation, high = rng.uniform((0.7, 0.01, 0.05), (1, 0.1, 0.2)).tolist()
    achieved = Achieved(score * robust, saturation, high, diversity)
    nothing = np.empty((0, 0, 3), np.uint8)
    return Rendered(one, nothing, score, True, True, steps, achieved)


def _rng(name: str) -> np.random.Generator:
    """A generator of its own for everything that is drawn, so that the order does not matter."""
    return np.random.Generator(np.random.Philox(list(name.encode())))


def _toml(value: object) -> str:
    """A string of TOML, whose escapes are those of JSON."""
    return json.dumps(str(value))


if __name__ == "__main__":
    main()
