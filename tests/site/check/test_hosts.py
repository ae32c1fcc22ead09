"""The limits of static hosts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from atlas.cli_site import HOSTS as NAMED_HOSTS
from atlas.site.check import HOSTS, lines
from atlas.site.check import hosts as host_module
from atlas.site.check.folder import Folder
from atlas.site.check.hosts import check_host
from tests.site.check.sites import found


def folder_of(**files: int) -> Folder:
    return Folder(Path(), files, frozenset({"a", "b"}), frozenset())


def test_the_command_line_offers_every_host():
    assert set(NAMED_HOSTS) == set(HOSTS)


@pytest.mark.parametrize(
    ("host", "files", "wrong"),
    [
        ("github", {"a": 90 * 2**20}, []),
        ("github", {"a": 101 * 2**20},
         ["a: 105,906,176 bytes; GitHub Pages takes no more than 104,857,600"]),
        ("github", {str(i): 10**7 for i in range(91)},
         [".: warning: 910,000,000 bytes; GitHub Pages is close to its limit of 1,000,000,000"]),
        ("github", {str(i): 10**7 for i in range(101)},
         [".: 1,010,000,000 bytes; GitHub Pages takes no more than 1,000,000,000"]),
        ("github", {"_x/a.html": 1, "b_.html": 1},
         ["_x/a.html: GitHub Pages leaves out names that begin with _ unless the site has an empty "
          "file named .nojekyll"]),
        ("github", {"_x/a.html": 1, ".nojekyll": 0}, []),
        ("cloudflare", {str(i): 1 for i in range(18_000)}, []),
        ("cloudflare", {str(i): 1 for i in range(20_001)},
         [".: 20,001 files; Cloudflare Pages (free plan) takes no more than 20,000"]),
        ("cloudflare", {"a": 26_214_400, "_headers": 1},
         ["_headers: Cloudflare Pages (free plan) reads it as settings and does not serve it",
          "a: warning: 26,214,400 bytes; Cloudflare Pages (free plan) is close to its limit of "
          "26,214,400"]),
        ("netlify", {f"a/{i}": 1 for i in range(54_001)} | {"b/c#d": 1},
         ["a: 54,001 files; Netlify takes no more than 54,000",
          "b/c#d: Netlify takes no # in a name"]),
        ("gitlab", {str(i): 1 for i in range(199_999)},
         [".: 200,001 files and folders; GitLab Pages takes no more than 200,000"]),
    ],
)  # fmt: skip
def test_what_a_host_takes(host, files, wrong):
    assert lines(check_host(folder_of(**files), host), 10) == wrong


def test_a_good_site_fits_every_host(good, monkeypatch):
    for host in HOSTS:
        assert found(good, host=host) == set()
    small = {"github": replace(HOSTS["github"], bytes=1000)}
    monkeypatch.setattr(host_module, "HOSTS", small)
    (line,) = found(good, host="github")
    assert line.endswith("GitHub Pages takes no more than 1,000")
