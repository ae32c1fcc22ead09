"""Commands about a finished site and a new project: ``check``, ``serve``, ``init``."""

from __future__ import annotations

import sys
import time
import webbrowser
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

import click

from atlas.errors import AtlasError, ConfigError

if TYPE_CHECKING:
    from atlas.config import Config
    from atlas.preview import Preview
    from atlas.site.check import CheckReport

HOSTS = ("github", "cloudflare", "netlify", "gitlab")
MANY = 1000
"""Files that take long enough to check for a word about it."""

_site = click.argument("site", required=False, type=click.Path(path_type=Path))
_config = click.option(
    "-c",
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help="Config file (default: atlas.toml where there is one).",
)
_quiet = click.option("-q", "--quiet", is_flag=True, help="Only errors and warnings.")
_verbose = click.option("-v", "--verbose", count=True, help="-vv shows tracebacks.")


@click.command()
@_site
@_config
@click.option("--host", type=click.Choice(HOSTS), help="Its limits have to be kept as well.")
@click.option("--media-base-url", metavar="URL", help="Where media/ will be, if not in the site.")
@click.option("--thorough", is_flag=True, help="Decode every image, not only its header.")
@click.option("--most", type=click.IntRange(1), default=10, show_default=True, metavar="N",
              help="Lines for problems of one kind.")  # fmt: skip
@click.option("--strict", is_flag=True, help="Warnings make the exit code 1.")
@_quiet
@_verbose
def check(
    site: Path | None,
    config_file: Path | None,
    host: str | None,
    media_base_url: str | None,
    thorough: bool,
    most: int,
    strict: bool,
    quiet: bool,
    verbose: int,  # noqa: ARG001 (read by main)
) -> None:
    """Check a finished SITE: links, images, manifest, HTML, budgets, a host's limits.

    SITE is a folder (default: the config's, else site). Every page is parsed and every image
    opened; nothing is changed, and nothing outside of the folder is read. Exit code 1 if anything
    is wrong.
    """
    started = time.monotonic()
    config = _config_of(config_file, None) if site is None or config_file else None
    folder = site or (config.site.out if config else Path("site"))
    from atlas.progress import reported
    from atlas.site.check import check_site, lines

    if media_base_url is None and config is not None:
        media_base_url = config.site.media_base_url
    with reported("checking", "files", quiet, MANY) as progress:
        report = check_site(folder, host, media_base_url, thorough, progress=progress)
    for line in lines(report.problems, most):
        click.echo(line)
    if not quiet:
        click.echo(_summary(report, time.monotonic() - started))
    if report.errors or (report.warnings and strict):
        sys.exit(1)


def _summary(report: CheckReport, seconds: float) -> str:
    from atlas.progress import in_words
    from atlas.site.text import count

    how = "decoded" if report.thorough else "by their headers (--thorough decodes them)"
    return (
        f"{count(report.errors, 'problem')}, {count(report.warnings, 'warning')}; checked "
        f"{count(report.files, 'file')} of {report.bytes:,} bytes: {count(report.pages, 'page')} "
        f"parsed, {count(report.links, 'link')} followed, {count(report.images, 'image')} {how}; "
        f"{in_words(seconds)}"
    )


@click.command()
@_site
@_config
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True,
              help="0 is any that is free.")  # fmt: skip
@click.option("--open/--no-open", "show", help="Open a browser (default: no).")
@click.option("--out", metavar="PATH", help="The site's folder, instead of the config's.")
@_quiet
@_verbose
def serve(
    site: Path | None,
    config_file: Path | None,
    port: int,
    show: bool,
    out: str | None,
    quiet: bool,
    verbose: int,  # noqa: ARG001 (read by main)
) -> None:
    """Serve a SITE on this machine, and rebuild its pages while they are being edited.

    With a config (-c, or atlas.toml in this folder) it watches content, templates and the config;
    what changes is rebuilt and shown in open browsers. With SITE alone, or without a config, the
    folder is served as it is. Ctrl-C ends it.
    """
    found = config_file or (Path("atlas.toml") if Path("atlas.toml").is_file() else None)
    if site is not None and (config_file or out):
        raise ConfigError("give either SITE or a config with -c and --out, not both")
    folder, preview = site or Path(out or "site"), None
    if site is None and found is not None:
        config = _config_of(found, out)
        folder = config.site.out
        if config.store.is_dir():
            from atlas.preview import Preview

            folder.mkdir(parents=True, exist_ok=True)
            preview = Preview(lambda: _config_of(found, out), found)
        else:
            click.echo(f"no store {config.store}, so nothing is rebuilt", err=True)
    if not folder.is_dir():
        raise AtlasError(f"{folder} is no folder; atlas build makes a site")
    with ExitStack() as stack, suppress(KeyboardInterrupt):
        _serve(folder, preview, port, show, quiet, stack)


def _serve(
    folder: Path, preview: Preview | None, port: int, show: bool, quiet: bool, stack: ExitStack
) -> None:
    """Serve until interrupted. A preview’s store belongs to this thread, requests to others."""
    from atlas.site.serve import Changes, open_server
    from atlas.site.watch import keep_up

    def say(line: str) -> None:
        if not quiet or line.startswith("not"):
            click.echo(line, err=line.startswith("not"))

    changes = Changes() if preview is not None else None
    server = stack.enter_context(open_server(folder, port, changes))
    if port not in (0, server.server_port):
        say(f"port {port} is taken")
    say(f"{folder} is served at {server.url}; Ctrl-C ends it")
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    stack.callback(server.shutdown)
    if show:
        webbrowser.open(server.url)
    if preview is None or changes is None:
        Event().wait()
        return
    stack.callback(preview.close)
    keep_up(preview, changes.announce, say, Event())


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def init(folder: Path) -> None:
    """Make FOLDER a project: a config, texts and templates to be edited, ready to be built."""
    from atlas.skeleton import make_project

    for path in make_project(folder):
        click.echo(f"wrote {path}")
    click.echo(f"now: cd {folder} && atlas build && atlas serve")


def _config_of(config_file: Path | None, out: str | None) -> Config:
    from atlas.config import load_config

    return load_config(config_file, {"site.out": out})


COMMANDS = (check, serve, init)
