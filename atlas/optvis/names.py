"""Looking up what objectives name: classes, and branches of layers."""

from __future__ import annotations

import difflib

from atlas.errors import ObjectiveError
from atlas.models.network import Network
from atlas.units import Branch, Layer, quote


def find_branch(name: str, network: Network) -> tuple[Layer, Branch] | None:
    """The branch that Distill or Caffe call `name` (``mixed4c_5x5``, ``inception_4c/5x5``)."""
    wanted = name.lower()
    for layer in network.layers:
        if len(layer.branches) > 1:
            for branch in layer.branches:
                if wanted in _branch_names(layer, branch):
                    return layer, branch
    return None


def find_class(name: str, network: Network) -> int:
    """The number of a class given by name, WordNet id or number; case does not matter.

    Raises:
        ObjectiveError: no such class, or several of the name; the message suggests some.
    """
    wanted = _plain(name)
    if wanted.isdecimal() and len(wanted) < 10:
        if int(wanted) < network.classes:
            return int(wanted)
        raise ObjectiveError(f"class {wanted}: there are classes 0 to {network.classes - 1}")
    if not network.labels:
        raise ObjectiveError(
            f"class {quote(name)}: {network.name}'s classes have no names; "
            f"give a number from 0 to {network.classes - 1}"
        )
    labels = [_plain(label) for label in network.labels]
    for candidates in (labels, list(network.class_ids), [la.split(",")[0] for la in labels]):
        found = [i for i, label in enumerate(candidates) if label == wanted]
        if len(found) == 1:
            return found[0]
        if found:
            raise ObjectiveError(f"class {quote(name)} is ambiguous: {_listed(found, network)}")
    inside = [i for i, label in enumerate(labels) if wanted and wanted in label]
    near = difflib.get_close_matches(wanted, labels, n=3, cutoff=0.7)
    similar = [labels.index(label) for label in near] or inside[:5]
    hint = f"; did you mean {_listed(similar, network)}?" if similar else ""
    raise ObjectiveError(f"unknown class {quote(name)}{hint}")


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())


def _listed(classes: list[int], network: Network) -> str:
    return ", ".join(f"{network.labels[i]} ({i})" for i in classes[:5])


def _branch_names(layer: Layer, branch: Branch) -> set[str]:
    """What a branch of a layer is called: Distill's and Caffe's names, lower case."""
    part = {"pool": ("pool", "pool_reduce", "pool_proj")}.get(branch.name, (branch.name,))
    stems = [layer.name, *(alias.removesuffix("/output") for alias in layer.aliases)]
    return {f"{stem}{joint}{p}".lower() for stem in stems for joint in "_/" for p in part}
