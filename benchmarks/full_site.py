"""Build the site of a full-size atlas from made-up pictures, measure it, and hold it to budgets.

    python benchmarks/full_site.py --out FOLDER [--weights googlenet-bvlc.safetensors]

`fake_store.py` makes what ``atlas pages`` starts from. Then the command itself runs, each time as
a process of its own: with everything to do, with nothing changed, after one note was edited, after
the template of channels was, and with all images there but no page. The last is the page work:
start of the process, records, pages, data, manifest. Memory is that of all processes of a run at
the same time. Exits with 1 if a budget does not hold.

`--keep-site` begins with the site that an earlier run left, so that nothing is encoded. `--units`
measures a smaller atlas; budgets of the whole site are then not those of 5,808 channels.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median

from fake_options import add_options
from first_view import browser, first_views
from site_walk import Page, Site, changed, spread, times
from watch import Cost, run

import atlas
from atlas.errors import AtlasError, WorkError
from atlas.progress import in_words
from atlas.site.resources import shipped

FULL = 5808
"""Channels of a GoogLeNet."""

PAGE_SECONDS, UNCHANGED_SECONDS = 60, 3
MEMORY, SITE = 10**9, 10**9
FILES = 20_000
CHANNEL_HTML, CHANNEL_WHOLE = 30_000, 350_000
LAYER_HTML, LAYER_FIRST = 150_000, 1_000_000
CSS, JS = 20_000, 30_000
PAINT = 1000

WORD = "quidnunc"
"""A word that no page has, for the note to be edited."""


@dataclass
class Table:
    """Budgets, what was measured, and whether they hold."""

    failed: list[str] = field(default_factory=list)

    def row(self, budget: str, measured: str, holds: bool) -> None:
        """Print one, and remember it if it does not."""
        print(f"  {'holds' if holds else 'FAILS':6} {budget:52}  {measured}")
        if not holds:
            self.failed.append(budget)


@dataclass(frozen=True)
class Runs:
    """What the runs took, and the files that some of them changed."""

    unchanged: Cost
    pages: Cost
    peak: int
    touched: set[str]
    after_note: set[str]
    with_word: set[str]


def main() -> None:
    """Make, build, measure, judge."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_options(parser)
    parser.add_argument("--keep-site", action="store_true", help="encode what is missing only")
    options = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        failed = measure(options)
    except AtlasError as error:
        print(f"full_site: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    sys.exit(1 if failed else 0)


def measure(options: argparse.Namespace) -> list[str]:
    """Do all of it; the budgets that do not hold."""
    out: Path = options.out
    make = [sys.executable, str(Path(__file__).with_name("fake_store.py")), "--out", str(out)]
    make += ["--units", options.units, "--images", str(options.images)]
    if options.weights is not None:
        make += ["--weights", str(options.weights)]
    made = run(make)
    print(f"made up pictures, passed over photographs: {in_words(made.seconds)}\n")
    if not options.keep_site and (out / "site").exists():
        shutil.rmtree(out / "site")
    runs = run_pages(out)
    site = Site(out / "site")
    print()
    describe(site)
    print()
    failed = judge(site, runs)
    print(
        f"\nchannel-atlas {atlas.__version__}, python {platform.python_version()}, "
        f"{os.cpu_count()} CPU cores, {options.images:,} photographs of {len(site.channels):,} "
        "channels"
    )
    return failed


def run_pages(out: Path) -> Runs:
    """``atlas pages``, again and again."""
    site, config = out / "site", str(out / "atlas.toml")
    command = [sys.executable, "-m", "atlas", "pages", "--config", config]
    note, template = out / "content/layers", out / "templates/channel.html.jinja"
    shutil.rmtree(note, ignore_errors=True)
    template.unlink(missing_ok=True)
    costs: list[Cost] = []

    def go(what: str) -> set[str]:
        """Run it, and return the files it changed."""
        before = times(site) if site.exists() else {}
        cost = run(command)
        costs.append(cost)
        touched = changed(before, times(site))
        print(
            f"{what:24}{cost.seconds:8.1f} s {cost.processor:8.1f} s {cost.peak / 1e6:6.0f} MB "
            f"{len(touched):8,} files"
        )
        print(f"    {cost.output.strip().rpartition(chr(10))[2]}")
        return touched

    print(f"{'atlas pages':24}{'time':>10} {'processor':>10} {'memory':>9} {'changed':>14}")
    go("everything to do")
    touched = go("nothing changed")
    layer = min(path.parent.name for path in site.glob("*/[0-9]*.html"))
    edit(shipped("content") / "layers" / f"{layer}.md", note / f"{layer}.md", "", f"\n\n{WORD}\n")
    after_note = go("one note edited")
    with_word = {path for path in times(site) if holds(site / path, WORD)}
    main_block = "{% block main %}"
    edit(shipped("templates") / template.name, template, main_block, f"{main_block}<!-- {WORD} -->")
    go("channel template edited")
    shutil.rmtree(note)
    template.unlink()
    for entry in site.iterdir():
        if entry.name == "media":
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    go("images there, no pages")
    peak = max(cost.peak for cost in costs)
    return Runs(costs[1], costs[-1], peak, touched, after_note, with_word)


def edit(original: Path, place: Path, old: str, new: str) -> None:
    """A copy of a shipped file with `old` replaced by `new`, which is appended where that is empty.

    Raises:
        WorkError: `old` is not in it.
    """
    text = original.read_text("utf-8")
    if old not in text:
        raise WorkError(
            f"{original.name} has no {old}: this benchmark has to be brought up to date"
        )
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text.replace(old, new, 1) if old else text + new, "utf-8")


