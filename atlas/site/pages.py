"""Pages: the catalogue, the plan of the sheets and the notes, put into the templates.

Templates are looked for in the user's folder first. Whatever all pages share is worked out once;
a page is then one call of a compiled template.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined, TemplateError
from jinja2.exceptions import TemplateSyntaxError

from atlas.errors import ConfigError
from atlas.site.catalogue import Catalogue, ChannelRecord
from atlas.site.content import Note
from atlas.site.network import draw
from atlas.site.sheets import Picture, SheetPlan, stylesheet
from atlas.site.text import clean, count, listed, number, percent, short, slug
from atlas.site.views import channel_view, flatten, render_alt
from atlas.units import Layer

NAV_LIMIT = 16
"""More layers than this do not fit into the header; the index page lists them instead."""

RESERVED = {"index", "404"}
SAMPLE_NOTE = "photographs"
"""The note about the photographs of the dataset `sample`; other atlases do not show it."""
"""Notes that do not become pages of their own name."""


@dataclass(frozen=True)
class LayerPage:
    """What pages know of a layer: its record, folder, short name, note, and the channels shown."""

    layer: Layer
    folder: str
    short: str
    note: Note | None
    channels: tuple[ChannelRecord, ...]


@dataclass(frozen=True)
class BranchGroup:
    """A branch's heading on the layer page, and its tiles: (channel, picture, started)."""

    name: str
    start: int
    stop: int
    tiles: tuple[tuple[ChannelRecord, Picture | None, bool], ...]


