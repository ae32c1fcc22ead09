"""`manifest.json` against itself and against the files of the site."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from atlas.site.check.folder import Folder
from atlas.site.check.pictures import Size
from atlas.site.check.problems import Findings, Problem
from atlas.site.check.records import (
    Box,
    ChannelEntry,
    CropEntry,
    Details,
    LayerEntry,
    Manifest,
    Part,
    RenderEntry,
)

PATH = "manifest.json"
LIMIT = 128 * 2**20
"""Bytes of a manifest or of a part of one above which it is not read; hosts stop far earlier."""
MOST_WRONG = 5
"""Places of a wrong shape that are named."""

T = TypeVar("T", bound=BaseModel)


class ManifestCheck:
    """The manifest of a site, and what is wrong with it.

    `manifest` is None if it cannot be read; then `problems` says why. Image sizes come later than
    the manifest is needed, so `check` is a step of its own.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._findings = Findings(PATH)
        self.manifest = _read(PATH, Manifest, folder, self._findings)
        self.named: set[str] = {PATH}

    @property
    def kinds(self) -> dict[str, str]:
        """``channel`` or ``layer`` for the pages of channels and layers, by path."""
        if self.manifest is None:
            return {}
        pages = {channel.page for channel in self.manifest.channels}
        folders = {page.rpartition("/")[0] for page in pages}
        found = dict.fromkeys(pages, "channel")
        for path in self._folder.files:
            above, _, name = path.rpartition("/")
            listing = name == "index.html" or (name.startswith("page-") and name.endswith(".html"))
            if above in folders and listing:
                found[path] = "layer"
        return found

    @cached_property
    def units(self) -> frozenset[str]:
        """The channels, as units are written."""
        channels = self.manifest.channels if self.manifest else ()
        return frozenset(f"{channel.layer}:{channel.index}" for channel in channels)

    def check(self, sizes: Mapping[str, Size]) -> Iterator[Problem]:
        """What is wrong, given the size of every image file that could be opened."""
        if self.manifest is not None:
            layers = {layer.name: layer for layer in self.manifest.layers}
            _layers(self.manifest.layers, self._findings)
            self._channels(self.manifest, layers, sizes)
            for name in self.manifest.files:
                self._exists(name, "files")
            for one in self.manifest.classes:
                if one.page is not None:
                    self._exists(one.page, f"class {one.label!r}")
                for member in one.channels:
                    if f"{member.layer}:{member.index}" not in self.units:
                        where = f"class {one.label!r}"
                        self._add(f"{where} names {member.layer}:{member.index}, not in this atlas")
            yield from self._unknown()
        yield from self._findings

    def _channels(
        self, manifest: Manifest, layers: Mapping[str, LayerEntry], sizes: Mapping[str, Size]
    ) -> None:
        amounts = Counter(f"{channel.layer}:{channel.index}" for channel in manifest.channels)
        for unit, times in amounts.items():
            if times > 1:
                self._add(f"{unit} is there {times} times")
        parts: dict[str, dict[int, str]] = {}
        for channel in manifest.channels:
            unit = f"{channel.layer}:{channel.index}"
            _in_layer(unit, channel, layers, self._findings)
            self._exists(channel.page, unit)
            _numbered(unit, channel.renders, self._findings)
            for render in channel.renders:
                self._inside(render.sheet, render.tile, f"{unit} {render.kind}", sizes)
            if channel.thumbnail is not None:
                place = channel.thumbnail
                self._inside(place.sheet, place.tile, f"{unit} thumbnail", sizes)
            self._details(unit, channel, sizes)
            if channel.examples_in is not None:
                parts.setdefault(channel.examples_in, {})[channel.index] = unit
        for path, units in parts.items():
            self._part(path, units, sizes)

    def _part(self, path: str, units: Mapping[int, str], sizes: Mapping[str, Size]) -> None:
        if not self._exists(path, next(iter(units.values()))):
            return
        part = _read(path, Part, self._folder, self._findings)
        if part is None:
            return
        indices = [details.index for details in part.channels]
        if sorted(indices) != sorted(units):
            self._add(f"{path} has other channels than those that name it")
        for details in part.channels:
            if details.index in units:
                self._details(units[details.index], details, sizes)

    def _details(self, unit: str, details: Details, sizes: Mapping[str, Size]) -> None:
        """Photographs: their places, their ranks, and that each side is in order."""
        for example in details.examples:
            where = f"{unit} {example.side} example {example.rank}"
            self._inside(example.sheet, example.tile, where, sizes)
        for side, sign in (("positive", -1), ("negative", 1)):
            of_side = [example for example in details.examples if example.side == side]
            if [example.rank for example in of_side] != list(range(len(of_side))):
                self._add(f"{unit}: the ranks of its {side} examples are not 0, 1, 2 …")
            values = [sign * e.activation for e in of_side if e.activation is not None]
            if values != sorted(values):
                self._add(f"{unit}: its {side} examples are not in order of activation")
        crops: Iterable[CropEntry] = (c for band in details.spectrum for c in band.examples)
        for crop in crops:
            self._inside(crop.sheet, crop.tile, f"{unit} spectrum", sizes)
        if details.whole is not None:
            whole = details.whole
            for tile in (whole.tile, whole.activation_tile):
                self._inside(whole.sheet, tile, f"{unit} whole photograph", sizes)

    def _exists(self, path: str, what: str) -> bool:
        """Note that the manifest names a file; whether there is one."""
        self.named.add(path)
        if self._folder.has(path):
            return True
        self._add(f"{what}: {path!r} is no file of the site")
        return False

    def _inside(self, sheet: str, tile: Box, what: str, sizes: Mapping[str, Size]) -> None:
        if not self._exists(sheet, what) or sheet not in sizes:
            return
        x, y, width, height = tile
        if x + width > sizes[sheet][0] or y + height > sizes[sheet][1]:
            size = "{} × {}".format(*sizes[sheet])
            self._findings.add("tile", f"{what}: tile {list(tile)} is not inside {sheet}, {size}")

    def _unknown(self) -> Iterator[Problem]:
        """Files that the manifest does not name: of an earlier build, or somebody else's."""
        for path in self._folder.files:
            top = path.partition("/")[0]
            if path not in self.named and not top.startswith("."):
                yield Problem(path, "not in the manifest", "is not in the manifest", True)

    def _add(self, text: str) -> None:
        self._findings.add("manifest", text)


