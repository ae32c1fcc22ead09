"""Builds a site: collect everything, make the sheets, render the pages, write, tidy up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from atlas.errors import ConfigError
from atlas.site.catalogue import Catalogue, Media, SheetIndex
from atlas.site.content import read_notes
from atlas.site.encode import make_sheets
from atlas.site.files import files_of_manifest, prune, write_if_changed
from atlas.site.manifest import manifest
from atlas.site.pages import Pages, static_files
from atlas.site.resources import overlay
from atlas.site.sheets import SUFFIX, Format, plan_sheets

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class SiteOptions:
    """How a site is made.

    `templates` and `content` are folders whose files come before the shipped ones of the same
    name; `url` is where the site will be, for canonical links and the 404 page. Without
    `publish_examples` no photograph, label or source is in pages, manifest or media.
    """

    format: Format = "avif"
    quality: int = 50
    publish_examples: bool = True
    templates: Path | None = None
    content: Path | None = None
    url: str | None = None


@dataclass(frozen=True)
class SiteReport:
    """What a build did; `files` and `bytes` measure the whole site, not only what changed."""

    pages_written: int
    pages_unchanged: int
    sheets_encoded: int
    sheets_reused: int
    removed: int
    files: int
    bytes: int


def build_site(
    catalogue: Catalogue,
    media: Media,
    out: Path,
    index: SheetIndex,
    options: SiteOptions | None = None,
    progress: Progress | None = None,
) -> SiteReport:
    """Write the site of `catalogue` into `out`; what is there and still right is left alone.

    `progress` is told (stage, done, total) for the stages ``sheets`` and ``pages``. The manifest
    comes last, so a build that is cut short never claims files it has not made.

    Raises:
        OutputError: `out` cannot be written to.
        ConfigError: a template or a note is broken, or an option out of range.
    """
    options = options or SiteOptions()
    if options.format not in SUFFIX:
        raise ConfigError(f"unknown format {options.format!r}; choose {', '.join(SUFFIX)}")
    if not 1 <= options.quality <= 100:
        raise ConfigError(f"quality must be 1 to 100, not {options.quality}")
    if not options.publish_examples:
        bare = [channel.without_photographs() for channel in catalogue.channels]
        catalogue = replace(catalogue, channels=bare)

    templates = overlay("templates", options.templates)
    content = overlay("content", options.content)
    plan = plan_sheets(catalogue, options.format)
    pages = Pages(
        catalogue, plan, templates, read_notes(content), read_notes(content, "layers"), options.url
    )
    old = files_of_manifest(out)

    sheets = make_sheets(plan.strips, media, out, index, options.format, options.quality, progress)
    present = {strip.path for strip in plan.strips}
    written = unchanged = 0
    for done, (path, text) in enumerate(pages.all(), start=1):
        if write_if_changed(out / path, text.encode("utf-8", "replace")):
            written += 1
        else:
            unchanged += 1
        present.add(path)
        if progress is not None:
            progress("pages", done, pages.amount)
    for path, data in static_files(templates):
        write_if_changed(out / path, data)
        present.add(path)
    removed = prune(out, old, present)
    write_if_changed(out / "manifest.json", manifest(catalogue, plan))
    present.add("manifest.json")
    return SiteReport(
        pages_written=written,
        pages_unchanged=unchanged,
        sheets_encoded=sheets.encoded,
        sheets_reused=sheets.reused,
        removed=removed,
        files=len(present),
        bytes=sum((out / path).stat().st_size for path in present),
    )