class Pages:
    """Renders every page of a site; `all` yields them as (path relative to the site, text)."""

    def __init__(
        self,
        catalogue: Catalogue,
        plan: SheetPlan,
        templates: tuple[Path, ...],
        notes: Mapping[str, Note],
        layer_notes: Mapping[str, Note],
        url: str | None,
    ) -> None:
        self._catalogue = catalogue
        self._plan = plan
        sample = catalogue.dataset is not None and catalogue.dataset.source == "sample"
        notes = {name: note for name, note in notes.items() if sample or name != SAMPLE_NOTE}
        self._notes = notes
        grouped: dict[str, list[ChannelRecord]] = {layer.name: [] for layer in catalogue.layers}
        for channel in catalogue.channels:
            grouped[channel.layer].append(channel)
        self._layers = [
            LayerPage(
                layer,
                slug(layer.name),
                short(layer.name),
                layer_notes.get(slug(layer.name)),
                tuple(sorted(grouped[layer.name], key=lambda channel: channel.index)),
            )
            for layer in catalogue.layers
        ]
        self._shown = [page for page in self._layers if page.channels]
        self._env = Environment(
            loader=ChoiceLoader([FileSystemLoader(folder) for folder in templates]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            keep_trailing_newline=True,
        )
        self._env.filters.update(clean=clean, number=number, listed=listed, percent=percent)
        self._env.globals.update(
            atlas=catalogue,
            count=count,
            layers=self._layers,
            nav=self._shown if len(self._layers) <= NAV_LIMIT else [],
            articles=[note for name, note in notes.items() if name not in RESERVED],
            url=url.rstrip("/") + "/" if url else None,
            total=sum(layer.channels for layer in catalogue.layers),
            photographs=catalogue.dataset is not None
            and any(channel.examples for channel in catalogue.channels),
            has_method="method" in notes,
            recipe_rows=list(flatten(catalogue.recipe)),
        )

    @property
    def amount(self) -> int:
        """How many pages `all` yields."""
        articles = len(set(self._notes) - RESERVED)
        return 2 + articles + len(self._shown) + sum(len(page.channels) for page in self._shown)

    def all(self) -> Iterator[tuple[str, str]]:
        """Every page, in a fixed order."""
        yield "index.html", self._index()
        yield "404.html", self._render("404", page="404.html", root="")
        for name, note in self._notes.items():
            if name not in RESERVED:
                yield (
                    f"{name}.html",
                    self._render("article", page=f"{name}.html", root="", note=note),
                )
        for position, page in enumerate(self._shown):
            yield f"{page.folder}/index.html", self._layer(position)
            yield from self._channels(page)

    def _index(self) -> str:
        samples = {
            layer: [
                (channel, Picture(tile, tile.sheet, self._alt(channel))) for channel, tile in tiles
            ]
            for layer, tiles in self._plan.samples.items()
        }
        blocks = draw(
            self._catalogue.layers,
            {page.layer.name: len(page.channels) for page in self._shown},
            self._catalogue.model.view,
        )
        return self._render(
            "index", page="index.html", root="", samples=samples, blocks=blocks,
            guide=self._notes.get("index"),
        )  # fmt: skip

    def _layer(self, position: int) -> str:
        page = self._shown[position]
        groups = []
        for branch in page.layer.branches:
            tiles = tuple(
                (channel, self._thumb(channel), self._started(channel))
                for channel in page.channels
                if branch.start <= channel.index < branch.stop
            )
            if tiles:
                groups.append(BranchGroup(branch.name, branch.start, branch.stop, tiles))
        return self._render(
            "layer", page=f"{page.folder}/index.html", root="../", here=page, groups=groups,
            before=self._shown[position - 1] if position else None,
            after=self._shown[position + 1] if position + 1 < len(self._shown) else None,
        )  # fmt: skip

    def _channels(self, page: LayerPage) -> Iterator[tuple[str, str]]:
        template = self._template("channel")
        last = len(page.channels) - 1
        for i, channel in enumerate(page.channels):
            path = f"{page.folder}/{channel.index}.html"
            view = channel_view(channel, self._plan, self._catalogue)
            yield path, self._fill(
                template, page=path, root="../", here=page, view=view, channel=channel,
                before=page.channels[i - 1] if i else None,
                after=page.channels[i + 1] if i < last else None,
            )  # fmt: skip

    def _thumb(self, channel: ChannelRecord) -> Picture | None:
        found = self._plan.thumbs.get(channel.name)
        return found and Picture(found[1], f"../{found[1].sheet}", self._alt(channel))

    def _alt(self, channel: ChannelRecord) -> str:
        return render_alt(channel.name, self._plan.thumbs[channel.name][0])

    def _started(self, channel: ChannelRecord) -> bool:
        found = self._plan.thumbs.get(channel.name)
        return found is None or found[0].started

    def _render(self, name: str, **values: Any) -> str:
        return self._fill(self._template(name), **values)

    def _template(self, name: str) -> Any:
        try:
            return self._env.get_template(f"{name}.html.jinja")
        except TemplateSyntaxError as error:
            raise ConfigError(
                f"template {error.name}, line {error.lineno}: {error.message}"
            ) from error
        except TemplateError as error:
            raise ConfigError(f"template {name}.html.jinja cannot be loaded: {error}") from error

    def _fill(self, template: Any, **values: Any) -> str:
        try:
            return str(template.render(**values))
        except (TemplateError, ArithmeticError, AttributeError, LookupError, TypeError,
                ValueError) as error:  # fmt: skip
            raise ConfigError(
                f"template {template.name} failed on {values['page']}: {error}"
            ) from error


def static_files(templates: tuple[Path, ...]) -> Iterator[tuple[str, bytes]]:
    """The files of `static/`, the user's before the shipped ones, and the strips' stylesheet."""
    found: dict[str, Path] = {}
    for folder in reversed(templates):
        root = folder / "static"
        found |= {
            path.relative_to(folder).as_posix(): path
            for path in sorted(root.rglob("*"))
            if path.is_file() and not path.name.startswith(".")
        }
    found.pop("static/css/strips.css", None)
    for name, path in sorted(found.items()):
        yield name, path.read_bytes()
    yield "static/css/strips.css", stylesheet().encode()
