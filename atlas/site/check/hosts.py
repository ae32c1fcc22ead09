"""What the usual static hosts take, so that an upload fails here and not there.

The numbers are the hosts' own documentation, read in November 2026:

- GitHub Pages: a published site may have 1 GB
  (docs.github.com/pages/getting-started-with-github-pages/github-pages-limits); git pushes take
  files up to 100 MiB (docs.github.com/repositories/working-with-files, "About large files").
- Cloudflare Pages: 20,000 files on the free plan (100,000 on paid ones since January 2026), 25 MiB
  a file (developers.cloudflare.com/pages/platform/limits).
- Netlify: 54,000 files a folder, no limit in all (docs.netlify.com/site-deploys/overview); its
  command line refuses names with ``#`` or ``?``.
- GitLab Pages on gitlab.com: 1 GB and 200,000 entries, folders included
  (docs.gitlab.com/user/gitlab_com and docs.gitlab.com/administration/instance_limits).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from atlas.site.check.folder import Folder
from atlas.site.check.problems import Problem

NEAR = 0.9
"""From this share of a limit on there is a warning."""


@dataclass(frozen=True)
class Host:
    """A host's limits; None where it has none. `entries` counts folders as well as files."""

    title: str
    files: int | None = None
    entries: int | None = None
    per_folder: int | None = None
    bytes: int | None = None
    file_bytes: int | None = None
    settings: tuple[str, ...] = ()
    """Names at the top of a site that the host takes as its own settings instead of serving."""
    forbidden: str = ""
    """Characters it refuses in a path."""
    jekyll: bool = False
    """It leaves out names that begin with ``_`` unless there is a ``.nojekyll``."""


HOSTS = {
    "github": Host("GitHub Pages", bytes=10**9, file_bytes=100 * 2**20, jekyll=True),
    "cloudflare": Host(
        "Cloudflare Pages (free plan)",
        files=20_000,
        file_bytes=25 * 2**20,
        settings=("_headers", "_redirects", "_routes.json", "_worker.js"),
    ),
    "netlify": Host(
        "Netlify", per_folder=54_000, settings=("_headers", "_redirects"), forbidden="#?"
    ),
    "gitlab": Host("GitLab Pages", entries=200_000, bytes=10**9, settings=("_redirects",)),
}


def check_host(folder: Folder, name: str) -> Iterator[Problem]:
    """What the host `name` (a key of `HOSTS`) would refuse, drop or be close to refusing."""
    host = HOSTS[name]
    amounts = (
        (".", "files", len(folder.files), host.files),
        (".", "files and folders", len(folder.files) + len(folder.folders), host.entries),
        (".", "bytes", folder.size, host.bytes),
    )
    for path, unit, amount, limit in amounts:
        yield from _measured(path, unit, amount, limit, host)
    for path, size in folder.files.items():
        yield from _measured(path, "bytes", size, host.file_bytes, host)
    if host.per_folder is not None:
        for path, amount in Counter(path.rpartition("/")[0] for path in folder.files).items():
            yield from _measured(path or ".", "files", amount, host.per_folder, host)
    for path in folder.files:
        yield from _named(path, folder, host)


def _measured(
    path: str, unit: str, amount: int, limit: int | None, host: Host
) -> Iterator[Problem]:
    if limit is None or amount <= NEAR * limit:
        return
    over = amount > limit
    word = "takes no more than" if over else "is close to its limit of"
    text = f"{amount:,} {unit}; {host.title} {word} {limit:,}"
    yield Problem(path, "host limit", text, warning=not over)


def _named(path: str, folder: Folder, host: Host) -> Iterator[Problem]:
    if path in host.settings:
        yield Problem(path, "host name", f"{host.title} reads it as settings and does not serve it")
    if bad := sorted(set(path) & set(host.forbidden)):
        yield Problem(path, "host name", f"{host.title} takes no {' or '.join(bad)} in a name")
    hidden = any(part.startswith("_") for part in path.split("/"))
    if host.jekyll and hidden and ".nojekyll" not in folder.files:
        yield Problem(
            path,
            "host name",
            f"{host.title} leaves out names that begin with _ unless the site has an empty file "
            "named .nojekyll",
        )
