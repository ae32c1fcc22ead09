"""Command-line options, and what is made of their values."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from atlas.errors import ConfigError, RecipeError
from atlas.units import quote

if TYPE_CHECKING:
    from atlas.config import Config

F = TypeVar("F", bound=Callable[..., None])

_MINUS = re.compile(r"-[\w(.][^:]*:")


class TakesMinus(click.Command):
    """A command whose argument may begin with a minus, as in ``atlas show -mixed4d:484``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Such an argument has a colon, which no option has; the sign is written out for click."""
        return super().parse_args(
            ctx, [f"−{arg[1:]}" if _MINUS.match(arg) else arg for arg in args]
        )


_OPTIONS = (
    click.option(
        "-c",
        "--config",
        "config_file",
        type=click.Path(path_type=Path),
        help="Config file (default: atlas.toml where there is one).",
    ),
    click.option("--model", metavar="NAME", help="Network; atlas models lists them."),
    click.option("--weights", metavar="FILE", help="Its weights: safetensors or .pth."),
    click.option(
        "--dataset", metavar="SOURCE", help="folder:PATH, parquet:GLOB, hf:NAME or sample."
    ),
    click.option("--limit", type=int, metavar="N", help="Of the dataset only N images, spaced."),
    click.option("--units", metavar="SPEC", help="E.g. mixed4c:447,mixed4a:0-15,mixed5b or all."),
    click.option("--preset", metavar="NAME", help="draft, standard or distill."),
    click.option("--size", type=int, metavar="N", help="Side of the renders in pixels."),
    click.option("--steps", type=int, metavar="N", help="Optimization steps."),
    click.option("--kinds", metavar="LIST", help="Of neuron,positive,diverse,negative."),
    click.option("--seed", type=int, metavar="N", help="Base seed of all renders."),
    click.option("--device", metavar="NAME", help="auto, cpu or cuda."),
    click.option("--engine", metavar="NAME", help="local or ray."),
    click.option("--shard", metavar="i/n", help="Do only this share of the work."),
    click.option("--store", metavar="DIR", help="Where finished work is kept."),
    click.option("--out", metavar="PATH", help="Where the site (or the PNG of show) goes."),
    click.option("--dry-run", is_flag=True, help="Say what would be done, and stop."),
    click.option("--strict", is_flag=True, help="Warnings make the exit code 1."),
    click.option("-q", "--quiet", is_flag=True, help="Only errors and warnings."),
    click.option("-v", "--verbose", count=True, help="More; -vv shows tracebacks."),
)


def common(function: F) -> F:
    """The options every command of a project has."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


_SITE = (
    click.option("--site-url", metavar="URL", help="Where the site will be."),
    click.option("--media-base-url", metavar="URL", help="Where its media folder will be."),
)


def of_site(function: F) -> F:
    """The options of commands that write pages."""
    for option in reversed(_SITE):
        function = option(function)
    return function


_ENGINE = (
    click.option("--address", metavar="HOST:PORT", help="Of a running Ray cluster (engine ray)."),
    click.option("--workers", type=int, metavar="N", help="Processes that share it (engine ray)."),
)


def of_engine(function: F) -> F:
    """The options of commands that give work to an engine."""
    for option in reversed(_ENGINE):
        function = option(function)
    return function


_RECIPE = (
    click.option("--parameterization", metavar="NAME", help="fourier, pixels, laplacian or maco."),
    click.option("--decay", type=float, metavar="X", help="Exponent of fourier (default 1)."),
    click.option("--decorrelate/--no-decorrelate", default=None, help="Colours (default: yes)."),
    click.option("--colours", metavar="FILE", help="Of atlas measure-colours."),
    click.option("--spectrum", metavar="FILE", help="Of atlas measure-spectrum, for maco."),
    click.option("--patches", metavar="FILE", help="Of atlas measure-patches, for patches."),
    click.option("--start", metavar="PHOTO", help="Start from a photograph instead of noise."),
    click.option("--regularize", metavar="LIST", help="E.g. transforms,tv:2 or none."),
    click.option("--optimizer", metavar="NAME", help="adam, sgd, steepest-l2, -linf, …"),
    click.option("--learning-rate", type=float, metavar="X", help="Of the optimizer."),
    click.option("--settle", type=float, metavar="X", help="Last share of steps at falling rate."),
    click.option("--stop", type=float, metavar="X", help="Stop below this growth in 32 steps."),
    click.option("--diversity", type=float, metavar="X", help="Weight of diversity (default 1)."),
    click.option("--precision", metavar="NAME", help="Of the network's passes: bfloat16, float32."),
)


def of_recipe(function: F) -> F:
    """The options that decide a recipe beyond the common ones."""
    for option in reversed(_RECIPE):
        function = option(function)
    return function


_MEASURED = (
    click.option("--dataset", metavar="SOURCE", required=True, help="As of atlas build."),
    click.option("--out", metavar="FILE", type=click.Path(path_type=Path), required=True),
    click.option("-q", "--quiet", is_flag=True, help="Only errors and warnings."),
    click.option("-v", "--verbose", count=True, help="-vv shows tracebacks."),
)


def measures(function: F) -> F:
    """The options of commands that measure a dataset."""
    for option in reversed(_MEASURED):
        function = option(function)
    return function


def config_of(options: dict[str, Any]) -> Config:
    """The config file with the options laid over it."""

    from atlas.config import RECIPE_KEYS, load_config

    kinds, names = options["kinds"], options.get("regularize")
    return load_config(
        options["config_file"],
        {
            "units": options["units"],
            "store": options["store"],
            "model.name": options["model"],
            "model.weights": options["weights"],
            "dataset.source": options["dataset"],
            "dataset.limit": options["limit"],
            "render.preset": options["preset"],
            "render.size": options["size"],
            "render.steps": options["steps"],
            "render.kinds": None if kinds is None else [k.strip() for k in kinds.split(",")],
            "render.seed": options["seed"],
            "render.device": options["device"],
            "render.engine": options["engine"],
            "render.address": options.get("address"),
            "render.workers": options.get("workers"),
            **{f"render.{name}": options.get(name) for name in RECIPE_KEYS},
            "render.regularize": None if names is None else [n.strip() for n in names.split(",")],
            "site.out": options["out"],
            "site.url": options.get("site_url"),
            "site.media_base_url": options.get("media_base_url"),
        },
    )


def shard_of(text: str | None) -> tuple[int, int]:
    """``i/n`` as numbers."""
    from atlas.config import MOST_SHARDS

    if text is None:
        return 1, 1
    index, slash, count = text.partition("/")
    numbers = slash and all(part.isdecimal() and len(part) < 10 for part in (index, count))
    if numbers and 1 <= int(index) <= int(count) <= MOST_SHARDS:
        return int(index), int(count)
    raise ConfigError(
        f"shard {quote(text)} should be i/n with i from 1 to n, such as 2/5, and n at most "
        f"{MOST_SHARDS}"
    )


def steps_of(text: str | None) -> tuple[int, ...]:
    """A comma list of steps, in order."""
    if text is None:
        return ()
    parts = [part.strip() for part in text.split(",")]
    if wrong := [part for part in parts if not (part.isdecimal() and len(part) < 10)]:
        raise RecipeError(f"checkpoint {wrong[0]!r} is not a number of steps; write 0,4,48")
    return tuple(sorted({int(part) for part in parts}))
