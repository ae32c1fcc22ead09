"""`atlas.toml` and its command-line twins as frozen models; every error at once, with its key."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from atlas.errors import ConfigError
from atlas.inputs import read_regular

Kind = Literal["neuron", "positive", "diverse", "negative"]
Format = Literal["avif", "webp", "jpeg"]

MOST_SHARDS = 256
"""Shares that a build may be cut into: whoever joins them looks for parts of so many."""


def _nameable(path: Path) -> Path:
    if "\0" in str(path):
        raise ValueError("no file can have a NUL character in its name")
    return path


File = Annotated[Path, AfterValidator(_nameable)]
"""A file or folder, which may not be there yet."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelSection(_Section):
    """``[model]``: which network, and the file its weights come from."""

    name: str = "googlenet"
    weights: File | None = None


def _cluster(value: str) -> str:
    match = re.fullmatch(r"(?:[\w.-]+|\[[0-9A-Fa-f:.]+\]):(\d{1,5})", value, re.ASCII)
    if match is None or not 0 < int(match[1]) < 65536:
        raise ValueError("should be HOST:PORT of a Ray cluster")
    return value


class RenderSection(_Section):
    """``[render]``: what is optimized and how. `chunk` is units per batch (0: by the device).

    `engine` does it, and the pass over the dataset; of ``ray``, `address` is a running cluster's
    (by default one of its own is started) and `workers` how many processes share the work.

    What is None comes from the preset. `regularize` is a list of names (`optvis.regularizer`);
    `colours`, `spectrum` and `patches` are files that ``atlas measure-…`` made.
    """

    preset: Literal["draft", "standard", "distill"] = "standard"
    size: int | None = None
    steps: int | None = None
    settle: float | None = None
    stop: float = 0.0
    parameterization: str = "fourier"
    decay: float = 1.0
    decorrelate: bool = True
    colours: File | None = None
    spectrum: File | None = None
    patches: File | None = None
    start: File | None = None
    regularize: tuple[str, ...] | None = None
    optimizer: str = "adam"
    learning_rate: float | None = None
    diversity: float = 1.0
    precision: str | None = None
    kinds: Annotated[tuple[Kind, ...], Field(min_length=1)] = (
        "neuron",
        "positive",
        "diverse",
        "negative",
    )
    seed: Annotated[int, Field(ge=0)] = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    engine: Literal["local", "ray"] = "local"
    address: Annotated[str, AfterValidator(_cluster)] | None = None
    workers: Annotated[int, Field(ge=1, le=10_000)] | None = None
    chunk: Annotated[int, Field(ge=0)] = 0

    @field_validator("address", "workers")
    @classmethod
    def _of_ray(cls, value: object, info: ValidationInfo) -> object:
        if value is not None and info.data.get("engine", "ray") != "ray":
            raise ValueError("goes with engine ray")
        return value


RECIPE_KEYS = (
    *("parameterization", "decay", "decorrelate", "colours", "spectrum", "patches", "start"),
    *("regularize", "optimizer", "learning_rate", "settle", "stop", "diversity"),
    "precision",
)
"""Keys of ``[render]`` that are options of ``atlas show`` too."""


class DatasetSection(_Section):
    """``[dataset]``: where photographs come from, how many are kept a side, and of how many images,
    evenly spaced over the dataset (all, where `limit` is None)."""

    source: str | None = None
    examples: Annotated[int, Field(ge=1, le=100)] = 25
    limit: Annotated[int, Field(ge=1)] | None = None


def _address(value: str) -> str:
    parts = urlsplit(value)
    plain = re.fullmatch(r"[!#-;=?-Z\[\]_a-z~%]+", value) is not None
    if not plain or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("should be an address such as https://example.org/atlas/")
    if parts.query or parts.fragment:
        raise ValueError("should be an address without ? and #")
    return value


Address = Annotated[str, AfterValidator(_address)]
"""The address of a folder on the web."""


