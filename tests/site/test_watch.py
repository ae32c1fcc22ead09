"""Watching: what counts as a change, half-written files, and what is done about it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from atlas.errors import ConfigError
from atlas.site import watch
from atlas.site.watch import changes, keep_up, look, settled


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(watch, "PAUSE", 0.02)


def touch(path: Path, text: str = "x") -> None:
    """Write a file, with a time that no earlier write can have had."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    moment = time.time_ns()
    os.utime(path, ns=(moment, moment))


def test_files_that_come_go_and_change_are_changes(tmp_path):
    a, b, c = (tmp_path / "content" / name for name in ("a.md", "deep/b.md", "c.md"))
    for path in (a, b):
        touch(path)
    before = look([tmp_path / "content", tmp_path / "none"])
    assert set(before) == {a, b}
    touch(a, "longer")
    b.unlink()
    touch(c)
    assert changes(before, look([tmp_path / "content"])) == sorted([a, b, c])
    assert changes(before, before) == []


def test_editors_own_files_and_links_in_circles_are_not_looked_at(tmp_path):
    for name in (".a.md.swp", "a.md~", "#a.md#", ".git/x"):
        touch(tmp_path / name)
    (tmp_path / "circle").symlink_to(tmp_path)
    (tmp_path / "nowhere").symlink_to(tmp_path / "none")
    touch(tmp_path / "a.md")
    assert set(look([tmp_path])) == {tmp_path / "a.md"}


def test_a_file_is_a_place_of_its_own(tmp_path):
    touch(tmp_path / "atlas.toml")
    assert set(look([tmp_path / "atlas.toml"])) == {tmp_path / "atlas.toml"}


def test_a_file_that_is_being_written_is_waited_for(tmp_path):
    path = tmp_path / "a.md"
    touch(path, "one")
    seen = look([tmp_path])
    parts = iter(["two", "two three", "two three four"])

    def write_on(_: float) -> None:
        if (part := next(parts, None)) is not None:
            touch(path, part)

    touch(path, "tw")
    found, now = settled(lambda: [tmp_path], seen, write_on)
    assert found == [path]
    assert path.read_text() == "two three four"
    assert settled(lambda: [tmp_path], now, write_on) == ([], now)


def test_a_file_that_never_rests_is_taken_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "LONGEST", 0.1)
    path = tmp_path / "log.md"
    touch(path)
    seen = look([tmp_path])
    calls = iter(range(1000))
    touch(path, "y")
    found, _ = settled(lambda: [tmp_path], seen, lambda _: touch(path, "z" * next(calls)))
    assert found == [path]
    assert next(calls) == 5


class Site:
    """A rebuilder that notes what it is asked to do, and can be told to fail."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.broken = folder, False
        self.asked: list[list[str]] = []

    @property
    def result(self) -> Path:
        return self.folder / "site" / "manifest.json"

    def places(self) -> list[Path]:
        return [self.folder / "content"]

    def rebuild(self, changed: Sequence[Path]) -> str:
        self.asked.append([path.name for path in changed])
        if self.broken:
            raise ConfigError("a template is broken")
        touch(self.result, str(len(self.asked)))
        return f"built {len(self.asked)}"


class Told:
    """What `keep_up` says and announces, in order, while it runs in a thread."""

    def __init__(self, site: Site) -> None:
        self.lines: list[str] = []
        self.stop = threading.Event()
        self._news = threading.Condition()
        arguments = (site, lambda: self._note("changed"), self._note, self.stop)
        self._thread = threading.Thread(target=keep_up, args=arguments, daemon=True)

    def _note(self, line: str) -> None:
        with self._news:
            self.lines.append(line)
            self._news.notify_all()

    def next(self, amount: int) -> list[str]:
        """The next `amount` lines."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.lines) >= amount, 10), self.lines
            taken, self.lines[:amount] = self.lines[:amount], []
            return taken

    def __enter__(self) -> Told:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self._thread.join(10)
        assert not self._thread.is_alive()


def test_a_site_is_rebuilt_at_once_and_after_every_change(tmp_path):
    site = Site(tmp_path)
    with Told(site) as told:
        assert told.next(2) == ["changed", "built 1"]
        touch(tmp_path / "content" / "a.md")
        assert told.next(2) == ["changed", "built 2"]
        time.sleep(0.2)
        assert told.lines == []  # its own manifest is no news
    assert site.asked == [[], ["a.md"]]


def test_a_broken_file_is_said_to_be_and_its_mending_is_a_change(tmp_path):
    site = Site(tmp_path)
    with Told(site) as told:
        told.next(2)
        site.broken = True
        touch(tmp_path / "content" / "a.md")
        assert told.next(1) == ["not rebuilt: a template is broken"]
        site.broken = False
        touch(tmp_path / "content" / "b.md", "mended")
        assert told.next(2) == ["changed", "built 3"]
    assert site.asked == [[], ["a.md"], ["a.md", "b.md"]]


def test_what_somebody_else_builds_is_shown_and_known_of_the_next_time(tmp_path):
    site = Site(tmp_path)
    with Told(site) as told:
        told.next(2)
        touch(site.result, "by somebody else")
        assert told.next(1) == ["changed"]
        touch(tmp_path / "content" / "a.md")
        assert told.next(2) == ["changed", "built 2"]
    assert site.asked == [[], ["manifest.json", "a.md"]]
