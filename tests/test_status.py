"""What `atlas status` says, and what `atlas clean` drops."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.forked import Forked, tree
from tests.test_damage import STOP

BASE = (
    "--model", "googlenet-mini", "--size", "32", "--steps", "2", "--kinds", "positive,negative",
)  # fmt: skip
UNITS = ("--units", "conv2d0:20-27,mixed3a:0-3")


@pytest.fixture(scope="module")
def built(tmp_path_factory, photos):
    """A store with the work of two configs: 24 renders with examples, and 4 of other steps."""
    folder = tmp_path_factory.mktemp("status")
    with Forked(folder) as forked:

        def run(command, *more, **how):
            dataset = ("--dataset", f"folder:{photos}")
            return forked(command, *BASE, *UNITS, *dataset, *more, **how)

        assert run("build").code == 0
        other = run("render", "--steps", "3", "--units", "conv2d0:20-21")
        assert other.code == 0, other.err
        run.folder, run.plain = folder, forked
        shutil.copytree(folder / "store", folder / "whole")
        yield run


@pytest.fixture(autouse=True)
def whole(built):
    shutil.rmtree(built.folder / "store")
    shutil.copytree(built.folder / "whole", built.folder / "store")


def report(run, *more):
    return json.loads(run("status", "--json", *more).out)


def test_what_is_done_missing_and_orphaned(built):
    found = report(built)
    size = sum(map(len, tree(built.folder / "store" / "objects").values()))
    assert found["entries"] == 24 + 4 + 6
    assert found["bytes"] == size
    assert (found["renders_planned"], found["renders_done"], found["renders_missing"]) == (
        24,
        24,
        0,
    )
    assert (found["tables_planned"], found["tables_done"], found["tables_missing"]) == (2, 2, [])
    assert (found["orphaned"], found["orphaned_kinds"]) == (4, {"render": 4})
    assert (found["failed"], found["damaged"], found["foreign"]) == ([], [], [])
    assert (found["unfinished"], found["writer"]) == (0, None)
    text = built("status")
    assert text.code == 0
    assert "renders    24 of 24 done\n" in text.out
    assert "orphaned   4 renders, " in text.out


def test_another_plan_finds_other_work_missing(built):
    found = report(built, "--units", "conv2d0:20-29,mixed3b:1")
    assert (found["renders_planned"], found["renders_done"], found["renders_missing"]) == (
        22,
        16,
        6,
    )
    assert found["tables_missing"] == ["mixed3b"]
    # 4 of other steps, 8 renders of mixed3a; its table, field and map, and the map of conv2d0,
    # which is of other channels.
    assert found["orphaned_kinds"] == {"render": 12, "examples": 1, "field": 1, "map": 2}
    text = built("status", "--units", "conv2d0:20-29,mixed3b:1").out
    assert "renders    16 of 22 done, 6 missing\n" in text
    assert "examples   1 of 2 layers done, missing: mixed3b\n" in text


def test_damage_is_named_and_makes_the_exit_code_1(built):
    paths = sorted((built.folder / "store" / "objects").rglob("*.png"))
    paths[0].write_bytes(b"")
    paths[1].unlink()
    before = tree(built.folder / "store")
    done = built("status", "--json")
    assert done.code == 1
    harms = sorted(harm for _, harm in json.loads(done.out)["damaged"])
    assert harms == ["its bytes have changed", "its file is gone"]
    assert tree(built.folder / "store") == before


def test_looking_changes_nothing(built):
    before = tree(built.folder)
    built("status", "--verify")
    built("clean", "--dry-run")
    built("build", "--dry-run", "--steps", "9")
    assert tree(built.folder) == before


def test_a_store_that_is_not_there_is_empty(built):
    found = report(built, "--store", "absent")
    assert (found["entries"], found["renders_missing"], found["orphaned"]) == (0, 24, 0)
    assert not (built.folder / "absent").exists()


def test_clean_asks_and_drops_what_the_config_does_not_refer_to(built):
    folder = built.folder
    dry = built("clean", "--dry-run")
    assert dry.out.startswith("would drop 4 renders, ")
    unasked = built("clean")
    assert unasked.code == 2
    assert "without a terminal give --yes" in unasked.err
    assert tree(folder / "store" / "objects") == tree(folder / "whole" / "objects")
    done = built("clean", "--yes")
    assert done.code == 0, done.err
    assert done.out == dry.out.replace("would drop", "dropped")
    assert report(built)["orphaned"] == 0
    again = built("build")
    assert "rendered 0, reused 24" in again.out
    assert "collected 0, reused 2 layers" in again.out
    assert built("clean", "--yes").out == "nothing to drop\n"


def test_clean_keeps_what_another_config_refers_to(built):
    (built.folder / "other.toml").write_text(
        'units = "conv2d0:20"\n[model]\nname = "googlenet-mini"\n'
        '[render]\nsize = 32\nsteps = 3\nkinds = ["positive", "negative"]\n'
    )
    done = built("clean", "--yes", "--keep", "other.toml")
    assert done.out.startswith("dropped 2 renders, ")
    assert report(built)["orphaned"] == 2


def test_an_unfinished_pass_stays_until_nothing_is_missing(built):
    shutil.rmtree(built.folder / "store")
    assert built("examples", before=STOP).code == 130
    found = report(built)
    assert (found["unfinished"], found["orphaned"], found["damaged"]) == (1, 0, [])
    assert found["unfinished_bytes"] == found["bytes"] > 0
    assert "unfinished 1 pass over photographs, " in built("status").out
    assert built("clean", "--yes").out == "nothing to drop\n"
    other = built("clean", "--yes", "--units", "mixed3b:1")
    assert other.out.startswith("dropped 1 unfinished dataset pass, ")
    assert report(built)["entries"] == 0
