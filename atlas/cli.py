"""The command line: parse, call, report. Exit codes as in the README."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from atlas import __version__
from atlas.errors import AtlasError, ConfigError, OutputError, RecipeError

if TYPE_CHECKING:
    from atlas.build import Project, Report
    from atlas.config import Config

F = TypeVar("F", bound=Callable[..., None])

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
    click.option("--dataset", metavar="SOURCE", help="Photographs: folder:PATH or sample."),
    click.option("--units", metavar="SPEC", help="E.g. mixed4c:447,mixed4a:0-15,mixed5b or all."),
    click.option("--preset", metavar="NAME", help="draft, standard or distill."),
    click.option("--size", type=int, metavar="N", help="Side of the renders in pixels."),
    click.option("--steps", type=int, metavar="N", help="Optimization steps."),
    click.option("--kinds", metavar="LIST", help="Of neuron,positive,diverse,negative."),
    click.option("--seed", type=int, metavar="N", help="Base seed of all renders."),
    click.option("--device", metavar="NAME", help="auto, cpu or cuda."),
    click.option("--engine", metavar="NAME", help="local."),
    click.option("--shard", metavar="i/n", help="Do only this share of the work."),
    click.option("--store", metavar="DIR", help="Where finished work is kept."),
    click.option("--out", metavar="PATH", help="Where the site (or the PNG of show) goes."),
    click.option("--dry-run", is_flag=True, help="Say what would be done, and stop."),
    click.option("--strict", is_flag=True, help="Warnings make the exit code 1."),
    click.option("-q", "--quiet", is_flag=True, help="Only errors and warnings."),
    click.option("-v", "--verbose", count=True, help="More; -vv shows tracebacks."),
)


def _common(function: F) -> F:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="atlas")
def cli() -> None:
    """Show what every channel of a vision network responds to, as a static website."""


@cli.command()
@_common
def build(**options: Any) -> None:
    """Render, collect examples and write the site; does only what is missing."""
    shard = _shard(options["shard"])

    def work(project: Project) -> None:
        if shard == (1, 1) and not options["dry_run"]:
            project.check_out()
        project.render(shard, options["dry_run"])
        project.examples(shard, options["dry_run"])
        if shard == (1, 1) and not options["dry_run"]:
            project.pages()

    _run(options, work)


@cli.command()
@_common
def render(**options: Any) -> None:
    """Render what the store lacks; no examples, no pages."""
    _run(options, lambda p: p.render(_shard(options["shard"]), options["dry_run"]))


@cli.command()
@_common
def examples(**options: Any) -> None:
    """Collect the dataset examples the store lacks; no renders, no pages."""

    def work(project: Project) -> None:
        if project.source is None:
            raise ConfigError("examples need a dataset: give --dataset folder:PATH")
        project.examples(_shard(options["shard"]), options["dry_run"])

    _run(options, work)


@cli.command()
@_common
def pages(**options: Any) -> None:
    """Write the site from what the store holds."""

    def work(project: Project) -> None:
        if not options["dry_run"]:
            project.check_out()
            project.pages()

    _run(options, work)


@cli.command()
@click.argument("unit")
@_common
def show(unit: str, **options: Any) -> None:
    """Render one UNIT, e.g. mixed4c:447, to a PNG and print its activation.

    --kinds takes one kind (default: positive); diverse writes four files. --seed is the render's
    own seed, as pages and manifest give it.
    """
    from PIL import Image

    from atlas.build import pick_device
    from atlas.models.zoo import load_model
    from atlas.optvis.optimize import render_chunk
    from atlas.optvis.recipe import from_preset
    from atlas.optvis.subject import renders_of, reseed
    from atlas.store import write_atomically
    from atlas.units import parse_units

    if options["units"]:
        raise ConfigError("show takes one UNIT as its argument, not --units")
    kinds = options["kinds"] or "positive"
    if "," in kinds:
        raise RecipeError("show makes one kind at a time: give --kinds one of them")
    config = _config(options | {"kinds": kinds})
    recipe = from_preset(config.render.preset, config.render.size, config.render.steps)
    device = pick_device(config.render.device)
    network = load_model(config.model.name, config.model.weights)
    units = parse_units(unit, network.layers)
    if len(units) != 1:
        raise ConfigError(f"show makes one unit, but {unit!r} names {len(units)}")
    renders = renders_of(units[0], config.render.kinds, config.render.seed)
    if options["seed"] is not None:
        renders = reseed(renders, options["seed"])
    name = f"{units[0].layer}-{units[0].index}-{kinds}.png"
    target = Path(options["out"] or name)
    if target.is_dir():
        target /= name
    elif not target.suffix:
        target = target.with_suffix(".png")
    write_atomically(target, b"")  # an unwritable place is found before the work
    target.unlink()
    if options["dry_run"]:
        click.echo(f"would render {units[0]} {kinds} to {target}")
        return
    for result in render_chunk(network.to(device), renders, recipe, device):
        path = target
        if len(renders) > 1:
            path = target.with_stem(f"{target.stem}-{result.render.number}")
        write_atomically(path, _png(Image.fromarray(result.image)))
        note = "" if result.started else "  (never found a gradient)"
        click.echo(
            f"{units[0]} {kinds} activation {result.activation:.4f} "
            f"seed {result.render.seed} {path}{note}"
        )


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
def init(folder: Path) -> None:
    """Make FOLDER a project: the sample's atlas.toml, ready to be edited and built."""
    from atlas.site.resources import shipped
    from atlas.store import write_atomically

    target = folder / "atlas.toml"
    if target.exists():
        raise OutputError(f"{target} exists already; init overwrites nothing")
    write_atomically(target, shipped("atlas.toml").read_bytes())
    click.echo(f"wrote {target}; now: cd {folder} && atlas build")


