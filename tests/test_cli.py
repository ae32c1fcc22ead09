"""The command line as a user meets it: a build end to end, and one line for every mistake."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SMALL = ("--size", "32", "--steps", "12", "--kinds", "positive,negative")


def atlas(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from atlas.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = (p for p in sorted(folder.rglob("*")) if p.is_file())
    return {str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.read_bytes()) for p in files}


@pytest.fixture(scope="module")
def built(tmp_path_factory, random_weights, photos):
    """A small site of random weights, and the options that made it."""
    root = tmp_path_factory.mktemp("project")
    options = (
        "--model", "googlenet-bvlc", "--weights", random_weights, "--dataset", f"folder:{photos}",
        "--units", "conv2d0:3,mixed3a:20", *SMALL,
    )  # fmt: skip
    result = atlas("build", *options, cwd=root)
    assert result.returncode == 0, result.stderr
    assert "rendered 4, reused 0" in result.stdout
    return root, options


def test_a_second_build_does_nothing_and_says_so(built):
    root, options = built
    before = snapshot(root)
    result = atlas("build", *options, cwd=root)
    assert result.returncode == 0, result.stderr
    assert "rendered 0, reused 4, failed 0" in result.stdout
    assert snapshot(root) == before


def test_two_builds_from_nothing_are_byte_identical(built):
    root, options = built
    again = atlas("build", *options, "--store", "other", "--out", "other-site", cwd=root)
    assert again.returncode == 0, again.stderr
    one = {name: data for name, (_, data) in snapshot(root / "site").items()}
    two = {name: data for name, (_, data) in snapshot(root / "other-site").items()}
    assert one == two


def test_a_changed_recipe_redoes_renders_only(built):
    root, options = built
    result = atlas("build", *options, "--steps", "13", "--out", "changed", cwd=root)
    assert "rendered 4, reused 0" in result.stdout
    assert "collected 0, reused 2 layers" in result.stdout


def test_the_manifest_is_format_1_and_its_numbers_hold(built, random_weights):
    import torch

    from atlas.models.zoo import load_model

    root, _ = built
    manifest = json.loads((root / "site" / "manifest.json").read_text())
    assert manifest["format"] == 1
    assert manifest["model"]["name"] == "googlenet-bvlc"
    assert [la["channels"] for la in manifest["layers"]][:4] == [64, 64, 192, 256]
    net = load_model("googlenet-bvlc", random_weights)
    for channel in manifest["channels"]:
        assert (root / "site" / channel["page"]).is_file()
        assert {r["kind"] for r in channel["renders"]} == {"positive", "negative"}
        for render in channel["renders"]:
            key = render["recipe_sha256"]
            master = root / "store" / "objects" / key[:2] / f"{key}.png"
            x = torch.from_numpy(np.array(Image.open(master))).permute(2, 0, 1)[None] / 255
            a = net.taps(x, channel["layer"])[0, channel["index"]]
            score = a.relu().mean() if render["kind"] == "positive" else -(-a).relu().mean()
            assert render["activation"] == pytest.approx(float(score), rel=1e-4)
        sides = [e["side"] for e in channel["examples"]]
        assert sides == ["positive"] * 24 + ["negative"] * 24
        values = [e["activation"] for e in channel["examples"]]
        assert values[:24] == sorted(values[:24], reverse=True)
        assert values[24:] == sorted(values[24:])


def test_the_manifest_says_what_each_render_achieved(built):
    root, _ = built
    manifest = json.loads((root / "site" / "manifest.json").read_text("utf-8"))
    for channel in manifest["channels"]:
        best = {"positive": "best_score", "negative": "best_negative_score"}
        for render in channel["renders"]:
            share = abs(render["activation"]) / channel["stats"][best[render["kind"]]]
            assert render["share_of_dataset_maximum"] == pytest.approx(share)
            assert 0 <= render["saturation"] <= 1
            assert 0 <= render["high_frequency"] <= 1
            assert render["robust_activation"] * render["activation"] > 0
            assert render["diversity"] is None
            assert render["finite"]


def test_shards_fill_one_store_that_the_whole_build_then_uses(built):
    root, options = built
    for shard in ("1/2", "2/2"):
        result = atlas("build", *options, "--store", "shards", "--shard", shard, cwd=root)
        assert "rendered 2" in result.stdout, result.stderr
    whole = atlas("build", *options, "--store", "shards", "--out", "shards-site", cwd=root)
    assert "rendered 0, reused 4" in whole.stdout
    assert "collected 0, reused 2 layers" in whole.stdout


def test_show_writes_the_same_pixels_as_a_lone_render(built, random_weights):
    root, _ = built
    arguments = ("show", "inception_3a/output:20", "--model", "googlenet-bvlc", "--weights",
                 random_weights, "--size", "32", "--steps", "2", "--seed", "77")  # fmt: skip
    first = atlas(*arguments, "--out", "one.png", cwd=root)
    atlas(*arguments, "--out", "two.png", cwd=root)
    assert first.returncode == 0, first.stderr
    assert "mixed3a:20 positive activation" in first.stdout
    assert "seed 77" in first.stdout
    assert (root / "one.png").read_bytes() == (root / "two.png").read_bytes()
    assert Image.open(root / "one.png").size == (32, 32)


def test_dry_run_says_what_would_be_done_and_does_nothing(built):
    root, options = built
    result = atlas("build", *options, "--units", "conv2d1:1", "--dry-run", "--out", "no", cwd=root)
    assert "would render 2, reused 0" in result.stdout
    assert not (root / "no").exists()


def test_corrupt_images_are_named_and_strict_minds(tmp_path, photos, random_weights):
    good = sorted(p for p in photos.rglob("*") if p.is_file())[:20]
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in good:
        (folder / path.name).write_bytes(path.read_bytes())
    for i in range(5):
        (folder / f"bad{i}.jpg").write_bytes(good[i].read_bytes()[: 40 * i])
    options = ("--model", "googlenet-bvlc", "--weights", random_weights, "--units", "conv2d0:1",
               "--dataset", f"folder:{folder}")  # fmt: skip
    result = atlas("examples", *options, cwd=tmp_path)
    assert result.returncode == 0
    assert "skipped 5 unreadable of 25 images" in result.stderr
    assert all(f"bad{i}.jpg" in result.stderr for i in range(5))
    assert atlas("examples", *options, "--strict", cwd=tmp_path).returncode == 1


MODEL = ("--model", "googlenet-mini", "--units", "conv2d0:1", *SMALL)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("build", *MODEL, "--units", "mixed9:1"), "unknown layer 'mixed9'"),
        (("build", *MODEL, "--units", "mixed4c:9999"), "mixed4c has channels 0 to 511"),
        (("build", *MODEL, "--units", "mixed4c:a-b"), "cannot read 'mixed4c:a-b'"),
        (("build", "--model", "alexnet"), "unknown model 'alexnet'"),
        (("build", "--model", "googlenet-bvlc"), "give --weights FILE"),
        (("build", "--model", "googlenet-bvlc", "--weights", "no.pth"), "no.pth does not exist"),
        (("build", "--model", "googlenet-bvlc", "--weights", "text.pth"), "not a PyTorch file"),
        (("build", "--model", "googlenet", "--weights", "text.safetensors"), "safetensors"),
        (("build", *MODEL, "--dataset", "folder:empty"), "holds no images"),
        (("build", *MODEL, "--dataset", "folder:absent"), "does not exist"),
        (("build", *MODEL, "--out", "text.pth/site"), "cannot write the site"),
        (("build", *MODEL, "--store", "text.pth/store"), "cannot write"),
        (("build", *MODEL, "-c", "bad.toml"), "unknown key 'render.stepz'"),
        (("build", *MODEL, "--size", "8"), "size must be 32 to 4096 pixels, not 8"),
        (("build", *MODEL, "--steps", "-1"), "steps must be 0"),
        (("build", *MODEL, "--kinds", "positive,wild"), "render.kinds"),
        (("build", *MODEL, "--preset", "best"), "render.preset"),
        (("build", *MODEL, "--shard", "3/2"), "shard '3/2'"),
        (("build", "--sizes", "3"), "No such option"),
        (("examples", *MODEL), "need a dataset"),
        (("show", "mixed4c:1,mixed4c:2", "--model", "googlenet-mini"), "names 2"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(arguments, message, tmp_path):
    (tmp_path / "text.pth").write_text("these are not weights\n")
    (tmp_path / "text.safetensors").write_text("these are not weights either\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.toml").write_text("[render]\nstepz = 3\n")
    result = atlas(*arguments, cwd=tmp_path)
    assert result.returncode == 2, result.stderr
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_misshapen_state_dict_names_the_key(tmp_path, random_weights):
    from safetensors.torch import load_file, save_file

    state = load_file(random_weights)
    state["inception_4c_5x5.weight"] = state["inception_4c_5x5.weight"][:, :7].contiguous()
    save_file(state, tmp_path / "bad.safetensors")
    result = atlas("build", "--model", "googlenet-bvlc", "--weights", "bad.safetensors",
                   "--units", "conv2d0:1", cwd=tmp_path)  # fmt: skip
    assert result.returncode == 2
    assert "'inception_4c_5x5.weight' has shape (64, 7, 5, 5)" in result.stderr


def test_importing_and_helping_do_not_need_torch(tmp_path):
    code = "import sys, atlas, atlas.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path).returncode == 0
    result = atlas("--help", cwd=tmp_path)
    for command in ("build", "render", "examples", "pages", "show", "models", "init"):
        assert command in result.stdout


def test_init_makes_a_project_and_overwrites_nothing(tmp_path):
    assert atlas("init", "demo", cwd=tmp_path).returncode == 0
    assert "googlenet-mini" in (tmp_path / "demo" / "atlas.toml").read_text()
    again = atlas("init", "demo", cwd=tmp_path)
    assert again.returncode == 2
    assert "overwrites nothing" in again.stderr


def test_googlenet_without_a_network_says_what_to_do(tmp_path):
    environment = os.environ | {"TORCH_HOME": str(tmp_path), "https_proxy": "http://127.0.0.1:9"}
    result = subprocess.run(
        [sys.executable, "-c", "from atlas.cli import main; main()", "build", "--model",
         "googlenet", "--units", "conv2d0:1"],
        cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=120,
    )  # fmt: skip
    assert result.returncode == 2
    assert "--weights FILE" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
