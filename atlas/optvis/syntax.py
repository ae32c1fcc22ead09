"""The text syntax of objectives.

    mixed4a:97            a channel            -mixed4d:484         what drives it down
    mixed4c_5x5:12        of a branch          mixed4c_3x3_bottleneck:7
    neuron:mixed4a:97     at the centre        neuron:mixed4a:97:3:5   at x = 3, y = 5
    layer:mixed4b         mean of squares      deepdream:mixed4b    of ReLU(a)
    class:tabby           logit, by name, WordNet id or number
    prob:tabby            probability          lse:tabby            logit less log-sum-exp
    dir:mixed4d:random:7  random direction     dir:mixed4d:FILE.npy or [1,0,…]; ^2: cosine exponent
    invert:mixed3b:PHOTO  match its activations   caricature:mixed4d:PHOTO^2

joined with ``+``, ``-``, ``*`` (or ``×``), numbers and brackets: ``mixed4a:12 + 0.5*mixed4b:3``. A
name with signs in it stands in quotes; a hyphen inside a class name needs none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from atlas.errors import ObjectiveError
from atlas.models.network import Network
from atlas.optvis.leaves import (
    Channel,
    ClassScore,
    Direction,
    Form,
    LayerEnergy,
    Leaf,
    Match,
    Neuron,
    Photo,
)
from atlas.optvis.names import find_branch, find_class
from atlas.optvis.objective import Objective
from atlas.units import Layer, find_layer, quote

MAX_LENGTH, MAX_DEPTH = 50_000, 50
_NUMBER = re.compile(r"\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+")
_NAME = re.compile(r"[A-Za-z_][\w./]*")
_INDEX = re.compile(r"\d+")
_QUOTED = re.compile(r"\"([^\"]*)\"|'([^']*)'")
_PATH = re.compile(r"[^\s+*×()^,]+")
# A class name ends at an operator; a hyphen between letters belongs to it.
_CLASS = re.compile(r"(?:(?!\s*(?:[+*×()]|[-−](?:\s|$)|\s[-−])|\s*$).)+")
_LIST = re.compile(r"\[([^\]]*)\]")
_INNER = re.compile(r":\s*(\w+)\s*(?=:)")
_POWER = re.compile(r"\^\s*(\d+(?:\.\d*)?|\.\d+)")
_CLASS_FORMS: dict[str, Form] = {
    "class": "class",
    "logit": "class",
    "prob": "prob",
    "lse": "lse",
    "logprob": "lse",
}


@dataclass(frozen=True)
class Readers:
    """How files that an objective names are read; a library without files passes none."""

    vector: Callable[[str], NDArray[np.floating]] | None = None
    photo: Callable[[str], Photo] | None = None


def parse_objective(text: str, network: Network, readers: Readers | None = None) -> Objective:
    """Read an objective.

    Raises:
        ObjectiveError, UnitError: it cannot be read, or names a layer, channel, class or file
            that does not exist; the message shows the offending part.
    """
    return _Parser(text, network, readers or Readers()).parse()


class _Parser:
    """Recursive descent: sum → product → factor → leaf."""

    def __init__(self, text: str, network: Network, readers: Readers) -> None:
        self.text, self.network, self.readers = text, network, readers
        self.at = 0

    def parse(self) -> Objective:
        if len(self.text) > MAX_LENGTH or self.text.count("(") > MAX_DEPTH:
            self._fail("too long")
        if not self.text.strip():
            raise ObjectiveError("the objective is empty; write for instance mixed4a:97")
        result = self._sum()
        if self._rest():
            self._fail(f"cannot read {quote(self._rest())}")
        if any(not term.leaves for term in result.terms):
            number = next(term.weight for term in result.terms if not term.leaves)
            self._fail(f"{number:g} is a number by itself; numbers weigh, as in 2*mixed4a:12")
        return result

    def _sum(self) -> Objective:
        total = self._product()
        while (sign := self._take("+-−")) is not None:
            term = self._product()
            total = total + term if sign == "+" else total - term
        return total

    def _product(self) -> Objective:
        product = self._factor()
        while self._take("*×") is not None:
            product = product * self._factor()
        return product

    def _factor(self) -> Objective:
        if (sign := self._take("+-−")) is not None:
            factor = self._factor()
            return factor if sign == "+" else -factor
        if self._take("(") is not None:
            inner = self._sum()
            if self._take(")") is None:
                self._fail("a bracket is not closed")
            return inner
        if number := self._match(_NUMBER):
            value = float(number[0])
            if not math.isfinite(value):
                self._fail(f"{quote(number[0])} is too large a number")
            return Objective.constant(value)
        return Objective.of(self._leaf())

    def _leaf(self) -> Leaf:
        start = self.at
        name = self._match(_NAME)
        if name is None:
            rest = self._rest()
            self._fail(f"cannot read {quote(rest)}" if rest else "something is missing at the end")
        word = name[0].lower()
        if word in _CLASS_FORMS and self._colon():
            return ClassScore(self._class_index(), _CLASS_FORMS[word])
        if word in ("layer", "deepdream") and self._colon():
            return LayerEnergy(self._layer().name, word == "deepdream")
        if word == "neuron" and self._colon():
            return self._neuron()
        if word in ("dir", "direction") and self._colon():
            return self._direction()
        if word in ("invert", "caricature") and self._colon():
            seen = self._layer().name
            self._need_colon("the photograph's file")
            photo = self._photo()
            if word == "invert":
                return Match(seen, photo)
            return Match(seen, photo, "caricature", self._power(default=1.0))
        self.at = start
        layer, offset, width = self._tap()
        if not self._colon():
            self._fail(
                f"{name[0]} is a layer: write {name[0]}:CHANNEL for a channel, "
                f"layer:{name[0]} for all of it"
            )
        return Channel(layer.name, offset + self._channel(name[0], width))

    def _neuron(self) -> Neuron:
        layer, offset, width = self._tap()
        self._need_colon("the channel")
        index = offset + self._channel(layer.name, width)
        if not self._colon():
            return Neuron(layer.name, index)
        x = self._integer("x")
        self._need_colon("y, after x")
        return Neuron(layer.name, index, (x, self._integer("y")))

    def _direction(self) -> Direction:
        layer = self._layer()
        self._need_colon("random:SEED, a file or [numbers]")
        if listed := self._match(_LIST):
            try:
                vector = [float(part) for part in listed[1].split(",")]
            except ValueError:
                self._fail(f"{quote(listed[0])} is no list of numbers")
            name = ""
        elif self._match(re.compile(r"random\b")):
            self._need_colon("the seed, as in random:7")
            seed = self._integer("a seed")
            vector = random_direction(layer.channels, seed).tolist()
            name = f"random:{seed}"
        else:
            name = self._file()
            if self.readers.vector is None:
                self._fail(f"{quote(name)} cannot be read here")
            vector = self.readers.vector(name).tolist()
        if len(vector) != layer.channels:
            self._fail(
                f"direction {quote(name or str(vector))} has length {len(vector)}, but "
                f"{layer.name} has {layer.channels} channels"
            )
        if not all(map(math.isfinite, vector)) or not any(vector):
            self._fail(f"direction {quote(name or str(vector))} must be finite and not all zero")
        return Direction(layer.name, tuple(vector), self._power(default=0.0), name)

    def _photo(self) -> Photo:
        name = self._file()
        if self.readers.photo is None:
            self._fail(f"{quote(name)} cannot be read here")
        return self.readers.photo(name)

    def _tap(self) -> tuple[Layer, int, int]:
        """A layer, bottleneck or branch: (layer, first channel, number of channels)."""
        name = self._match(_NAME)
        if name is None:
            self._fail(f"{quote(self._rest())} is no layer")
        # mixed4c:5x5:12 is another way to write mixed4c_5x5:12.
        inner = _INNER.match(self.text, self.at)
        if inner and (branch := find_branch(f"{name[0]}_{inner[1]}", self.network)):
            self.at = inner.end()
        else:
            branch = find_branch(name[0], self.network)
        if branch is not None:
            layer, part = branch
            return layer, part.start, part.stop - part.start
        layer = find_layer(name[0], (*self.network.layers, *self.network.bottlenecks))
        return layer, 0, layer.channels

    def _layer(self) -> Layer:
        name = self._match(_NAME)
        if name is None:
            self._fail(f"{quote(self._rest())} is no layer")
        return find_layer(name[0], (*self.network.layers, *self.network.bottlenecks))

    def _channel(self, name: str, width: int) -> int:
        index = self._integer("a channel number")
        if index >= width:
            self._fail(f"{quote(f'{name}:{index}')}: {name} has channels 0 to {width - 1}")
        return index

    def _class_index(self) -> int:
        if quoted := self._match(_QUOTED):
            name = quoted[1] if quoted[1] is not None else quoted[2]
        elif found := self._match(_CLASS):
            name = found[0]
        else:
            self._fail("a class is missing")
        return find_class(name, self.network)

    def _file(self) -> str:
        if quoted := self._match(_QUOTED):
            return quoted[1] if quoted[1] is not None else quoted[2]
        path = self._match(_PATH)
        if path is None:
            self._fail("a file name is missing at the end")
        return path[0]

    def _power(self, default: float) -> float:
        power = self._match(_POWER)
        return float(power[1]) if power else default

    def _integer(self, what: str) -> int:
        number = self._match(_INDEX)
        if number is None or (self.at < len(self.text) and self.text[self.at].isalpha()):
            self.at = self.at if number is None else number.start()
            rest = self._rest()
            self._fail(f"{quote(rest)} is not {what}" if rest else f"{what} is missing at the end")
        if len(number[0]) > 9:
            self._fail(f"{quote(number[0])} is too large for {what}")
        return int(number[0])

    def _need_colon(self, what: str) -> None:
        if not self._colon():
            self._fail(f"after a colon there should be {what}")

    def _colon(self) -> bool:
        return self._take(":") is not None

    def _take(self, characters: str) -> str | None:
        """The next character, if it is one of these."""
        self._skip()
        if self.at < len(self.text) and self.text[self.at] in characters:
            self.at += 1
            return self.text[self.at - 1]
        return None

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        self._skip()
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def _skip(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def _rest(self) -> str:
        return self.text[self.at :].strip()

    def _fail(self, why: str) -> NoReturn:
        raise ObjectiveError(f"objective {quote(self.text)}: {why}")


def random_direction(channels: int, seed: int) -> NDArray[np.float64]:
    """A unit vector drawn evenly from the sphere, (channels,), from a seed of its own."""
    draw = np.random.Generator(np.random.Philox(key=(2 << 64) | seed)).standard_normal(channels)
    unit: NDArray[np.float64] = draw / np.linalg.norm(draw)
    return unit
