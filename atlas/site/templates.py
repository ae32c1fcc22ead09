"""The templates: found, compiled, and filled, with what goes wrong in them said in one line."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined, TemplateError
from jinja2.exceptions import TemplateSyntaxError
from jinja2.sandbox import SandboxedEnvironment

from atlas.errors import ConfigError
from atlas.site.text import clean, count, listed, number, percent


def digest_of_code(folders: tuple[Path, ...]) -> str:
    """A digest of all that decides a page but its values: templates and this package."""
    total = hashlib.sha256()
    found = [path for folder in folders for path in sorted(folder.rglob("*"))]
    for path in (*found, *sorted(Path(__file__).parent.glob("*.py"))):
        if path.is_file():
            name = path.as_posix().encode("utf-8", "surrogateescape")
            total.update(name + b"\0" + path.read_bytes())
    return total.hexdigest()


class Templates:
    """The templates of `folders`, of which an earlier one comes before a later.

    Those of a user can show all they are given, and reach nothing else of the program.

    Args:
        shared: what all templates may name, beside the filters and `count`.
    """

    def __init__(self, folders: tuple[Path, ...], shared: Mapping[str, Any]) -> None:
        self._folders = folders
        # A user's templates may be somebody else's. What ships needs no sandbox, and takes half as
        # long without.
        kind = SandboxedEnvironment if len(folders) > 1 else Environment
        self._env = kind(
            loader=ChoiceLoader([FileSystemLoader(folder) for folder in folders]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            keep_trailing_newline=True,
        )
        self._env.filters.update(clean=clean, number=number, listed=listed, percent=percent)
        self._env.globals.update(shared, count=count)

    @property
    def environment(self) -> Environment:
        """The environment, for what brings templates of its own."""
        return self._env

    def fill(self, name: str, **values: Any) -> str:
        """The text of template `name` with these values, of which `page` says what it is for.

        Raises:
            ConfigError: the template is broken, or cannot do with the values.
        """
        try:
            template = self._env.get_template(f"{name}.html.jinja")
        except TemplateSyntaxError as error:
            raise ConfigError(
                f"template {error.name}, line {error.lineno}: {error.message}"
            ) from error
        except TemplateError as error:
            raise ConfigError(f"template {name}.html.jinja cannot be loaded: {error}") from error
        try:
            return str(template.render(**values))
        except (TemplateError, ArithmeticError, AttributeError, LookupError, TypeError,
                ValueError) as error:  # fmt: skip
            raise ConfigError(
                f"template {template.name} failed on {values['page']}: {error}"
            ) from error
