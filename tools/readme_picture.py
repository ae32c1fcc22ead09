"""Draw docs/sample.webp: the third channel of each layer of the sample atlas, seven renders each.

atlas build && python tools/readme_picture.py
"""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
TILE, GAP, COLUMNS = 84, 3, 2


def main() -> None:
    """Read masters of the built sample atlas and write the picture."""
    manifest = json.loads((ROOT / "site" / "manifest.json").read_text("utf-8"))
    rows = []
    for layer in manifest["layers"]:
        channels = [c for c in manifest["channels"] if c["layer"] == layer["name"]]
        rows.append([r["recipe_sha256"] for r in channels[len(channels) // 2]["renders"]])
    down = -(-len(rows) // COLUMNS)
    width = 7 * (TILE + GAP) + 3 * GAP
    picture = Image.new("RGB", (COLUMNS * width - 4 * GAP, down * (TILE + GAP) - GAP), "white")
    for i, keys in enumerate(rows):
        for j, key in enumerate(keys):
            with Image.open(ROOT / "store" / "objects" / key[:2] / f"{key}.png") as master:
                tile = master.resize((TILE, TILE), Image.Resampling.LANCZOS)
            picture.paste(tile, (i // down * width + j * (TILE + GAP), i % down * (TILE + GAP)))
    picture.save(ROOT / "docs" / "sample.webp", quality=80)


if __name__ == "__main__":
    main()
