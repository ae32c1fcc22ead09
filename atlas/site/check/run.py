"""The order of a check: folder → manifest → pages and images, in parallel → what takes them all."""

from __future__ import annotations

import html
import multiprocessing
import os
import re
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

from atlas.errors import AtlasError, WorkError
from atlas.site.check.budgets import check_static
from atlas.site.check.folder import Folder, walk
from atlas.site.check.hosts import check_host
from atlas.site.check.links import missing, of_stylesheet, resolve
from atlas.site.check.manifest import PATH as MANIFEST
from atlas.site.check.manifest import ManifestCheck
from atlas.site.check.page import COMPARE, Context, PageFacts, Picture, addresses_of, read_page
from atlas.site.check.pictures import SUFFIXES, Size, check_pictures, read_picture
from atlas.site.check.problems import Findings, Problem

CHUNK = 32
"""Files a process is given at a time."""
FEW = 400
"""Below so many files, further processes take longer to start than they save."""
MOST_PROCESSES = 8
TEXT_LIMIT = 20 * 2**20
"""Bytes of a stylesheet or sitemap above which it is not read."""

Progress = Callable[[int, int], None]


@dataclass
class CheckReport:
    """What a check found, and how much it has looked at.

    `links` are references of all kinds on all pages. Images were decoded if `thorough`, else only
    their headers were read.
    """

    problems: list[Problem] = field(default_factory=list)
    files: int = 0
    bytes: int = 0
    pages: int = 0
    images: int = 0
    links: int = 0
    thorough: bool = False

    @property
    def errors(self) -> int:
        """How many problems are no mere warnings."""
        return sum(not problem.warning for problem in self.problems)

    @property
    def warnings(self) -> int:
        """How many problems are warnings."""
        return len(self.problems) - self.errors


@dataclass
class _Read:
    """What came of a chunk of files."""

    pages: list[PageFacts] = field(default_factory=list)
    sizes: dict[str, Size] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def check_site(
    root: Path,
    host: str | None = None,
    media: str | None = None,
    thorough: bool = False,
    processes: int | None = None,
    progress: Progress | None = None,
) -> CheckReport:
    """Check the site in the folder `root`.

    Args:
        host: a key of `HOSTS` whose limits it has to keep as well.
        media: the address its media are loaded from, if not from the site; None: as its first page
            has it. The files are looked for in the folder in any case.
        thorough: decode every image instead of reading its header.
        processes: how many to use (default: one a core, none beside this one for small sites).
        progress: told how many files of how many are done.

    Raises:
        AtlasError: `root` is no folder, or there is no atlas in it.
        WorkError: a process was ended from outside, as for want of memory.
    """
    if not root.is_dir():
        raise AtlasError(f"{root} is no folder; give the folder of a site, such as site")
    folder, problems = walk(root)
    if not folder.has(MANIFEST):
        raise AtlasError(f"{root} is no atlas: it has no {MANIFEST}, which atlas build writes last")
    manifest = ManifestCheck(folder)
    url, found_media = addresses_of("index.html", folder)
    if media is None:
        media = found_media
    media = f"{media.rstrip('/')}/" if media else ""
    context = Context(folder, manifest.kinds, url, media)

    pages: list[PageFacts] = []
    sizes: dict[str, Size] = {}
    for read in _read_all(context, thorough, processes, progress):
        pages += read.pages
        sizes |= read.sizes
        problems += read.problems
    for page in pages:
        problems += page.problems
    shown: dict[Picture, str] = {}
    for page in pages:
        for picture in sorted(page.pictures):
            shown.setdefault(picture, page.path)
    problems += check_pictures(shown, sizes)
    problems += _anchors(pages, manifest, context)
    problems += manifest.check(sizes)
    problems += check_static(folder)
    problems += _top_pages(folder)
    for path in folder.files:
        if path.endswith(".css"):
            problems += _stylesheet(path, folder)
    if "sitemap.xml" in folder.files:
        problems += _sitemap(folder, url)
    if host is not None:
        problems += check_host(folder, host)
    return CheckReport(
        problems=problems,
        files=len(folder.files),
        bytes=folder.size,
        pages=len(pages),
        images=sum(path.lower().endswith(SUFFIXES) for path in folder.files),
        links=sum(page.links for page in pages),
        thorough=thorough,
    )


