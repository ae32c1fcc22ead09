"""The order of a build: config → model and dataset → plan → missing work → site."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from atlas.config import Config
from atlas.dataset import Dataset
from atlas.engines import local
from atlas.errors import AtlasError, OutputError
from atlas.examples.sources import open_source
from atlas.gather import StoreMedia, gather
from atlas.models.googlenet import GoogLeNet
from atlas.models.zoo import load_model
from atlas.optvis.optimize import Rendered
from atlas.optvis.subject import Render
from atlas.plan import Chunk, Plan, make_plan, missing_chunks
from atlas.progress import Progress
from atlas.recipes import recipe_of
from atlas.site import SiteOptions, SiteReport, build_site
from atlas.site.text import clean
from atlas.store import Store, key_of


@dataclass
class Report:
    """What a run did, for the closing line; `warnings` are whole sentences."""

    rendered: int = 0
    reused: int = 0
    failed: list[str] = field(default_factory=list)
    images: int = 0
    tables: int = 0
    tables_reused: int = 0
    site: SiteReport | None = None
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Project:
    """A config with everything it names opened: model, dataset, store and the plan they make."""

    def __init__(self, config: Config, quiet: bool = False) -> None:
        self.config, self.quiet = config, quiet
        self.report = Report()
        self._start = time.monotonic()
        self.device = pick_device(config.render.device)
        self.network: GoogLeNet = load_model(config.model.name, config.model.weights)
        chosen = config.dataset
        source = open_source(chosen.source, chosen.limit) if chosen.source else None
        # Specs, sizes and steps are checked before any folder is made.
        recipe = recipe_of(config.render)
        make_plan(config, recipe, self.network, None, self.device)
        self.store = Store(config.store)
        fingerprint = None
        if source is not None:
            with self.store.transaction():
                fingerprint = source.fingerprint(self.store.file_digest)
        self.plan: Plan = make_plan(config, recipe, self.network, fingerprint, self.device)
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
            )

    def finish(self) -> Report:
        """Close the store and return what was done."""
        self.store.close()
        self.report.seconds = time.monotonic() - self._start
        return self.report

    def render(self, shard: tuple[int, int] = (1, 1), dry_run: bool = False) -> None:
        """Render what the store lacks of the plan's chunks."""
        chunks = self.plan.shard(*shard)
        missing = missing_chunks(chunks, self.plan, self._is_done)
        wanted = sum(len(chunk.renders) for chunk in chunks)
        lacking = sum(not self._is_done(self._key(r)) for c in missing for r in c.renders)
        self.report.reused = wanted - lacking
        self.report.rendered = lacking
        if not dry_run and missing:
            self._render_chunks(missing, lacking)
        silent = self._marked(chunks, "started")
        overflowed = [name for name in self._marked(chunks, "finite") if name not in silent]
        self.report.failed = silent + overflowed
        for what, names in (("never found a gradient", silent), ("overflowed", overflowed)):
            if names:
                more = f" and {len(names) - 5} more" if len(names) > 5 else ""
                self.report.warnings.append(f"{what}: {', '.join(names[:5])}{more}")

    def _marked(self, chunks: Sequence[Chunk], fact: str) -> list[str]:
        """Finished renders of which `fact` is false, in words."""
        return [
            f"{render.unit} {render.kind} {render.number}"
            for chunk in chunks
            for render in chunk.renders
            if (self.store.facts(self._key(render)) or {}).get(fact) is False
        ]

    def _render_chunks(self, chunks: Sequence[Chunk], lacking: int) -> None:
        done = 0
        with Progress("rendering", lacking, "images", self.quiet) as progress:
            for results in local.run(self.network, chunks, self.plan.recipe, self.device):
                # What is there already stays: other plans may have made it (DESIGN §5).
                new = [r for r in results if not self._is_done(self._key(r.render))]
                self._keep(new)
                done += len(new)
                progress.advance(done)

    def _keep(self, results: Sequence[Rendered[Render]]) -> None:
        for result in results:
            facts = facts_of(result)
            self.store.put_image(self.plan.renders[result.render], result.image, facts)

    def examples(self, shard: tuple[int, int] = (1, 1), dry_run: bool = False) -> None:
        """Collect the example tables the store lacks, in one pass over the dataset."""
        if self.dataset is None:
            return
        layers, missing = self.dataset.layers, self.dataset.missing()
        self.report.tables, self.report.tables_reused = len(missing), len(layers) - len(missing)
        if missing and not dry_run:
            wanted = missing if shard == (1, 1) else layers
            self.report.tables = self.dataset.collect(wanted, shard)
            table = self.dataset.table(missing[0])
            self.report.images = table.images if table else 0
        if skipped := self.dataset.skipped():
            names = ", ".join(f"{clean(name, 300)} ({reason})" for name, reason in skipped)
            self.report.warnings.append(
                f"skipped {len(skipped)} unreadable of {len(self.dataset.source)} images: {names}"
            )

    def pages(self) -> None:
        """Make the site of what the store holds."""
        site = self.config.site
        if self.dataset is not None:
            self.dataset.illustrate()
        catalogue, missing = gather(self.config, self.plan, self.store, self.network, self.dataset)
        lacking_tables = [] if self.dataset is None else self.dataset.missing()
        if missing or lacking_tables:
            self.report.warnings.append(
                f"the site lacks {missing} renders and the examples of {len(lacking_tables)} "
                "layers that the store does not hold yet; atlas build makes them"
            )
        options = SiteOptions(
            format=site.format,
            quality=site.quality,
            photograph_quality=site.photograph_quality,
            publish_examples=site.publish_examples,
            url=site.url,
            media=site.media_base_url,
            templates=site.templates,
            content=site.content,
        )
        bars: dict[str, Progress] = {}

        def progress(stage: str, done: int, total: int) -> None:
            bars.setdefault(stage, Progress(stage, total, "files", self.quiet)).advance(done)

        try:
            media = StoreMedia(self.store, self.dataset)
            self.report.site = build_site(
                catalogue, media, site.out, _Memo(self.store), options, progress
            )
        finally:
            for bar in bars.values():
                bar.__exit__(None, None, None)

    def check_out(self) -> None:
        """Fail before the work, not after it, if the site cannot be written."""
        out = self.config.site.out
        try:
            out.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=out):
                pass
        except OSError as error:
            raise OutputError(
                f"cannot write the site to {out}: {error.strerror or error}"
            ) from error

    def _is_done(self, key: str) -> bool:
        return self.store.facts(key) is not None

    def _key(self, render: Render) -> str:
        return key_of(self.plan.renders[render])


def facts_of(result: Rendered[Any]) -> dict[str, object]:
    """What the store keeps of a render beside its pixels; a number that is not finite is null."""
    facts: dict[str, object] = {
        "activation": result.activation,
        "started": result.started,
        "finite": result.finite,
        "steps": result.steps,
        **result.achieved.as_json(),
    }
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in facts.items()
    }


class _Memo:
    """The site's sheet index, kept in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, key: str) -> str | None:
        return self._store.recall(f"sheet:{key}")

    def put(self, key: str, sha256: str) -> None:
        self._store.remember(f"sheet:{key}", sha256)


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
