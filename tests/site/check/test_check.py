"""`atlas check` as a whole: a good site has no problems, and the command says so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from atlas.site.check import check_site, lines
from tests.site.check.sites import PAGE, edit, found


def test_a_site_as_it_is_built_has_no_problems(good):
    report = check_site(good, thorough=True)
    assert lines(report.problems, 10) == []
    assert report.pages == len(list(good.rglob("*.html")))
    assert report.images == len([*good.rglob("*.avif")])
    assert report.files == sum(path.is_file() for path in good.rglob("*"))
    assert report.bytes == sum(path.stat().st_size for path in good.rglob("*") if path.is_file())
    assert report.links > 5 * report.pages


def test_neither_has_one_with_an_address_and_its_media_elsewhere(published):
    assert found(published) == set()
    assert found(published, media="https://cdn.example.org/a") == set()


def test_several_processes_find_what_one_finds(site):
    edit(site / "conv2d0" / "1.html", 'alt="', 'data-alt="')
    (site / "media" / "renders" / "conv2d0" / "0.avif").write_bytes(b"not an image")
    one, three = check_site(site, processes=1), check_site(site, processes=3)
    assert one.problems == three.problems
    assert len(one.problems) == 2
    assert (one.pages, one.links) == (three.pages, three.links)


def run(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "atlas", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)


def test_the_command_says_what_it_did_and_ends_with_a_code(site, tmp_path):
    fine = run("check", cwd=tmp_path)  # ./site is what is checked when nothing is said
    assert (fine.returncode, fine.stderr) == (0, "")
    pages = len(list(site.rglob("*.html")))
    assert fine.stdout.startswith("0 problems, 0 warnings; checked ")
    assert f" {pages} pages parsed, " in fine.stdout
    assert run("check", site, "-q", cwd=tmp_path).stdout == ""
    (site / "old.html").write_bytes((site / "404.html").read_bytes())
    assert run("check", site, cwd=tmp_path).returncode == 0
    strict = run("check", site, "--strict", "-q", cwd=tmp_path)
    assert (strict.returncode, strict.stdout) == (
        1, "old.html: warning: is not in the manifest\n",
    )  # fmt: skip
    edit(site / PAGE, 'alt="', 'data-alt="')
    assert run("check", site, cwd=tmp_path).returncode == 1


def test_the_command_refuses_what_is_no_atlas_in_one_line(tmp_path):
    wrong = run("check", "none", cwd=tmp_path)
    assert wrong.returncode == 2
    assert wrong.stderr == "atlas: none is no folder; give the folder of a site, such as site\n"
    assert run("check", ".", "--host", "geocities", cwd=tmp_path).returncode == 2