@cli.command()
def models() -> None:
    """List the networks known by name."""
    from atlas.models.zoo import ZOO

    for entry in ZOO.values():
        click.echo(f"{entry.name}\n    {entry.title}")
        click.echo(
            f"    {len(entry.layers)} layers, {entry.channels:,} channels, "
            f"{entry.parameters:,} parameters, {entry.dialect.classes} classes"
        )
        click.echo(f"    input   {entry.input_range}, x being RGB in [0, 1]")
        click.echo(f"    weights {entry.weights}")


def _png(image: Any) -> bytes:
    import io

    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _config(options: dict[str, Any]) -> Config:
    from atlas.config import load_config

    kinds = options["kinds"]
    return load_config(
        options["config_file"],
        {
            "units": options["units"],
            "store": options["store"],
            "model.name": options["model"],
            "model.weights": options["weights"],
            "dataset.source": options["dataset"],
            "render.preset": options["preset"],
            "render.size": options["size"],
            "render.steps": options["steps"],
            "render.kinds": None if kinds is None else [k.strip() for k in kinds.split(",")],
            "render.seed": options["seed"],
            "render.device": options["device"],
            "render.engine": options["engine"],
            "site.out": options["out"],
        },
    )


def _shard(text: str | None) -> tuple[int, int]:
    if text is None:
        return 1, 1
    index, slash, count = text.partition("/")
    if slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count):
        return int(index), int(count)
    raise ConfigError(f"shard {text!r} should be i/n with i from 1 to n, such as 2/5")


def _run(options: dict[str, Any], work: Callable[[Project], None]) -> None:
    """Open the project, do the work, print warnings and the closing line."""
    config = _config(options)
    from atlas.build import Project

    project = Project(config, options["quiet"])
    work(project)
    report = project.finish()
    for warning in report.warnings:
        click.echo(f"warning: {warning}", err=True)
    if not options["quiet"]:
        click.echo(_closing_line(report, options["dry_run"]))
    if report.warnings and options["strict"]:
        sys.exit(1)


def _closing_line(report: Report, dry_run: bool) -> str:
    from atlas.progress import in_words

    verb = "would render" if dry_run else "rendered"
    parts = [f"{verb} {report.rendered}, reused {report.reused}, failed {len(report.failed)}"]
    if report.tables or report.tables_reused:
        verb = "would collect" if dry_run else "collected"
        parts.append(f"examples: {verb} {report.tables}, reused {report.tables_reused} layers")
    if report.site is not None:
        site = report.site
        parts.append(
            f"site: wrote {site.pages_written} pages and {site.sheets_encoded} sheets, "
            f"kept {site.pages_unchanged} and {site.sheets_reused}"
        )
    return "; ".join(parts) + f"; {in_words(report.seconds)}"


def main() -> None:
    """Entry point: run the command and turn errors into one line and an exit code."""
    verbose = "-vv" in sys.argv or sys.argv.count("-v") + sys.argv.count("--verbose") > 1
    try:
        cli.main(standalone_mode=False)
    except AtlasError as error:
        _fail(str(error), error.exit_code, verbose)
    except click.exceptions.Abort:
        _fail("interrupted; what was finished is kept, run again to go on", 130, verbose)
    except click.ClickException as error:
        _fail(error.format_message(), 2, verbose)
    except KeyboardInterrupt:
        _fail("interrupted; what was finished is kept, run again to go on", 130, verbose)
    except MemoryError:
        _fail("out of memory; try a smaller --size", 1, verbose)
    except OSError as error:
        place = f" {error.filename}" if error.filename else ""
        _fail(f"cannot use{place}: {error.strerror or error}", 1, verbose)


def _fail(message: str, code: int, verbose: bool) -> None:
    if verbose:
        traceback.print_exc()
    click.echo("atlas: " + " ".join(message.split()), err=True)
    sys.exit(code)
