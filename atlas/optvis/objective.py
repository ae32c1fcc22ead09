"""Objectives: sums of products of leaves, evaluated for a batch in which every image has its own.

`+ − ×` of leaves and numbers always come to a polynomial, so that is what an `Objective` is:
``2 * channel + channel * neuron`` is two terms, one of weight 2 and one of two leaves. A batch is
compiled once; then all leaves of a kind are evaluated in one indexing operation per step, however
many different channels the batch asks for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import torch
from torch import Tensor

from atlas.errors import ObjectiveError
from atlas.optvis.leaves import Channel, Context, Direction, Evaluate, Leaf, Match, Neuron

_PLAIN = Context()
MAX_TERMS = 1000


@dataclass(frozen=True)
class Term:
    """A weight times the product of some leaves (of none, a constant)."""

    weight: float
    leaves: tuple[Leaf, ...]

    def __str__(self) -> str:
        parts = [str(leaf) for leaf in self.leaves]
        if self.weight != 1 or not parts:
            parts.insert(0, f"{self.weight:g}")
        return "*".join(parts)


@dataclass(frozen=True)
class Objective:
    """What one image is optimized for, to be maximized; its text is its canonical form."""

    terms: tuple[Term, ...]

    @classmethod
    def of(cls, leaf: Leaf, weight: float = 1.0) -> Objective:
        """The objective of one leaf."""
        return cls((Term(weight, (leaf,)),))

    @classmethod
    def constant(cls, value: float) -> Objective:
        """A number, for products."""
        return cls((Term(value, ()),))

    def __str__(self) -> str:
        text = str(self.terms[0])
        for term in self.terms[1:]:
            # A weight of its own keeps "-mixed4a:3", a channel driven down, apart from "minus".
            minus = term.weight < 0
            shown = Term(-term.weight, term.leaves) if minus else term
            text += f" {'-' if minus else '+'} {shown}"
        return text

    def __add__(self, other: Objective) -> Objective:
        return Objective(self.terms + other.terms)

    def __sub__(self, other: Objective) -> Objective:
        return self + other * -1.0

    def __mul__(self, other: Objective | float) -> Objective:
        if not isinstance(other, Objective):
            other = Objective.constant(other)
        if len(self.terms) * len(other.terms) > MAX_TERMS:
            raise ObjectiveError(f"a product of more than {MAX_TERMS} terms is too much")
        return Objective(
            tuple(
                Term(a.weight * b.weight, a.leaves + b.leaves)
                for a in self.terms
                for b in other.terms
            )
        )

    __rmul__ = __mul__

    def __neg__(self) -> Objective:
        """The opposite; of a channel alone, what drives it down (ReLU(−a), not −ReLU(a))."""
        match self.terms:
            case (Term(1.0, (Channel(layer, index, sign),)),):
                return Objective.of(Channel(layer, index, 1 if sign < 0 else -1))
        return self * -1.0

    def renumbered(self, places: Mapping[int, int]) -> Objective:
        """The same of channels and neurons whose present numbers stand for others."""

        def moved(leaf: Leaf) -> Leaf:
            if not isinstance(leaf, Channel | Neuron):
                raise ObjectiveError(f"{leaf} is of no single channel")
            return replace(leaf, index=places[leaf.index])

        return Objective(
            tuple(Term(term.weight, tuple(map(moved, term.leaves))) for term in self.terms)
        )

    @property
    def lone(self) -> Term | None:
        """The only term, if it is a single leaf: what is reported is then the leaf's own value."""
        match self.terms:
            case (Term(_, (_,)) as term,):
                return term
        return None

    @property
    def reported_sign(self) -> float:
        """What the value is multiplied by when it is reported (−1 for a channel driven down)."""
        leaf = self.lone and self.lone.leaves[0]
        return -1.0 if isinstance(leaf, Channel) and leaf.sign < 0 else 1.0

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """All its leaves, in order."""
        return tuple(leaf for term in self.terms for leaf in term.leaves)

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers it looks at, each once, in order of mention."""
        return tuple(dict.fromkeys(leaf.layer for leaf in self.leaves))

    @property
    def inputs(self) -> dict[str, object]:
        """What its text does not say: digests of photographs, vectors that came out of files."""
        found: dict[str, object] = {}
        for leaf in self.leaves:
            if isinstance(leaf, Match):
                found[leaf.photo.name] = leaf.photo.sha256
            elif isinstance(leaf, Direction) and leaf.name and not leaf.name.startswith("random"):
                found[leaf.name] = list(leaf.vector)
        return found


def channel(layer: str, index: int, sign: int = 1) -> Objective:
    """Mean over space of ReLU(±a) of a channel."""
    return Objective.of(Channel(layer, index, 1 if sign > 0 else -1))


def neuron(layer: str, index: int, position: tuple[int, int] | None = None) -> Objective:
    """a at a position (x, y) of a channel's map, by default at the centre."""
    return Objective.of(Neuron(layer, index, position))


