"""Commands about the store: ``status``, ``clean``, ``merge``."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from atlas.errors import ConfigError, WorkError
from atlas.options import common, config_of

if TYPE_CHECKING:
    from atlas.build import Project
    from atlas.opening import Access

retries = click.option("--retry", is_flag=True, help="Make renders that failed once more.")
"""The option of commands that render."""


@click.command()
@common
@click.option("--verify", is_flag=True, help="Read every file, also those that look untouched.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def status(verify: bool, as_json: bool, **options: Any) -> None:
    """Say what is done, missing, failed, damaged and orphaned; exit code 1 if anything is damaged.

    Nothing is changed.
    """
    from atlas.status import status_of

    with _project(options, "read") as project:
        found = status_of(project, verify)
    click.echo(found.as_json() if as_json else "\n".join(found.lines()))
    if found.damaged:
        sys.exit(1)


@click.command()
@common
@click.option("--keep", multiple=True, metavar="CONFIG", help="Keep what this one refers to too.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def clean(keep: tuple[str, ...], yes: bool, **options: Any) -> None:
    """Drop from the store what the config does not refer to; asks first."""
    from atlas.status import waste_of

    with ExitStack() as stack:
        project = stack.enter_context(_project(options, "read" if options["dry_run"] else "write"))
        alone = dict.fromkeys(options) | {"quiet": True, "store": str(project.config.store)}
        others = [
            stack.enter_context(_project(alone | {"config_file": Path(config)}, "read"))
            for config in keep
        ]
        waste = waste_of(project.store, [project, *others])
        if options["dry_run"]:
            click.echo(f"would drop {waste}")
        elif not waste.entries:
            click.echo("nothing to drop")
        else:
            if not yes and not _agreed(f"drop {waste} from {project.store.folder}?"):
                raise WorkError("nothing was dropped")
            project.store.drop(entry.key for entry in waste.entries)
            click.echo(f"dropped {waste}")


@click.command()
@click.argument("stores", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-c",
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help="Config file (default: atlas.toml where there is one).",
)
@click.option("--store", metavar="DIR", help="Into which store (default: the config's).")
@click.option("-q", "--quiet", is_flag=True, help="Only errors and warnings.")
@click.option("-v", "--verbose", count=True, help="-vv shows tracebacks.")
def merge(
    stores: tuple[Path, ...], config_file: Path | None, store: str | None, quiet: bool, **_: Any
) -> None:
    """Copy into one store what is in other STORES: the work of shards, or of other machines.

    The order does not matter, nor how often. Stores that have different bytes for the same work
    are refused; entries that are damaged are left out and named, with exit code 1.
    """
    from atlas import merge as merging
    from atlas.config import load_config
    from atlas.opening import opened
    from atlas.progress import in_bytes, reported
    from atlas.repair import repair

    folder = load_config(config_file, {"store": store}).store
    with ExitStack() as stack:
        sources = merging.open_sources(stores)
        for source in sources:
            stack.callback(source.close)
        target = stack.enter_context(opened(folder, "write", "atlas merge"))
        for finding in repair(target):
            click.echo(f"damaged: {finding}", err=True)
        with reported("merging", "entries", quiet) as progress:
            done = merging.merge(target, sources, progress)
    for finding in done.damaged:
        click.echo(f"damaged: {finding}", err=True)
    if not quiet:
        click.echo(
            f"merged {len(stores)} stores into {folder}: copied {done.copied:,} entries "
            f"({in_bytes(done.bytes)}), {done.present:,} were there"
        )
    if done.damaged:
        sys.exit(1)


COMMANDS = (status, clean, merge)


def _project(options: dict[str, Any], access: Access) -> Project:
    from atlas.lock import check_free

    config = config_of(options)
    if access == "write":
        check_free(config.store)
    from atlas.build import Project

    doing = click.get_current_context().command_path
    project = Project(config, options["quiet"], access, doing)
    for line in project.report.damaged:
        click.echo(f"damaged: {line}", err=True)
    return project


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise ConfigError("clean asks before it drops anything; without a terminal give --yes")
    return click.confirm(question)
