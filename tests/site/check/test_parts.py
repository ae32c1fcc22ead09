"""Lines, links and addresses by themselves."""

from __future__ import annotations

from pathlib import Path

from atlas.site.check import Problem, lines
from atlas.site.check.folder import Folder
from atlas.site.check.links import missing, of_srcset, of_stylesheet, resolve
from atlas.site.check.problems import Findings


def test_problems_are_grouped_and_counted():
    problems = [Problem(f"{i}.html", "link", "x") for i in range(812)]
    problems.insert(3, Problem("a.html", "id", "y", warning=True))
    assert lines(problems, 2) == [
        "0.html: x", "1.html: x", "and 810 more of the kind “link”", "a.html: warning: y",
    ]  # fmt: skip


def test_of_one_file_the_same_is_said_once_and_much_is_counted():
    findings = Findings("a.html")
    for i in [1, 1, 2, 3, 4, 5, 6, 7]:
        findings.add("link", f"x{i}")
    assert [problem.text for problem in findings] == [
        "x1", "x2", "x3", "x4", "x5; 2 more like it here",
    ]  # fmt: skip


def test_addresses_below_a_base_are_files_of_the_site():
    assert resolve("a/b.html", "https://x.org/m/c.png", "https://x.org/m/").path == "c.png"
    assert resolve("a/b.html", "https://x.org/c.png", "https://x.org/m/").elsewhere
    out = resolve("a/b.html", "https://x.org/m/../../c.png", "https://x.org/m/")
    assert "leads out of the site" in out.wrong
    assert resolve("a/b.html", " c.html\n").path == "a/c.html"
    folder = Folder(Path(), {"a/C.html": 1}, frozenset(), frozenset())
    assert missing(resolve("a/b.html", "c.html"), "c.html", folder) == (
        "links to 'c.html', but the file is called a/C.html"
    )


def test_addresses_in_stylesheets_and_srcsets():
    css = "@import url(a.css); @import 'b.css'; x { y: url('c d.png') URL( e.png ) } /* url(f) */"
    assert sorted(of_stylesheet(css)) == ["a.css", "b.css", "c d.png", "e.png"]
    assert list(of_srcset("a.png 1x, b.png 200w")) == ["a.png", "b.png"]
