"""`atlas serve`: the site of a project, rebuilt while its texts and templates are being edited.

Only pages are made anew; renders and examples are `atlas build`'s. The store is opened to read, so
that a build can run meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from atlas.config import Config
from atlas.errors import AtlasError, StoreError
from atlas.progress import in_words
from atlas.site import build_site
from atlas.site.resources import shipped
from atlas.site.text import clean, count, listed

if TYPE_CHECKING:
    from atlas.build import Project, SiteInputs

NAMED = 3
"""Changed files that are named in a line."""


class Preview:
    """Keeps the pages of a project up to date; a `Rebuilder` (see `atlas.site.watch`).

    What the pages show is gathered from the store once and kept, until the config changes or
    somebody else builds the site.

    Args:
        load: reads the config; called again when its file has changed.
        config_file: that file.
    """

    def __init__(self, load: Callable[[], Config], config_file: Path) -> None:
        self._load, self._config_file = load, config_file
        self._config = load()
        self._out = self._config.site.out
        self._project: Project | None = None
        self._inputs: SiteInputs | None = None
        self._warnings = ""

    @property
    def result(self) -> Path:
        """The manifest."""
        return self._out / "manifest.json"

    def places(self) -> list[Path]:
        """The config file and the folders of texts and templates, the shipped ones too: in a
        source checkout they are edited as well."""
        found = [self._config_file, self._config.site.content, self._config.site.templates]
        found += [shipped("content"), shipped("templates")]
        return [place for place in found if place is not None]

    def rebuild(self, changed: Sequence[Path]) -> str:
        """Make the pages that these files are in."""
        started = time.monotonic()
        if self._inputs is None or {self._config_file, self.result} & set(changed):
            self._inputs = self._gather()
        catalogue, media, index, options = self._inputs
        report = build_site(catalogue, media, self._out, index, options)
        names = sorted({path.name for path in changed})
        if len(names) > NAMED:
            names[NAMED:] = [f"{len(names) - NAMED} more"]
        why = f"{clean(listed(names), 200)}: " if names else ""
        took = in_words(time.monotonic() - started)
        return f"{why}wrote {count(report.pages_written, 'page')} in {took}" + self._warnings

    def close(self) -> None:
        """Close the store."""
        if self._project is not None:
            self._project.finish()
            self._project = self._inputs = None

    def _gather(self) -> SiteInputs:
        config = self._load()
        if config.site.out != self._out:
            raise AtlasError("site.out has changed; stop the server and start it again")
        from atlas.build import Project  # PyTorch is in it

        project = Project(config, quiet=True, access="read", doing="atlas serve")
        self.close()
        self._project, self._config = project, config
        try:
            inputs = project.site_inputs()
        except StoreError as error:  # photographs that no page has shown yet are not measured
            raise StoreError(f"{error}; run atlas pages once, which writes to it") from error
        self._warnings = "".join(f"; {warning}" for warning in project.report.warnings)
        return inputs
