"""What a store holds of a plan and beside it, and dropping what is beside it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from atlas.build import Project
from atlas.entry import Entry
from atlas.errors import in_one_line
from atlas.keys import PART, PASS
from atlas.lock import holder
from atlas.progress import in_bytes
from atlas.references import References
from atlas.repair import examine
from atlas.site.text import count
from atlas.store import Store

_KINDS = {
    "render": ("render", "renders"),
    "examples": ("table of examples", "tables of examples"),
    PART: ("part of a dataset pass", "parts of dataset passes"),
    PASS: ("unfinished dataset pass", "unfinished dataset passes"),
    "field": ("receptive field", "receptive fields"),
    "map": ("layer's maps", "layers' maps"),
}
"""What an entry of a stage is called, and several are."""

_LISTED = 20
"""Failures and damaged entries that the text names; the JSON has all."""


@dataclass(frozen=True)
class Status:
    """A store beside a plan.

    `parts` are states of shards that tables of examples will be made of, `orphaned` entries that
    the plan does not refer to, `unfinished` passes over the photographs that the next run goes on
    with, `foreign` files among the entries that are none. `failed` and `damaged` are (name,
    reason). Sizes are in bytes.
    """

    store: str
    entries: int
    bytes: int
    renders_planned: int
    renders_done: int
    renders_missing: int
    tables_planned: int
    tables_done: int
    tables_missing: tuple[str, ...]
    parts: int
    failed: tuple[tuple[str, str], ...]
    orphaned: int
    orphaned_bytes: int
    orphaned_kinds: Mapping[str, int]
    damaged: tuple[tuple[str, str], ...]
    foreign: tuple[str, ...]
    unfinished: int
    unfinished_bytes: int
    writer: str | None

    def as_json(self) -> str:
        """One JSON object, its keys those of this class."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False)

    def lines(self) -> list[str]:
        """For people."""
        text = [f"store      {self.store}: {self.entries:,} entries, {in_bytes(self.bytes)}"]
        line = f"renders    {self.renders_done:,} of {self.renders_planned:,} done"
        if self.renders_missing:
            line += f", {self.renders_missing:,} missing"
        text.append(line + (f", {len(self.failed)} failed" if self.failed else ""))
        if self.tables_planned:
            line = f"examples   {self.tables_done} of {self.tables_planned} layers done"
            missing = ", ".join(self.tables_missing)
            line += f", missing: {missing}" if missing else ""
            parts = count(self.parts, "part of a dataset pass", "parts of a dataset pass")
            text.append(line + (f"; the store has {parts}" if self.parts else ""))
        if self.unfinished:
            text.append(
                f"unfinished {count(self.unfinished, 'pass', 'passes')} over photographs, "
                f"{in_bytes(self.unfinished_bytes)}; the next run goes on"
            )
        if self.orphaned:
            text.append(
                f"orphaned   {in_words(self.orphaned_kinds)}, {in_bytes(self.orphaned_bytes)}; "
                "this config does not refer to them, atlas clean drops them"
            )
        if self.foreign:
            text.append(f"foreign    {len(self.foreign)} files: {', '.join(self.foreign[:5])}")
        if self.writer:
            text.append(f"in use     by {self.writer}")
        return text + _listed("failed", self.failed) + _listed("damaged", self.damaged)


def in_words(kinds: Mapping[str, int]) -> str:
    """``12 renders, 2 tables of examples``."""
    return ", ".join(
        count(amount, *_KINDS.get(kind, (f"entry of stage {kind}", f"entries of stage {kind}")))
        for kind, amount in kinds.items()
    )


def status_of(project: Project, deep: bool = False) -> Status:
    """Look at a project's store.

    Args:
        project: opened for reading.
        deep: read every file, also those that look untouched.
    """
    store, plan = project.store, project.plan
    examined = examine(store, deep)
    bad = {entry.key for entry in examined.bad}
    entries = [entry for entry in store.manifest.rows() if entry.key not in bad]
    present = {entry.key: entry for entry in [*entries, *examined.adopted]}
    renders = list(plan.keys.values())
    done = [key for key in renders if key in present]
    tables = [] if project.dataset is None else project.dataset.missing()
    orphans = orphaned(store, list(present.values()), [_references(project)])
    sizes = _sizes(store, present.values())
    gone = {entry.key for entry in orphans}
    wanted = [entry for entry in present.values() if entry.key not in gone]
    passes = [entry for entry in wanted if entry.stage == PASS]
    return Status(
        store=str(store.folder),
        entries=len(present),
        bytes=sum(sizes.values()),
        renders_planned=len(renders),
        renders_done=len(done),
        renders_missing=len(renders) - len(done),
        tables_planned=len(plan.examples),
        tables_done=len(plan.examples) - len(tables),
        tables_missing=tuple(tables),
        parts=sum(entry.stage == PART for entry in wanted),
        failed=tuple(
            (present[key].name, str(facts["reason"]))
            for key in done
            if "reason" in (facts := present[key].known())
        ),
        orphaned=len(orphans),
        orphaned_bytes=sum(sizes[entry.key] for entry in orphans),
        orphaned_kinds=dict(Counter(entry.stage for entry in orphans)),
        damaged=tuple((finding.name, finding.harm) for finding in examined.findings),
        foreign=tuple(str(path.relative_to(store.folder)) for path in store.foreign()),
        unfinished=len(passes),
        unfinished_bytes=sum(sizes[entry.key] for entry in passes),
        writer=str(who) if (who := holder(store.folder)) else None,
    )


def orphaned(
    store: Store, entries: Sequence[Entry], references: Sequence[References]
) -> list[Entry]:
    """The entries that no plan refers to."""
    return [
        entry for entry in entries if not any(plan.has(entry, store.recipe) for plan in references)
    ]


@dataclass(frozen=True)
class Waste:
    """Entries that can go; bytes in all."""

    entries: tuple[Entry, ...]
    bytes: int

    def __str__(self) -> str:
        kinds = in_words(Counter(entry.stage for entry in self.entries))
        return f"{kinds or 'nothing'}, {in_bytes(self.bytes)}"


def waste_of(store: Store, projects: Sequence[Project]) -> Waste:
    """What none of some projects' plans refers to."""
    entries = orphaned(store, store.manifest.rows(), [_references(one) for one in projects])
    return Waste(tuple(entries), sum(_sizes(store, entries).values()))


def _listed(what: str, pairs: Sequence[tuple[str, str]]) -> list[str]:
    text = [f"{what}: {in_one_line(f'{name}: {reason}')}" for name, reason in pairs[:_LISTED]]
    more = len(pairs) - _LISTED
    return [*text, f"{what}: and {more} more; --json lists all"] if more > 0 else text


def _references(project: Project) -> References:
    passed = project.dataset is not None and not project.dataset.missing()
    return References(project.plan, passed)


def _sizes(store: Store, entries: Iterable[Entry]) -> dict[str, int]:
    """Bytes of the entries' files, by key."""
    sizes = {}
    for entry in entries:
        try:
            sizes[entry.key] = store.path_of(entry).stat().st_size
        except OSError:
            sizes[entry.key] = 0
    return sizes
