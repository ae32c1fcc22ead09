"""The command line: parse, call, report. Exit codes as in the README."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from atlas import __version__, cli_site, cli_store
from atlas.cli_store import retries
from atlas.errors import AtlasError, ConfigError, RecipeError, in_one_line
from atlas.interrupt import CODE, MESSAGE, guarded
from atlas.options import (
    TakesMinus,
    common,
    config_of,
    measures,
    of_engine,
    of_recipe,
    of_site,
    shard_of,
    steps_of,
)

if TYPE_CHECKING:
    from atlas.build import Project, Report
    from atlas.opening import Access
    from atlas.site import SiteReport

T = TypeVar("T")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="atlas")
def cli() -> None:
    """Show what every channel of a vision network responds to, as a static website."""


@cli.command()
@common
@of_site
@of_engine
@retries
def build(**options: Any) -> None:
    """Render, collect examples and write the site; does only what is missing."""
    shard = shard_of(options["shard"])

    def work(project: Project) -> None:
        if shard == (1, 1) and not options["dry_run"]:
            project.check_out()
        project.render(shard, options["dry_run"], options["retry"])
        project.examples(shard, options["dry_run"])
        if shard == (1, 1) and not options["dry_run"]:
            project.pages()
        if options["dry_run"] and not options["quiet"]:
            project.estimate(with_site=shard == (1, 1))

    _run(options, work)


@cli.command()
@common
@of_engine
@retries
def render(**options: Any) -> None:
    """Render what the store lacks; no examples, no pages."""
    shard = shard_of(options["shard"])

    def work(project: Project) -> None:
        project.render(shard, options["dry_run"], options["retry"])
        if options["dry_run"] and not options["quiet"]:
            project.estimate(with_site=False)

    _run(options, work)


@cli.command()
@common
@of_engine
def examples(**options: Any) -> None:
    """Collect the dataset examples the store lacks; no renders, no pages."""

    def work(project: Project) -> None:
        if project.dataset is None:
            raise ConfigError("examples need a dataset: give --dataset folder:PATH")
        project.examples(shard_of(options["shard"]), options["dry_run"])

    _run(options, work)


@cli.command()
@common
@of_site
def pages(**options: Any) -> None:
    """Write the site from what the store holds."""

    def work(project: Project) -> None:
        if not options["dry_run"]:
            project.check_out()
            project.pages()

    if not options["dry_run"]:
        from atlas.stamp import unchanged

        if (report := unchanged(config_of(options))) is not None:
            if not options["quiet"]:
                click.echo(f"nothing has changed; {_site_line(report)}")
            return
    _run(options, work, "either")


@cli.command(cls=TakesMinus)
@click.argument("objective", required=False)
@common
@of_recipe
@click.option("--images", type=int, metavar="N", help="Of a diverse set (default 4).")
@click.option("--frames", type=int, metavar="N", help="Of an interpolation (default 6).")
@click.option("--checkpoints", metavar="LIST", help="Steps of a film strip, e.g. 0,4,48.")
def show(objective: str | None, **options: Any) -> None:
    """Make images of one OBJECTIVE, write PNGs and print what they achieved.

    mixed4a:97, -mixed4d:484 (what drives it down), class:tabby, layer:mixed4b,
    mixed4a:12+mixed4b:3, dir:mixed4d:random:7, neuron:mixed4a:97, mixed4a:476..mixed4a:460 (an
    interpolation). --kinds takes one kind; diverse, interpolations and objectives of a config's
    [show] write several files. --seed is the image's own seed, as pages and manifest give it.
    """
    from atlas.show import Wish, show_objectives

    if options["units"]:
        raise ConfigError("show takes one OBJECTIVE as its argument, not --units")
    kind = options["kinds"]
    if kind is not None and "," in kind:
        raise RecipeError("show makes one kind at a time: give --kinds one of them")
    config = config_of(options | {"kinds": kind or "positive"})
    wish = Wish(
        objectives=config.show.objectives if objective is None else (objective.replace("−", "-"),),
        out=options["out"],
        seed=options["seed"],
        images=options["images"],
        frames=options["frames"],
        checkpoints=steps_of(options["checkpoints"]),
        dry_run=options["dry_run"],
    )
    for line in show_objectives(config, wish):
        click.echo(line)


@cli.command("measure-colours")
@measures
def measure_colours(**options: Any) -> None:
    """Measure the colour correlation of photographs and its Cholesky factor, for --colours."""
    from atlas import measure

    statistics = _measured(options, measure.colours)
    measure.write_colours(options["out"], statistics, options["dataset"])
    for name, row in zip("RGB", statistics.correlation, strict=True):
        click.echo(f"correlation {name}  " + "  ".join(f"{value:.4f}" for value in row))
    for name, row in zip("RGB", statistics.cholesky, strict=True):
        click.echo(f"cholesky    {name}  " + "  ".join(f"{value:.4f}" for value in row))
    click.echo(f"{statistics.images} photographs, {statistics.pixels:,} pixels: {options['out']}")


@cli.command("measure-spectrum")
@measures
@click.option("--size", type=click.IntRange(16, 1024), default=128, show_default=True)
def measure_spectrum(size: int, **options: Any) -> None:
    """Measure the power spectrum of photographs, for --parameterization maco --spectrum."""
    from atlas import measure

    measured = _measured(
        options, lambda source, advance: measure.spectrum_of(source, size, advance)
    )
    measure.write_spectrum(options["out"], measured, options["dataset"])
    click.echo(f"spectrum of {size} × {size} pixels: {options['out']}")


@cli.command("measure-patches")
@measures
@click.option("--count", type=click.IntRange(1, 1_000_000), default=4096, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def measure_patches(count: int, seed: int, **options: Any) -> None:
    """Draw patches of photographs, for --regularize patches --patches."""
    from atlas import measure

    base = _measured(
        options, lambda source, advance: measure.patches_of(source, count, seed, advance)
    )
    measure.write_patches(options["out"], base, options["dataset"])
    click.echo(f"{count} patches of {base.side} × {base.side} pixels: {options['out']}")


def _measured(options: dict[str, Any], measure: Callable[[Any, Callable[[int], None]], T]) -> T:
    """Open the dataset, make sure of the place to write to, and measure."""
    from atlas.examples.sources import open_source
    from atlas.progress import Progress
    from atlas.store import check_writable

    source = open_source(options["dataset"])
    check_writable(options["out"])
    with Progress("photographs", len(source), "images", options["quiet"]) as progress:
        return measure(source, progress.advance)


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


for command in (*cli_site.COMMANDS, *cli_store.COMMANDS):
    cli.add_command(command)


def _run(
    options: dict[str, Any], work: Callable[[Project], None], access: Access = "write"
) -> None:
    """Open the project, do the work, print warnings and the closing line."""
    from atlas.lock import check_free

    config = config_of(options)
    doing = click.get_current_context().command_path
    if options["dry_run"]:
        access = "read"
    elif access == "write":
        check_free(config.store)  # before PyTorch is loaded
    from atlas.build import Project

    with Project(config, options["quiet"], access, doing) as project:
        for line in project.report.damaged:
            click.echo(f"damaged: {line}", err=True)
        work(project)
        report = project.finish()
    for warning in report.warnings:
        click.echo(f"warning: {warning}", err=True)
    for failure in report.failed:
        click.echo(f"failed: {failure}", err=True)
    if not options["quiet"]:
        click.echo(_closing_line(report, options["dry_run"]))
    if report.failed or (report.warnings and options["strict"]):
        sys.exit(1)


def _closing_line(report: Report, dry_run: bool) -> str:
    from atlas.progress import in_words

    verb = "would render" if dry_run else "rendered"
    parts = [f"{verb} {report.rendered}, reused {report.reused}, failed {len(report.failed)}"]
    if report.tables or report.tables_reused:
        verb = "would collect" if dry_run else "collected"
        parts.append(f"examples: {verb} {report.tables}, reused {report.tables_reused} layers")
    if report.site is not None:
        parts.append(_site_line(report.site))
    if report.estimate is not None:
        parts.append(f"would take {report.estimate}")
    return "; ".join(parts) + f"; {in_words(report.seconds)}"


def _site_line(site: SiteReport) -> str:
    from atlas.progress import in_words

    return (
        f"site: wrote {site.pages_written} pages and {site.sheets_encoded} sheets, "
        f"kept {site.pages_unchanged} and {site.sheets_reused}; "
        f"sheets took {in_words(site.sheet_seconds)}, pages {in_words(site.page_seconds)}"
    )


def main() -> None:
    """Entry point: run the command and turn errors into one line and an exit code."""
    verbose = "-vv" in sys.argv or sys.argv.count("-v") + sys.argv.count("--verbose") > 1
    try:
        with guarded():
            cli.main(standalone_mode=False)
    except AtlasError as error:
        _fail(str(error), error.exit_code, verbose)
    except click.exceptions.Abort:
        _fail(MESSAGE, CODE, verbose)
    except click.ClickException as error:
        _fail(error.format_message(), 2, verbose)
    except KeyboardInterrupt:
        _fail(MESSAGE, CODE, verbose)
    except MemoryError:
        _fail("out of memory; try a smaller --size", 1, verbose)
    except OSError as error:
        place = f" {error.filename}" if error.filename else ""
        _fail(f"cannot use{place}: {error.strerror or error}", 1, verbose)


def _fail(message: str, code: int, verbose: bool) -> None:
    if verbose:
        traceback.print_exc()
    click.echo(f"atlas: {in_one_line(message)}", err=True)
    sys.exit(code)
