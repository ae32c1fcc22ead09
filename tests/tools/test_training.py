"""The training tool end to end, stopping and resuming, and the accuracy the model card states."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from atlas.models.zoo import load_model
from tests.conftest import SHARED

ROOT = Path(__file__).resolve().parents[2]
# One thread: OpenMP threads that wait for each other crawl on a machine that is busy otherwise.
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
EMBEDDED = ROOT / "atlas" / "models" / "data" / "googlenet-mini.safetensors"
TINY = SHARED / "imagenet" / "tiny-200"


def command(*arguments: object) -> list[str]:
    return [sys.executable, str(ROOT / "tools" / "train_mini.py"), *map(str, arguments)]


def tool(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=600, cwd=ROOT, env=ENVIRONMENT
    )


@pytest.fixture(scope="module")
def colours(tmp_path_factory) -> Path:
    """Three classes that differ in colour, 20 small images each."""
    root = tmp_path_factory.mktemp("colours")
    rng = np.random.default_rng(0)
    for name, colour in {"a": (200, 40, 40), "b": (40, 200, 40), "c": (40, 40, 200)}.items():
        (root / name).mkdir()
        for i in range(20):
            pixels = np.clip(rng.normal(colour, 25, (40, 40, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


def test_two_thousand_images_for_one_epoch(tmp_path):
    if not TINY.exists():
        pytest.skip("needs ../shared/imagenet/tiny-200, which is not here")
    out = tmp_path / "mini.safetensors"
    done = tool("--dataset", f"parquet:{TINY}/train-00000*.parquet", "--limit", 2000,
                "--epochs", 1, "--sizes", 32, "--out", out)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "epoch 1/1" in done.stdout
    assert out.stat().st_size < 13e6
    model = load_model("googlenet-mini", out)
    assert model.classes == len(model.labels) == 200


def test_a_stopped_run_ends_as_an_unbroken_one(colours, tmp_path):
    common = ("--dataset", f"folder:{colours}", "--sizes", 32, "--batch", 20, "--epochs", 3)
    whole, broken = tmp_path / "whole.safetensors", tmp_path / "broken.safetensors"
    done = tool(*common, "--out", whole)
    assert done.returncode == 0, done.stderr
    process = subprocess.Popen(
        command(*common, "--out", broken),
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=ENVIRONMENT,
    )
    for line in process.stdout:
        if line.startswith("epoch 1/3"):
            process.send_signal(signal.SIGTERM)
    process.wait()
    assert not broken.exists()
    resumed = tool(*common, "--out", broken)
    assert resumed.returncode == 0, resumed.stderr
    one, two = load_file(whole), load_file(broken)
    assert all(bool((one[name] == two[name]).all()) for name in one)


@pytest.mark.real
def test_the_embedded_file_scores_what_its_card_says():
    if not TINY.exists():
        pytest.skip("needs ../shared/imagenet/tiny-200, which is not here")
    done = tool("--evaluate", EMBEDDED, "--validation", f"parquet:{TINY}/validation-*.parquet")
    top1, top5 = map(float, re.search(r"top-1 ([\d.]+) %, top-5 ([\d.]+) %", done.stdout).groups())
    assert top1 == pytest.approx(36.9, abs=0.5)
    assert top5 == pytest.approx(64.8, abs=0.5)


def test_bad_input_is_one_line(tmp_path):
    done = tool("--dataset", f"folder:{tmp_path}/nowhere", "--out", tmp_path / "x.safetensors")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