def holds(path: Path, word: str) -> bool:
    """Whether a file has a word in it."""
    return word.encode() in path.read_bytes().lower()


def describe(site: Site) -> None:
    """How many bytes there are of what, and what pages weigh."""
    print(f"{'kind':12}{'files':>8}{'MB':>10}{'kB a channel':>15}")
    channels = max(len(site.channels), 1)
    for kind, sizes in sorted(site.kinds().items(), key=lambda item: -sum(item[1])):
        total = sum(sizes)
        print(f"{kind:12}{len(sizes):8,}{total / 1e6:10.1f}{total / 1e3 / channels:15.1f}")
    print(f"{'all':12}{len(site.sizes):8,}{site.bytes / 1e6:10.1f}")
    if len(site.channels) < FULL:
        whole = site.bytes / channels * FULL
        print(f"    as much for each of {FULL:,} channels: {whole / 1e6:.0f} MB")
    largest = max(site.sizes, key=lambda path: site.sizes[path])
    print(f"largest file: {largest}, {site.sizes[largest] / 1e6:.2f} MB")
    for what, pages in (("channel", site.channels), ("layer", site.layers), ("other", site.others)):
        print(f"{len(pages):,} {what} pages: HTML {spread(page.html for page in pages)}")
        print(f"    with all they load {spread(map(site.whole, pages))}")


def judge(site: Site, runs: Runs) -> list[str]:
    """Every budget; those that do not hold."""
    table = Table()
    seconds = runs.pages.seconds
    table.row(f"page work < {PAGE_SECONDS} s", f"{seconds:.1f} s", seconds < PAGE_SECONDS)
    table.row("memory < 1 GB", f"{runs.peak / 1e6:.0f} MB", runs.peak < MEMORY)
    seconds = runs.unchanged.seconds
    quick = seconds < UNCHANGED_SECONDS
    table.row(f"nothing changed: < {UNCHANGED_SECONDS} s", f"{seconds:.1f} s", quick)
    touched = runs.touched
    table.row("nothing changed: no file is written", f"{len(touched)} files", not touched)
    others = runs.after_note - runs.with_word
    table.row(
        "one note edited: only files that show it are written",
        f"{len(runs.after_note)} files, {len(others)} others {' '.join(sorted(others)[:3])}",
        bool(runs.after_note) and not others,
    )
    table.row(f"<= {FILES:,} files", f"{len(site.sizes):,}", len(site.sizes) <= FILES)
    table.row("site < 1 GB", f"{site.bytes / 1e6:.0f} MB", site.bytes < SITE)

    def most(budget: str, limit: int, sizes: dict[str, int]) -> None:
        worst = max(sizes, key=lambda path: sizes[path])
        measured = f"{sizes[worst] / 1e3:.1f} kB ({worst}), mean {fmean(sizes.values()) / 1e3:.1f}"
        table.row(f"{budget} <= {limit // 1000} kB", measured, sizes[worst] <= limit)

    most("channel page, HTML", CHANNEL_HTML, {p.path: p.html for p in site.channels})
    most(
        "channel page, all it loads", CHANNEL_WHOLE, {p.path: site.whole(p) for p in site.channels}
    )
    most("layer page, HTML", LAYER_HTML, {p.path: p.html for p in site.layers})
    most("CSS of a page", CSS, {p.path: site.weigh(p.styles()) for p in site.pages})
    most("JS of a page", JS, {p.path: site.weigh(p.scripts()) for p in site.pages})
    elsewhere = set(site.elsewhere)
    chromium = browser()
    if chromium is not None:
        shown = [page.path for page in (*site.layers, *heaviest(site), *site.others[:3])]
        views = first_views(site.root, shown, chromium)
        layers = {p.path: site.weigh({*views[p.path].asked, p.path}) for p in site.layers}
        most("layer page, first view", LAYER_FIRST, layers)
        elsewhere |= {url for view in views.values() for url in view.asked if "://" in url}
        slowest = max(views, key=lambda path: views[path].paint)
        paint = views[slowest].paint
        middle = median(view.paint for view in views.values())
        measured = f"{paint:.0f} ms ({slowest}), median {middle:.0f}"
        table.row(f"largest contentful paint < {PAINT} ms, over http", measured, paint < PAINT)
        shift = max(view.shift for view in views.values())
        table.row("layout shift 0", f"{shift:.4f} on {len(views)} pages", shift == 0)
    else:
        print("  ?      layer page, first view: needs playwright and Chromium, which are not here")
    table.row("nothing from another origin", f"{len(elsewhere)} URLs", not elsewhere)
    return table.failed


def heaviest(site: Site) -> list[Page]:
    """The channel pages that load most."""
    return sorted(site.channels, key=site.whole)[-3:]


if __name__ == "__main__":
    main()
