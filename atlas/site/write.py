"""Builds a site: collect everything, make the sheets, render the pages, write, tidy up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from atlas.errors import ConfigError
from atlas.memory import give_freed_memory_back
from atlas.site.addresses import robots, sitemap
from atlas.site.catalogue import Catalogue
from atlas.site.content import Note, read_notes
from atlas.site.encode import Encoder, make_sheets
from atlas.site.files import check_links, files_of_manifest, prune, write_if_changed
from atlas.site.ledger import Ledger, fingerprint
from atlas.site.manifest import manifest_files
from atlas.site.media import Media, SheetIndex
from atlas.site.pages import Pages
from atlas.site.resources import overlay, static_files
from atlas.site.scripts import scripts
from atlas.site.sheets import SUFFIX, Format, SheetPlan, plan_sheets
from atlas.site.tables import table_files
from atlas.site.templates import digest_of_code

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class SiteOptions:
    """How a site is made.

    `quality` is of optimized images, `photograph_quality` of the sheets of photographs, which are
    two thirds of a site's bytes (measured, 80 crops of 112 px a sheet: AVIF at 50 takes 101 kB for
    an SSIM of 0.93, at 45 84 kB for 0.92, at 40 68 kB for 0.89; WebP at 70 157 kB for 0.96).

    `templates` and `content` are folders whose files come before the shipped ones of the same
    name; `url` is where the site will be, for canonical links, cards, the sitemap and the 404
    page; `media` where its media folder will be, if not inside of it. Without `publish_examples`
    no photograph, label or source is in pages, manifest or media.
    """

    format: Format = "avif"
    quality: int = 45
    photograph_quality: int = 40
    publish_examples: bool = True
    templates: Path | None = None
    content: Path | None = None
    url: str | None = None
    media: str | None = None


@dataclass(frozen=True)
class SiteReport:
    """What a build did; `files` and `bytes` measure the whole site, not only what changed.

    `sheet_seconds` went into image files, `page_seconds` into everything else.
    """

    pages_written: int
    pages_unchanged: int
    sheets_encoded: int
    sheets_reused: int
    removed: int
    files: int
    bytes: int
    sheet_seconds: float
    page_seconds: float


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
    for quality in (options.quality, options.photograph_quality):
        if not 1 <= quality <= 100:
            raise ConfigError(f"quality must be 1 to 100, not {quality}")
    if not options.publish_examples:
        catalogue = catalogue.without_photographs()

    started = time.monotonic()
    templates = overlay("templates", options.templates)
    content = overlay("content", options.content)
    notes, layer_notes = read_notes(content), read_notes(content, "layers")
    ledger = Ledger(out, index)
    code = fingerprint(digest_of_code(templates), options.format)  # paths of sheets have a suffix
    contents = {channel.name: fingerprint(channel) for channel in catalogue.channels}
    whole = fingerprint(
        code, options, _said(notes), _said(layer_notes), replace(catalogue, channels=()), contents,
        media.photographs_digest(),
        [media.render_digest(r) for channel in catalogue.channels for r in channel.renders],
    )  # fmt: skip
    if ledger.complete(whole):
        return kept(ledger.left, time.monotonic() - started)

    check_links(out)
    plan = plan_sheets(catalogue, options.format, cards=options.url is not None)
    pages = Pages(
        catalogue, plan, contents, templates, code, notes, layer_notes, options.url, options.media
    )
    old = ledger.left or files_of_manifest(out)
    every = list(pages.all())
    ledger.announce([*old, *(strip.path for strip in plan.strips), *(page.path for page in every)])

    before = time.monotonic()
    sheets = make_sheets(plan.strips, media, out, index, ledger, _encoder(options), progress)
    sheet_seconds = time.monotonic() - before
    present = {strip.path for strip in plan.strips}
    written = unchanged = 0
    for done, page in enumerate(every, start=1):
        if page.key is not None and ledger.fresh(page.path, page.key):
            unchanged += 1
        else:
            if write_if_changed(out / page.path, page.text().encode("utf-8", "replace")):
                written += 1
            else:
                unchanged += 1
            ledger.enter(page.path, page.key or "")
        present.add(page.path)
        if progress is not None:
            progress("pages", done, len(every))
    site = _Site(out, ledger, present)
    site.write("", static_files(templates))
    if options.url is not None:
        addresses = sorted(path for path in present if path.endswith(".html"))
        site.write("", [*sitemap(options.url, addresses), robots(options.url)])
    give_freed_memory_back()  # what follows takes most
    _data(
        catalogue, plan, pages, fingerprint(code, replace(catalogue, channels=()), contents), site
    )
    removed = prune(out, old, present)
    ledger.save(whole)
    return SiteReport(
        pages_written=written,
        pages_unchanged=unchanged,
        sheets_encoded=sheets.encoded,
        sheets_reused=sheets.reused,
        removed=removed,
        files=len(present),
        bytes=sum((out / path).stat().st_size for path in present),
        sheet_seconds=sheet_seconds,
        page_seconds=time.monotonic() - started - sheet_seconds,
    )


def _said(notes: Mapping[str, Note]) -> list[Note]:
    """Notes for a fingerprint: without the set of their links, which stand in their text, as a set
    has another order in every process."""
    return [replace(note, links=frozenset()) for note in notes.values()]


def _encoder(options: SiteOptions) -> Encoder:
    return Encoder(options.format, options.quality, options.photograph_quality)


def kept(left: Mapping[str, int], seconds: float) -> SiteReport:
    """The report of a build that found everything as it has to be."""
    pages = sum(path.endswith(".html") for path in left)
    sheets = sum(path.startswith("media/") for path in left)
    return SiteReport(0, pages, 0, sheets, 0, len(left), sum(left.values()), 0.0, seconds)


def _data(catalogue: Catalogue, plan: SheetPlan, pages: Pages, contents: str, site: _Site) -> None:
    """What programs and scripts read: the scripts' data, the tables and, last, the manifest.

    `contents` is a digest of the catalogue and of what makes pages of it.
    """
    notes = fingerprint(contents, _said(pages.texts), _said(pages.layer_notes))
    site.group(
        f"scripts {notes}",
        lambda: scripts(catalogue, plan, pages.texts, pages.layer_notes, pages.links.classes),
    )
    site.group(f"tables {contents}", lambda: table_files(catalogue, plan))
    others = sorted(site.present)
    give_freed_memory_back()
    site.group(
        f"manifest {fingerprint(contents, others)}",
        lambda: manifest_files(catalogue, plan, pages.links.classes, others),
    )


@dataclass
class _Site:
    """The folder that is written to, and the files it has so far."""

    out: Path
    ledger: Ledger
    present: set[str]

    def write(self, key: str, files: Iterable[tuple[str, bytes]]) -> None:
        """Write files that are made of `key`."""
        for path, data in files:
            write_if_changed(self.out / path, data)
            self.ledger.enter(path, key)
            self.present.add(path)

    def group(self, key: str, make: Callable[[], Iterable[tuple[str, bytes]]]) -> None:
        """Write the files made of `key`, unless they are as they were left."""
        fresh = self.ledger.fresh_group(key)
        if fresh:
            self.present.update(fresh)
        else:
            for path, data in make():
                self.ledger.announce([path])
                self.write(key, [(path, data)])
