"""Classes as pages of their own: the channels that answer to one, most selective first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from atlas.site.catalogue import Catalogue, LabelRecord, MemberRecord
from atlas.site.classes import class_paths
from atlas.site.sheets import Picture
from atlas.site.text import clean, number, slug


@dataclass(frozen=True)
class Member:
    """A channel on the page of a class: its name, page, picture (None without a render), the mean
    of its maxima over the class and how many deviations that is above all."""

    name: str
    page: str
    picture: Picture | None
    mean: str
    selectivity: str


@dataclass(frozen=True)
class LabelPage:
    """A class that has a page: its record, title and path relative to the site."""

    record: LabelRecord
    title: str
    path: str


def label_pages(catalogue: Catalogue) -> list[LabelPage]:
    """The classes that some channel answers to, by title."""
    records = [one for one in catalogue.labels if one.members and clean(one.label)]
    paths = class_paths(one.label for one in records)
    pages = [LabelPage(one, clean(one.label, 80), paths[one.label]) for one in records]
    return sorted(pages, key=lambda page: (page.title.casefold(), page.path))


def by_initial(pages: Sequence[LabelPage]) -> list[tuple[str, list[LabelPage]]]:
    """The pages under their first letters, in capitals; ``#`` for what begins with none."""
    found: dict[str, list[LabelPage]] = {}
    for page in pages:
        initial = page.title[:1].upper()
        found.setdefault(initial if initial.isalpha() else "#", []).append(page)
    return sorted(found.items())


def members_of(record: LabelRecord, pictures: Mapping[str, Picture]) -> list[Member]:
    """The channels of a class; `pictures` are by unit, paths are seen from the classes' folder."""
    return [_member(member, pictures.get(member.name)) for member in record.members]


def _member(member: MemberRecord, picture: Picture | None) -> Member:
    return Member(
        member.name,
        f"../{slug(member.layer)}/{member.index}.html",
        picture,
        number(member.mean),
        number(member.selectivity),
    )