class Batch:
    """The objectives of a batch of images, compiled.

    Args:
        objectives: one per image.
        device: where the activations will be.

    Raises:
        ObjectiveError: one has no leaf, so that nothing could be optimized.
    """

    def __init__(self, objectives: Sequence[Objective], device: torch.device | str = "cpu") -> None:
        self.size = len(objectives)
        self.layers: tuple[str, ...] = tuple(
            dict.fromkeys(layer for objective in objectives for layer in objective.layers)
        )
        slots: dict[tuple[type, str, object], list[tuple[int, Leaf]]] = {}
        places: dict[tuple[int, Leaf], tuple[tuple[type, str, object], int]] = {}
        for row, objective in enumerate(objectives):
            if not objective.leaves:
                raise ObjectiveError(f"{str(objective)!r} is a number: nothing can be optimized")
            for leaf in objective.leaves:
                group = (type(leaf), leaf.layer, leaf.variant)
                if (row, leaf) not in places:
                    members = slots.setdefault(group, [])
                    places[row, leaf] = group, len(members)
                    members.append((row, leaf))
        offsets, total = {}, 0
        self._groups: list[tuple[str, Evaluate]] = []
        for group, members in slots.items():
            rows = torch.tensor([row for row, _ in members], device=device)
            evaluate = members[0][1].compiled([leaf for _, leaf in members], rows)
            self._groups.append((group[1], evaluate))
            offsets[group], total = total, total + len(members)

        def slot(row: int, leaf: Leaf) -> int:
            group, place = places[row, leaf]
            return offsets[group] + place

        # The i-th terms of equal degree are evaluated together: (rows, weights, slots of each
        # factor). No row twice in one addition, whose order a GPU would not promise.
        self._terms: list[tuple[Tensor, Tensor, Tensor]] = []
        alike: dict[tuple[int, int], list[tuple[int, float, list[int]]]] = {}
        for row, objective in enumerate(objectives):
            for number, term in enumerate(objective.terms):
                factors = [slot(row, leaf) for leaf in term.leaves]
                alike.setdefault((number, len(factors)), []).append((row, term.weight, factors))
        for terms in alike.values():
            at, weights, factor_slots = zip(*terms, strict=True)
            self._terms.append(
                (
                    torch.tensor(at, device=device),
                    torch.tensor(weights, device=device, dtype=torch.float32),
                    torch.tensor(factor_slots, device=device, dtype=torch.long),
                )
            )
        self._report = torch.tensor(
            [
                o.reported_sign / (o.lone.weight if o.lone is not None and o.lone.weight else 1.0)
                for o in objectives
            ],
            device=device,
        )

    def __call__(self, taps: Mapping[str, Tensor], context: Context = _PLAIN) -> Tensor:
        """The objective of each image, (B,), to be maximized.

        Args:
            taps: pre-ReLU (B, C, H, W) of each of `layers`.
        """
        values = torch.cat([evaluate(taps[layer], context) for layer, evaluate in self._groups])
        total = values.new_zeros(self.size)
        for rows, weights, factors in self._terms:
            product = reduce(torch.mul, [values[f] for f in factors.unbind(1)], weights)
            total = total.index_add(0, rows, product)
        return total

    def score(self, taps: Mapping[str, Tensor], context: Context = _PLAIN) -> Tensor:
        """What is reported, (B,): of a single leaf its own value, with a minus sign for a channel
        driven down; otherwise the objective."""
        return self(taps, context) * self._report