def _read(path: str, shape: type[T], folder: Folder, findings: Findings) -> T | None:
    """A manifest or a part of one; None, with a finding, if it has not the shape."""
    try:
        data = folder.read(path, LIMIT)
    except OSError as error:
        findings.add("manifest", f"{path} cannot be read: {error.strerror or error}")
        return None
    if data is not None and path.endswith(".gz"):
        data = _unpacked(data)
    if data is None:
        findings.add("manifest", f"{path} is no whole file of at most {LIMIT:,} bytes")
        return None
    try:
        return shape.model_validate_json(data)
    except ValidationError as error:
        for wrong in error.errors(include_url=False, include_input=False)[:MOST_WRONG]:
            place = ".".join(map(str, wrong["loc"]))
            where = [part for part in (path if path != PATH else "", place) if part]
            findings.add("manifest", ": ".join([*where, wrong["msg"]]))
        return None


def _unpacked(data: bytes) -> bytes | None:
    """What gzip has packed, if it is whole and no more than `LIMIT` bytes."""
    unpacker = zlib.decompressobj(wbits=31)  # a gzip header, and the largest window
    try:
        unpacked = unpacker.decompress(data, LIMIT)
    except zlib.error:
        return None
    return unpacked if unpacker.eof else None


def _layers(layers: Iterable[LayerEntry], findings: Findings) -> None:
    for name, times in Counter(layer.name for layer in layers).items():
        if times > 1:
            findings.add("manifest", f"layer {name} is there {times} times")
    for layer in layers:
        edge = 0
        for branch in layer.branches:
            if branch.start != edge or branch.stop <= branch.start:
                break
            edge = branch.stop
        if edge != layer.channels:
            findings.add(
                "manifest",
                f"the branches of layer {layer.name} do not make up its {layer.channels} channels",
            )


def _in_layer(
    unit: str, channel: ChannelEntry, layers: Mapping[str, LayerEntry], findings: Findings
) -> None:
    layer = layers.get(channel.layer)
    if layer is None:
        findings.add("manifest", f"{unit} is of a layer that is not there")
    elif channel.index >= layer.channels:
        findings.add("manifest", f"{unit}: the layer has only {layer.channels} channels")
    elif not any(
        branch.name == channel.branch and branch.start <= channel.index < branch.stop
        for branch in layer.branches
    ):
        findings.add("manifest", f"{unit} is not of branch {channel.branch!r}")


def _numbered(unit: str, renders: Iterable[RenderEntry], findings: Findings) -> None:
    """No two renders of a kind have the same number."""
    for (kind, number), times in Counter((r.kind, r.number) for r in renders).items():
        if times > 1:
            findings.add("manifest", f"{unit}: {kind} render {number} is there {times} times")
