"""`atlas init`: a new project's files. Those in `files/` are its own, others are copies of what
ships and is likeliest to be edited."""

from __future__ import annotations

from pathlib import Path

from atlas.durable import write_atomically
from atlas.errors import OutputError
from atlas.site.resources import shipped

OWN = {
    "atlas.toml": "atlas.toml",
    ".gitignore": "gitignore",  # under its real name it would hide files of this repository
    "content/first-look.md": "content/first-look.md",
    "templates/README.md": "templates/README.md",
}
COPIES = ("index.md", "layers/mixed4c.md")
"""Files of the shipped `content/`."""


def make_project(folder: Path) -> list[Path]:
    """Write a new project into `folder`, which need not exist; the files written.

    Raises:
        OutputError: one of them exists, and then none is written, or cannot be written.
    """
    files = Path(__file__).parent / "files"
    wanted = {folder / name: files / source for name, source in OWN.items()}
    wanted |= {folder / "content" / name: shipped("content") / name for name in COPIES}
    for target in wanted:
        if target.exists() or target.is_symlink():
            raise OutputError(f"{target} exists already; init overwrites nothing")
    for target, source in wanted.items():
        write_atomically(target, source.read_bytes())
    return list(wanted)
