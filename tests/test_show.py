"""`atlas show` and the measuring commands, run in this process: files, words, mistakes."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from PIL import Image

from atlas import cli, measure
from atlas.examples.sources import open_source
from atlas.pictures import RECIPE_KEY

MINI = ("--model", "googlenet-mini", "--size", "32", "--steps", "3")


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Runs a command line in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["atlas", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return command


@pytest.mark.parametrize(
    ("objective", "file", "word"),
    [
        ("mixed4a:97", "mixed4a-97-positive.png", "mixed4a:97 positive activation"),
        ("-mixed4d:484", "mixed4d-484-negative.png", "mixed4d:484 negative activation -"),
        ("class:tabby", "class-tabby.png", "class:tabby activation"),
        ("layer:mixed4b", "layer-mixed4b.png", "layer:mixed4b activation"),
        ("mixed4a:12+mixed4b:3", "mixed4a-12-mixed4b-3.png", "mixed4a:12+mixed4b:3 activation"),
        ("dir:mixed4d:random:7", "dir-mixed4d-random-7.png", "dir:mixed4d:random:7 activation"),
        ("neuron:mixed4a:97", "mixed4a-97-neuron.png", "mixed4a:97 neuron activation"),
        ("-0.5*class:tabby", "minus-0.5-class-tabby.png", "-0.5*class:tabby activation"),
    ],
)
def test_objectives_become_files(run, tmp_path, objective, file, word):
    code, out, err = run("show", objective, *MINI)
    assert (code, err) == (0, "")
    assert word in out
    for part in ("robust", "saturated", "high-frequency", "3 steps", file):
        assert part in out
    with Image.open(tmp_path / file) as image:
        assert image.size == (32, 32)
        assert json.loads(image.text[RECIPE_KEY])["size"] == 32
    assert [p.name for p in tmp_path.iterdir()] == [file]


def test_the_same_objective_twice_is_the_same_file(run, tmp_path):
    for name in ("a.png", "b.png"):
        assert run("show", "class:tabby+mixed4a:3", *MINI, "--out", name)[0] == 0
    assert run("show", "class:tabby+mixed4a:3", *MINI, "--out", "c.png", "--seed", "5")[0] == 0
    one, two, other = ((tmp_path / f"{n}.png").read_bytes() for n in "abc")
    assert one == two != other


def test_sets_interpolations_and_film_strips(run, tmp_path):
    code, out, _ = run("show", "conv2d1:3", *MINI, "--kinds", "diverse", "--images", 3)
    assert code == 0
    assert out.count("diversity") == 3
    code, out, _ = run("show", "conv2d1:3..class:tabby", *MINI, "--frames", 3, "--out", "way.png")
    assert code == 0
    assert "3 frames side by side: way-frames.png" in out
    code, out, _ = run("show", "conv2d1:3", *MINI, "--checkpoints", "0,2,3")
    assert "film strip of steps 0, 2, 3: conv2d1-3-positive-strip.png" in out
    names = {path.name for path in tmp_path.iterdir()}
    assert {f"conv2d1-3-diverse-{i}.png" for i in range(3)} <= names
    assert {"way-0.png", "way-1.png", "way-2.png", "way-frames.png"} <= names
    assert Image.open(tmp_path / "way-frames.png").size == (3 * 32 + 8, 32)
    assert Image.open(tmp_path / "conv2d1-3-positive-strip.png").size == (3 * 32 + 8, 32)


def test_objectives_of_a_config(run, tmp_path):
    (tmp_path / "my.toml").write_text(
        '[model]\nname = "googlenet-mini"\n[render]\nsize = 32\nsteps = 2\nregularize = ["tv:1"]\n'
        '[show]\nobjectives = ["class:tabby", "-conv2d1:3"]\n'
    )
    code, out, _ = run("show", "-c", "my.toml", "--out", "found")
    assert code == 0
    assert len(out.splitlines()) == 2
    assert {p.name for p in (tmp_path / "found").iterdir()} == {
        "class-tabby.png",
        "conv2d1-3-negative.png",
    }
    with Image.open(tmp_path / "found" / "class-tabby.png") as image:
        assert json.loads(image.text[RECIPE_KEY])["regularizers"] == ["tv:1"]


def test_photographs_to_match_and_to_start_from(run, tmp_path, photos):
    photo = next(photos.rglob("*.jpg"))
    assert run("show", f"invert:conv2d2:{photo}", *MINI, "--out", "a.png")[0] == 0
    assert run("show", f"caricature:conv2d2:{photo}^2", *MINI, "--out", "b.png")[0] == 0
    code, _, _ = run("show", "conv2d1:3", *MINI, "--start", photo, "--steps", 0, "--out", "c.png")
    assert code == 0
    assert np.asarray(Image.open(tmp_path / "c.png")).std() > 5


def test_a_dry_run_writes_nothing(run, tmp_path):
    code, out, _ = run("show", "class:tabby", *MINI, "--dry-run")
    assert (code, out) == (0, "would render class:tabby to class-tabby.png\n")
    assert not list(tmp_path.iterdir())


def test_measuring_commands_make_what_show_takes(run, tmp_path, photos):
    dataset = f"folder:{photos}"
    code, out, _ = run("measure-colours", "--dataset", dataset, "--out", "c.json", "-q")
    assert code == 0
    expected = measure.colours(open_source(dataset))
    about = json.loads((tmp_path / "c.json").read_text())
    np.testing.assert_allclose(about["correlation"], expected.correlation)
    np.testing.assert_allclose(about["matrix"], expected.cholesky)
    assert f"correlation R  1.0000  {expected.correlation[0, 1]:.4f}" in out
    assert (
        run("measure-spectrum", "--dataset", dataset, "--out", "s.st", "--size", 64, "-q")[0] == 0
    )
    assert run("measure-patches", "--dataset", dataset, "--out", "p.st", "--count", 9, "-q")[0] == 0
    made = run(
        *("show", "conv2d1:3", *MINI, "--parameterization", "maco", "--colours", "c.json"),
        *("--spectrum", "s.st", "--patches", "p.st", "--regularize", "transforms,patches"),
    )
    assert made[0] == 0, made[2]
    for command, wrong in (
        ("measure-colours", ("--dataset", "folder:absent", "--out", "x")),
        ("measure-colours", ("--dataset", dataset, "--out", "c.json/x")),
        ("measure-spectrum", ("--dataset", dataset, "--out", "x", "--size", "1024")),
        ("measure-spectrum", ("--dataset", dataset, "--out", "x", "--size", "3")),
        ("measure-patches", ("--dataset", dataset)),
    ):
        code, _, err = run(command, *wrong)
        assert code in (1, 2)
        assert len(err.strip().splitlines()) == 1
        assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("class:tabbyy",), "unknown class 'tabbyy'; did you mean tabby"),
        (("mixed9:1",), "unknown layer 'mixed9'"),
        (("layer:mixed9",), "unknown layer 'mixed9'"),
        (("mixed4a:512",), "'mixed4a:512' is out of range"),
        (("mixed4a:12++",), "missing at the end"),
        (("dir:mixed4d:[1,2]",), "has length 2, but mixed4d has 528 channels"),
        (("mixed4a:0-15",), "names 16"),
        (("mixed4a:1,mixed4a:2",), "names 2"),
        (("mixed4a:1", "--size", "31"), "size must be 32 to 4096 pixels, not 31"),
        (("mixed4a:1", "--size", "5000"), "not 5000"),
        (("mixed4a:1", "--steps", "-1"), "steps must be 0 to 1000000, not -1"),
        (("mixed4a:1", "--regularize", "foo"), "unknown regularizer 'foo'"),
        (("mixed4a:1", "--optimizer", "lion"), "unknown optimizer 'lion'"),
        (("mixed4a:1", "--parameterization", "x"), "unknown parameterization 'x'"),
        (("mixed4a:1", "--checkpoints", "0,4"), "checkpoint 4 is not among the steps 0 to 3"),
        (("mixed4a:1", "--checkpoints", "a"), "checkpoint 'a'"),
        (("mixed4a:1", "--learning-rate", "0"), "learning rate must be above 0"),
        (("mixed4a:1", "--regularize", "patches"), "give --patches FILE"),
        (("mixed4a:1", "--colours", "no.json"), "no.json cannot be read"),
        (("mixed4a:1", "--start", "no.jpg"), "no.jpg cannot be read"),
        (("invert:mixed3b:no.jpg",), "no.jpg cannot be read"),
        (("class:tabby", "--kinds", "neuron"), "kind neuron"),
        (("mixed4a:1", "--kinds", "positive,negative"), "one kind at a time"),
        (("mixed4a:1..mixed4a:2", "--frames", "1"), "2 to 64 frames, not 1"),
        (("mixed4a:1", "--units", "mixed4a:1"), "not --units"),
        ((), "show needs an OBJECTIVE"),
        (("neuron:mixed4a:1:9:9",), "off the map: at this size mixed4a is"),
        (("mixed4a:1", "--stepz", "3"), "No such option"),
    ],
)
def test_mistakes_are_one_line_that_shows_the_offending_part(run, tmp_path, arguments, message):
    code, _, err = run("show", *(arguments[:1] or ()), *MINI, *arguments[1:])
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())
