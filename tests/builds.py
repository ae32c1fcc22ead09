"""Small builds, and what may be left of them."""

from __future__ import annotations

from pathlib import Path

from tests.forked import Forked, tree

BUILD = ("build", "--model", "googlenet-mini", "--size", "32", "--kinds", "positive,negative")
FEW = ("--units", "conv2d0:20-31", "--steps", "8")
"""Twelve units: three chunks of eight images."""


def finished(folder: Path) -> dict[str, bytes]:
    """A site and the entries of its store; nothing else may be left but the manifest."""
    store = folder / "store"
    assert {path.name for path in store.iterdir()} <= {
        "objects", "manifest.sqlite", "manifest.sha256",
    }  # fmt: skip
    left = [p for p in folder.rglob(".*") if p.is_file() and p.name != ".nojekyll"]
    assert left == []
    entries = {f"objects/{name}": data for name, data in tree(store / "objects").items()}
    return tree(folder / "site") | entries


def made_few(folder: Path) -> dict[str, bytes]:
    """What an undisturbed build of `FEW` in a folder makes."""
    with Forked(folder) as atlas:
        assert atlas(*BUILD, *FEW).code == 0
    return finished(folder)