class SiteSection(_Section):
    """``[site]``: where the pages go and how they are made.

    `url` is where the site will be, `media_base_url` where its ``media/`` folder will be put if not
    inside of it: a file ``media/x`` of the site is then looked for at ``media_base_url/media/x``.
    """

    out: File = Path("site")
    title: str = "Channel atlas"
    format: Format = "avif"
    quality: Annotated[int, Field(ge=1, le=100)] = 45
    photograph_quality: Annotated[int, Field(ge=1, le=100)] = 40
    publish_examples: bool = True
    url: Address | None = None
    media_base_url: Address | None = None
    templates: File | None = None
    content: File | None = None


class ShowSection(_Section):
    """``[show]``: objectives that ``atlas show`` makes images of when it is given none."""

    objectives: tuple[str, ...] = ()


class Config(_Section):
    """A whole atlas. Paths are as the process sees them: relative ones are already resolved."""

    units: str = "all"
    store: File = Path("store")
    model: ModelSection = ModelSection()
    render: RenderSection = RenderSection()
    dataset: DatasetSection = DatasetSection()
    site: SiteSection = SiteSection()
    show: ShowSection = ShowSection()


_LARGEST = 4 << 20
"""Bytes of a config: a unit spec of every channel takes 80,000."""

_PATHS = (
    ("store",),
    ("model", "weights"),
    ("render", "colours"),
    ("render", "spectrum"),
    ("render", "patches"),
    ("render", "start"),
    ("site", "out"),
    ("site", "templates"),
    ("site", "content"),
)

# What a file says of these goes with what it says of the first: another model has other weights.
_BELONGS = {
    "model.name": ("weights",),
    "render.preset": ("size", "steps"),
    "render.engine": ("address", "workers"),
}


def load_config(path: Path | None, overrides: Mapping[str, Any]) -> Config:
    """Read a config file and lay the command line's options over it.

    Args:
        path: the file, or None for ``atlas.toml`` in the current folder where there is one.
        overrides: dotted keys to values, e.g. ``{"render.steps": 64}``; None means not given.

    Raises:
        ConfigError: the file cannot be read, is no TOML, or has unknown keys or bad values; all
            of them are named.
    """
    data: dict[str, Any] = {}
    if path is None and Path("atlas.toml").is_file():
        path = Path("atlas.toml")
    if path is not None:
        data = _read_toml(path)
        _resolve(data, path.parent)
    for option, belongings in _BELONGS.items():
        section = data.get(option.partition(".")[0])
        if overrides.get(option) is not None and isinstance(section, dict):
            for key in belongings:
                section.pop(key, None)
    for dotted, value in overrides.items():
        if value is None:
            continue
        group, _, key = dotted.rpartition(".")
        target = data.setdefault(group, {}) if group else data
        if isinstance(target, dict):
            target[key] = value
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        where = str(path) if path is not None else "options"
        raise ConfigError(f"{where}: " + "; ".join(_explain(error))) from error


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_regular(path, _LARGEST).decode("utf-8"))
    except OSError as error:
        raise ConfigError(f"config {path} cannot be read: {error.strerror or error}") from error
    except RecursionError as error:
        raise ConfigError(f"config {path} is not TOML: lists inside of each other") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"config {path} is not TOML: {error}") from error


def _resolve(data: dict[str, Any], folder: Path) -> None:
    """Make paths in a config file relative to its own folder."""
    for *sections, key in _PATHS:
        target: Any = data
        for section in sections:
            target = target.get(section, {}) if isinstance(target, dict) else {}
        if isinstance(target, dict) and isinstance(target.get(key), str):
            target[key] = str(folder / target[key])
    dataset = data.get("dataset")
    if isinstance(dataset, dict) and isinstance(source := dataset.get("source"), str):
        kind, colon, rest = source.partition(":")
        if (kind in ("folder", "parquet") and colon and rest) or (
            kind == "hf" and rest.startswith(".")
        ):
            dataset["source"] = f"{kind}:{folder / rest}"


def _explain(error: ValidationError) -> list[str]:
    """One phrase per problem, each with its key."""
    phrases = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            phrases.append(f"unknown key {key!r}")
        else:
            phrases.append(
                f"{key}: {problem['msg'][:1].lower()}{problem['msg'][1:]}"
                f", not {str(problem['input'])[:60]!r}"
            )
    return phrases