def _read_all(
    context: Context, thorough: bool, processes: int | None, progress: Progress | None
) -> Iterator[_Read]:
    """Read every page and image, in an order that does not depend on the number of processes."""
    paths = [p for p in context.folder.files if p.endswith(".html") or p.lower().endswith(SUFFIXES)]
    chunks = [paths[i : i + CHUNK] for i in range(0, len(paths), CHUNK)]
    if processes is None:
        processes = 1 if len(paths) < FEW else min(os.cpu_count() or 1, MOST_PROCESSES)
    done = 0
    for chunk, read in zip(chunks, _spread(chunks, context, thorough, processes), strict=True):
        done += len(chunk)
        if progress is not None:
            progress(done, len(paths))
        yield read


def _spread(
    chunks: Sequence[Sequence[str]], context: Context, thorough: bool, processes: int
) -> Iterator[_Read]:
    if processes < 2:
        for chunk in chunks:
            yield _read_chunk(chunk, context, thorough)
        return
    # Spawned, not forked: the parent may have threads, and forking with them can lock up a child.
    pool = ProcessPoolExecutor(
        processes, multiprocessing.get_context("spawn"), _begin, (context, thorough)
    )
    try:
        yield from pool.map(_work, chunks)
    except BrokenProcessPool as error:
        raise WorkError(
            "a process of the check was ended from outside; is the memory full?"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


_given: tuple[Context, bool] | None = None
"""What every chunk of a process is read with, sent to it once."""


def _begin(context: Context, thorough: bool) -> None:
    global _given
    _given = context, thorough
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends the pool


def _work(chunk: Sequence[str]) -> _Read:
    assert _given is not None
    return _read_chunk(chunk, *_given)


def _read_chunk(chunk: Sequence[str], context: Context, thorough: bool) -> _Read:
    read = _Read()
    for path in chunk:
        if path.endswith(".html"):
            read.pages.append(read_page(path, context))
            continue
        size, problem = read_picture(path, context.folder, thorough)
        if size is not None:
            read.sizes[path] = size
        if problem is not None:
            read.problems.append(problem)
    return read


def _anchors(
    pages: Iterable[PageFacts], manifest: ManifestCheck, context: Context
) -> Iterator[Problem]:
    """Places on other pages that are linked to and are not there."""
    ids = {page.path: page.ids for page in pages}
    for page in pages:
        for path, fragment in sorted(page.anchors):
            if path == COMPARE:
                units = [unit for unit in fragment.split(",") if unit not in manifest.units]
                if units:
                    text = f"compares {', '.join(units)}, not in this atlas"
                    yield Problem(page.path, "anchor", text)
            elif context.kinds.get(path) == "layer" and "=" in fragment:
                continue  # how the layer's tools are set, not a place
            elif path in ids and fragment not in ids[path]:
                text = f"links to {path}#{fragment}, but there is no such id"
                yield Problem(page.path, "anchor", text)


def _top_pages(folder: Folder) -> Iterator[Problem]:
    for path in ("index.html", "404.html"):
        if path not in folder.files:
            yield Problem(path, "missing page", "is not there")


def _stylesheet(path: str, folder: Folder) -> Iterator[Problem]:
    """What a stylesheet loads."""
    findings = Findings(path)
    text = _text(path, folder, findings)
    for url in of_stylesheet(text):
        if url.startswith(("data:", "#")):
            continue
        reference = resolve(path, url)
        if reference.elsewhere:
            findings.add("elsewhere", f"loads {url!r}, which is not of this site")
        elif trouble := reference.wrong or missing(reference, url, folder):
            findings.add("link", trouble)
    yield from findings


def _sitemap(folder: Folder, url: str) -> Iterator[Problem]:
    """Addresses in the sitemap that lead nowhere."""
    findings = Findings("sitemap.xml")
    for match in re.finditer(r"<loc>([^<]*)</loc>", _text("sitemap.xml", folder, findings)):
        address = html.unescape(match[1])
        if not url or not address.startswith(url):
            findings.add("link", f"names {address!r}, which is not below the site’s address")
        elif trouble := missing(resolve("", address, url), address, folder):
            findings.add("link", trouble)
    yield from findings


def _text(path: str, folder: Folder, findings: Findings) -> str:
    """The text of a small file; empty, with a finding, if there is none to read."""
    try:
        data = folder.read(path, TEXT_LIMIT)
        if data is None:
            findings.add("too large", f"larger than {TEXT_LIMIT:,} bytes; not read")
        return (data or b"").decode("utf-8")
    except OSError as error:
        findings.add("unreadable", f"cannot be read: {error.strerror or error}")
    except UnicodeDecodeError as error:
        findings.add("encoding", f"is not UTF-8 (byte {error.start:,})")
    return ""
