"""The order of a build: config → model and dataset → plan → missing work → site."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from atlas.config import Config, SiteSection
from atlas.dataset import Dataset
from atlas.durable import check_folder, sweep
from atlas.engines.lanes import lanes_for
from atlas.errors import AtlasError
from atlas.estimate import Estimate, of_build
from atlas.examples.sources import open_source
from atlas.failures import memory_explained
from atlas.gather import StoreMedia, gather
from atlas.keys import PART, PASS, key_of, name_of
from atlas.memory import give_freed_memory_back
from atlas.models.googlenet import GoogLeNet
from atlas.models.zoo import load_model
from atlas.opening import Access, opened
from atlas.plan import Chunk, Plan, make_plan
from atlas.progress import Progress, reported
from atlas.recipes import recipe_of
from atlas.references import References
from atlas.renders import Renders
from atlas.renders import facts_of as facts_of
from atlas.repair import Finding, repair
from atlas.site import SiteOptions, SiteReport, build_site
from atlas.site.catalogue import Catalogue
from atlas.site.files import check_links
from atlas.site.media import Media, SheetIndex
from atlas.site.resources import overlay
from atlas.site.text import clean
from atlas.stamp import Memo, keep
from atlas.store import Store

if TYPE_CHECKING:
    from atlas.engines.ray import RayEngine

MANY = 2000
"""Files of a store that take long enough to check for a word about it."""


@dataclass
class Report:
    """What a run did, for the closing line; `warnings` are whole sentences, `failed` the renders
    that came to nothing, with the reason, `damaged` what was wrong with the store. `estimate` is
    of a dry run: what it would take."""

    rendered: int = 0
    reused: int = 0
    failed: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    images: int = 0
    tables: int = 0
    tables_reused: int = 0
    site: SiteReport | None = None
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0
    estimate: Estimate | None = None


class SiteInputs(NamedTuple):
    """What `build_site` wants to know."""

    catalogue: Catalogue
    media: Media
    memory: SheetIndex
    options: SiteOptions


class Project:
    """A config with everything it names opened: model, dataset, store and the plan they make.

    To be used as a context manager, or closed by `finish`.

    Args:
        access: to the store; who may write also finds and removes what is damaged in it.
        doing: what others read who want to write meanwhile.
    """

    def __init__(
        self,
        config: Config,
        quiet: bool = False,
        access: Access = "write",
        doing: str = "atlas build",
    ) -> None:
        self.config, self.quiet = config, quiet
        self.report = Report()
        self._missing: tuple[Chunk, ...] = ()
        self._start = time.monotonic()
        self._engine = _engine_of(config, quiet)
        self.device = _own_device(config)
        self.network: GoogLeNet = load_model(config.model.name, config.model.weights)
        chosen = config.dataset
        source = open_source(chosen.source, chosen.limit) if chosen.source else None
        # Specs, sizes and steps are checked before any folder is made.
        recipe = recipe_of(config.render)
        make_plan(config, recipe, self.network, None, self.device)
        with ExitStack() as stack:
            planned = self.device
            if self._engine is not None:
                stack.callback(self._engine.close)
                if config.render.address is not None and access == "write":
                    planned = self._engine.device(config.render.device)
                self._engine.begin(self.network, planned)
            self.store: Store = stack.enter_context(opened(config.store, access, doing))
            found = self._repaired() if access == "write" else []
            fingerprint = None
            if source is not None:
                with self.store.transaction():
                    fingerprint = source.fingerprint(self.store.file_digest)
            self.plan: Plan = make_plan(config, recipe, self.network, fingerprint, planned)
            self.report.damaged = self._named(found)
            self.network.to(self.device)
            self.dataset: Dataset | None = None
            if source is not None and fingerprint is not None:
                self.dataset = Dataset(
                    self.network,
                    source,
                    fingerprint,
                    self.plan,
                    self.store,
                    self.device,
                    chosen.examples,
                    quiet,
                    self._engine,
                )
            self._opened = stack.pop_all()

    def __enter__(self) -> Project:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.close()

    def finish(self) -> Report:
        """Close the store and return what was done."""
        self._opened.close()
        self.report.seconds = time.monotonic() - self._start
        return self.report

    def _repaired(self) -> list[Finding]:
        with reported("checking the store", "files", self.quiet, least=MANY) as progress:
            return repair(self.store, progress)

    def _named(self, found: list[Finding]) -> list[str]:
        """Findings in words: a file of which the manifest knew nothing is named by the plan."""
        if not found:
            return []
        recipes = [*self.plan.renders.values(), *self.plan.examples.values()]
        names = {key_of(recipe): name_of(recipe) for recipe in recipes}
        return [str(replace(one, name=names.get(one.key or "", one.name))) for one in found]

    def render(
        self, shard: tuple[int, int] = (1, 1), dry_run: bool = False, retry: bool = False
    ) -> None:
        """Render what the store lacks of the plan's chunks, and with `retry` what failed."""
        renders = Renders(
            *(self.network, self.plan, self.store, self.device, self.quiet, self._engine)
        )
        made = renders.make(shard, dry_run, retry)
        self.report.rendered, self.report.reused = made.rendered, made.reused
        self._missing = made.missing
        self.report.failed = [str(failure) for failure in made.failed]

    def estimate(self, with_site: bool) -> None:
        """Estimate what is missing, after dry runs of `render` and `examples`; `report` has it."""
        self.report.estimate = of_build(
            self.network,
            self._missing,
            self.plan.recipe,
            self.device,
            lanes=lanes_for(len(self.plan.chunks), self.device),
            source=None if self.dataset is None else self.dataset.source,
            layers=() if self.dataset is None else self.dataset.missing(),
            examples=self.config.dataset.examples,
            site=self.config.site if with_site else None,
        )

    def examples(self, shard: tuple[int, int] = (1, 1), dry_run: bool = False) -> None:
        """Collect the example tables the store lacks, in one pass over the dataset."""
        if self.dataset is None:
            return
        layers, missing = self.dataset.layers, self.dataset.missing()
        self.report.tables, self.report.tables_reused = len(missing), len(layers) - len(missing)
        if missing and not dry_run:
            with memory_explained("passing over the photographs", "fewer layers need less"):
                self.report.tables = self.dataset.collect(shard)
            table = self.dataset.table(missing[0])
            self.report.images = table.images if table else 0
        if skipped := self.dataset.skipped():
            names = ", ".join(f"{clean(name, 300)} ({reason})" for name, reason in skipped)
            self.report.warnings.append(
                f"skipped {len(skipped)} unreadable of {len(self.dataset.source)} images: {names}"
            )
        if shard == (1, 1) and not dry_run and not self.dataset.missing():
            self._drop_states()

    def _drop_states(self) -> None:
        """States of a pass are of no use once there are tables of them."""
        references = References(self.plan, passed=True)
        states = [row for stage in (PART, PASS) for row in self.store.manifest.rows(stage)]
        recipes = {state.key: self.store.recipe(state.key) for state in states}
        used = [key for key, recipe in recipes.items() if recipe and references.is_of_pass(recipe)]
        if used:
            self.store.drop(used)

    def site_inputs(self) -> SiteInputs:
        """What the site is made of, as far as the store holds it; what it lacks is a warning.

        The last thing to be asked of a project: its network has no weights afterwards.
        """
        if self.dataset is not None:
            self.dataset.illustrate()
        # Nothing is computed from here on; weights and what was freed make room for pages.
        self.network.to("meta")
        give_freed_memory_back()
        catalogue, missing = gather(self.config, self.plan, self.store, self.network, self.dataset)
        lacking_tables = [] if self.dataset is None else self.dataset.missing()
        if missing or lacking_tables:
            self.report.warnings.append(
                f"the site lacks {missing} renders and the examples of {len(lacking_tables)} "
                "layers that the store does not hold yet; atlas build makes them"
            )
        media = StoreMedia(self.store, self.dataset)
        give_freed_memory_back()
        return SiteInputs(catalogue, media, Memo(self.store), options_of(self.config.site))

    def pages(self) -> None:
        """Make the site of what the store holds."""
        catalogue, media, index, options = self.site_inputs()
        bars: dict[str, Progress] = {}

        def progress(stage: str, done: int, total: int) -> None:
            bars.setdefault(stage, Progress(stage, total, "files", self.quiet)).advance(done)

        try:
            self.report.site = build_site(
                catalogue, media, self.config.site.out, index, options, progress
            )
        finally:
            for bar in bars.values():
                bar.__exit__(None, None, None)
        if not self.report.warnings:
            keep(self.config, self.store)

    def check_out(self) -> None:
        """Fail before the work, not after it, if the site cannot be written."""
        out = self.config.site.out
        check_folder(out, "the site to")
        check_links(out)
        for name in ("templates", "content"):
            overlay(name, getattr(self.config.site, name))
        if self.store.writable:
            sweep(out)


def options_of(site: SiteSection) -> SiteOptions:
    """How a site is made, by its section of the config."""
    return SiteOptions(
        format=site.format,
        quality=site.quality,
        photograph_quality=site.photograph_quality,
        publish_examples=site.publish_examples,
        url=site.url,
        media=site.media_base_url,
        templates=site.templates,
        content=site.content,
    )


def _engine_of(config: Config, quiet: bool) -> RayEngine | None:
    """The engine a config asks for, None for this process itself."""
    if config.render.engine == "local":
        return None
    from atlas.engines.ray import RayEngine

    return RayEngine(config.render.address, config.render.workers, quiet)


def _own_device(config: Config) -> str:
    """What this process computes on; of a cluster's GPUs it may itself have none."""
    import torch

    wanted = config.render.device
    elsewhere = wanted == "cuda" and config.render.address is not None
    return pick_device("auto" if elsewhere and not torch.cuda.is_available() else wanted)


def pick_device(wanted: str) -> str:
    """``auto`` becomes ``cuda`` where there is one.

    Raises:
        AtlasError: ``cuda`` was asked for and there is none.
    """
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise AtlasError("device cuda was asked for, but PyTorch finds no CUDA device; use cpu")
    return wanted
