"""The built wheel carries what a site is made of."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    pytest.importorskip("hatchling", reason="needs hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def test_templates_content_model_and_sample_travel_in_the_wheel(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("templates", "content"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file():
                assert f"atlas/_shipped/{path.relative_to(ROOT).as_posix()}" in names
    assert "atlas/_shipped/atlas.toml" in names
    assert "atlas/models/data/googlenet-mini.safetensors" in names
    assert "atlas/models/data/imagenet.tsv" in names


def test_an_unpacked_wheel_builds_a_site_away_from_the_repository(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    script = (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); import atlas; "
        "assert 'installed' in atlas.__file__, atlas.__file__; "
        "from atlas.cli import main; main()"
    )

    def run(*arguments: str, cwd: Path) -> None:
        command = [sys.executable, "-I", "-c", script, str(tmp_path / "installed"), *arguments]
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr

    run("init", "demo", cwd=tmp_path)
    config = tmp_path / "demo" / "atlas.toml"
    config.write_text(config.read_text().replace('source = "sample"', ""))
    small = ("--units", "mixed3a:1", "--size", "32", "--steps", "8")
    run("build", *small, cwd=tmp_path / "demo")
    assert (tmp_path / "demo" / "site" / "mixed3a" / "1.html").is_file()
    assert "mixed3a" in (tmp_path / "demo" / "site" / "index.html").read_text()
