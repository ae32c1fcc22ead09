"""What a check found, and how it is put into lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from atlas.site.text import clean

PER_FILE = 5
"""Problems of one rule that are reported of one file, one by one; a count stands for the others."""


class Problem(NamedTuple):
    """One thing that is wrong: where (a path in the site), by which rule, and in words.

    A `warning` is something a site works with, which a host or a reader may still stumble over.
    """

    path: str
    rule: str
    text: str
    warning: bool = False

    @property
    def line(self) -> str:
        """``path: what is wrong``, on one line and without anything a terminal would obey."""
        mark = "warning: " if self.warning else ""
        return f"{clean(self.path, 200)}: {mark}{clean(self.text, 300)}"


@dataclass
class Findings:
    """The problems of one file while it is being read, the same one only once."""

    path: str
    _found: dict[str, list[Problem]] = field(default_factory=dict)
    _seen: set[tuple[str, str]] = field(default_factory=set)
    _left_out: dict[str, int] = field(default_factory=dict)

    def add(self, rule: str, text: str, warning: bool = False) -> None:
        """Note a problem."""
        of_rule = self._found.setdefault(rule, [])
        if len(of_rule) >= PER_FILE:
            self._left_out[rule] = self._left_out.get(rule, 0) + 1
        elif (rule, text) not in self._seen:
            self._seen.add((rule, text))
            of_rule.append(Problem(self.path, rule, text, warning))

    def __iter__(self) -> Iterator[Problem]:
        """The problems, each rule's last one with the number of those that were left out."""
        for rule, problems in self._found.items():
            yield from problems[:-1]
            last, more = problems[-1], self._left_out.get(rule, 0)
            yield last._replace(text=f"{last.text}; {more} more like it here") if more else last


def lines(problems: Iterable[Problem], most: int) -> list[str]:
    """The problems as lines: rule by rule, errors before warnings, of each rule at most `most`."""
    groups: dict[tuple[bool, str], list[Problem]] = {}
    for problem in problems:
        groups.setdefault((problem.warning, problem.rule), []).append(problem)
    found: list[str] = []
    for (_, rule), group in sorted(groups.items(), key=lambda item: item[0][0]):
        found += [problem.line for problem in group[:most]]
        if len(group) > most:
            found.append(f"and {len(group) - most:,} more of the kind “{rule}”")
    return found
