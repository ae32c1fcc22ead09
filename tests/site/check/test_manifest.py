"""The manifest, whole and split, against itself and the files of the site."""

from __future__ import annotations

import gzip
import json

import pytest

from tests.site.check.sites import edit_manifest, found, make


def channels(manifest):
    return manifest["channels"]


BROKEN_MANIFESTS = [
    (lambda m: m.update(format=2), "format: Input should be 1"),
    (lambda m: m.pop("layers"), "layers: Field required"),
    (lambda m: m.update(generator="other 1"),
     "generator: String should match pattern '^channel-atlas '"),
    (lambda m: channels(m)[0].update(page="conv2d0/9.html"),
     "conv2d0:0: 'conv2d0/9.html' is no file of the site"),
    (lambda m: channels(m)[0]["renders"][0].update(sheet="../../etc/passwd"),
     "conv2d0:0 neuron: '../../etc/passwd' is no file of the site"),
    (lambda m: channels(m)[0]["renders"][0].update(tile=[-1, 0, 48, 48]),
     "channels.0.renders.0.tile.0: Input should be greater than or equal to 0"),
    (lambda m: channels(m)[0]["renders"][0].update(tile=[300, 0, 48, 48]),
     "conv2d0:0 neuron: tile [300, 0, 48, 48] is not inside media/renders/conv2d0/0.avif, "
     "336 × 48"),
    (lambda m: channels(m)[0]["thumbnail"].update(tile=[0, 100, 128, 128]),
     "conv2d0:0 thumbnail: tile [0, 100, 128, 128] is not inside media/layers/conv2d0-00.avif, "
     "256 × 128"),
    (lambda m: channels(m)[0]["renders"][1].update(kind="neuron"),
     "conv2d0:0: neuron render 0 is there 2 times"),
    (lambda m: channels(m).append(channels(m)[0]), "conv2d0:0 is there 2 times"),
    (lambda m: channels(m)[1].update(index=8), "conv2d0:8: the layer has only 8 channels"),
    (lambda m: channels(m)[2].update(branch="pool"), "mixed3a:0 is not of branch 'pool'"),
    (lambda m: channels(m)[4].update(layer="mixed9z"), "mixed9z:4 is of a layer that is not there"),
    (lambda m: m["layers"].append(m["layers"][0]), "layer conv2d0 is there 2 times"),
    (lambda m: m["layers"][1]["branches"].pop(),
     "the branches of layer mixed3a do not make up its 12 channels"),
    (lambda m: channels(m)[0]["examples"].pop(3),
     "conv2d0:0: the ranks of its positive examples are not 0, 1, 2 …"),
    (lambda m: channels(m)[0]["examples"][3].update(activation=9000.0),
     "conv2d0:0: its positive examples are not in order of activation"),
    (lambda m: m["classes"][0]["channels"][0].update(index=5),
     "class 'Afghan hound' names conv2d0:5, not in this atlas"),
    (lambda m: m["classes"][0].update(page="classes/none.html"),
     "class 'Afghan hound': 'classes/none.html' is no file of the site"),
    (lambda m: m["files"].append("data/none.js"), "files: 'data/none.js' is no file of the site"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "wrong"), BROKEN_MANIFESTS)
def test_what_is_wrong_in_a_manifest(site, change, wrong):
    edit_manifest(site, change)
    lines = {line for line in found(site) if "warning: is not in the manifest" not in line}
    assert f"manifest.json: {wrong}" in lines
    places = ("manifest.json: ", "conv2d0/", "mixed3a/", "compare.html: compares ")
    assert all(line.startswith(places) for line in lines)


@pytest.mark.parametrize("text", ["", "[", "[]", "\x00", '"x"', "[" * 200_000, "{}" * 9])
def test_a_manifest_that_is_none(site, text):
    (site / "manifest.json").write_text(text)
    assert any(line.startswith("manifest.json: ") for line in found(site))


def test_a_file_the_manifest_does_not_know(site):
    (site / "old.html").write_bytes((site / "index.html").read_bytes())
    (site / ".nojekyll").touch()
    assert found(site) == {"old.html: warning: is not in the manifest"}


@pytest.fixture
def split(tmp_path, monkeypatch):
    """A site whose manifest is in parts, one of them, and its content."""
    monkeypatch.setattr("atlas.site.manifest.LIMIT", 1000)
    site = make(tmp_path / "split")
    name = json.loads((site / "manifest.json").read_text())["channels"][0]["examples_in"]
    return site, name, json.loads(gzip.decompress((site / name).read_bytes()))


def test_a_split_manifest_is_read_with_its_parts(split):
    site, name, part = split
    assert found(site) == set()
    part["channels"][0]["examples"][0]["tile"] = [90_000, 0, 112, 112]
    del part["channels"][1]
    (site / name).write_bytes(gzip.compress(json.dumps(part).encode()))
    first, second = sorted(found(site))
    assert first.startswith(
        "manifest.json: conv2d0:0 positive example 0: tile [90000, 0, 112, 112] is not inside "
    )
    assert second == f"manifest.json: {name} has other channels than those that name it"


def test_a_part_that_is_not_there_or_none(split):
    site, name, part = split
    path, packed = site / name, (site / name).read_bytes()
    path.write_bytes(packed[:-30])
    no_part = f"manifest.json: {name} is no whole file of at most 134,217,728 bytes"
    assert found(site) == {no_part}
    path.write_bytes(gzip.compress(bytes(140_000_000)))
    assert found(site) == {no_part}
    path.write_bytes(gzip.compress(json.dumps(part | {"format": 3}).encode()))
    assert found(site) == {f"manifest.json: {name}: format: Input should be 1"}
    path.unlink()
    assert f"manifest.json: conv2d0:0: '{name}' is no file of the site" in found(site)
