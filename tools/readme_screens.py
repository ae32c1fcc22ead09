"""Four pages of a built site as one picture for the README: ``python tools/readme_screens.py``.

Needs the dev extra and a Chromium; the site is `site/` unless another folder is named.
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

SHOTS = (
    ("index.html", "light", 0),
    ("mixed4c/320.html", "light", 0),
    ("mixed4c/320.html", "dark", 2010),
    ("compare.html#mixed4c:64,mixed4d:198,mixed5a:104,mixed4a:448", "dark", 0),
)
VIEW = (1280, 860)
WIDTH, GAP = 720, 16


def main(site: Path, out: Path) -> None:
    """Write the picture of `site`, the sample's, to `out`."""
    if not (site / SHOTS[1][0]).is_file():
        sys.exit(f"readme_screens: {site} is not the site of the sample; make atlas builds it")
    path = shutil.which("chromium")
    with sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=path, args=["--no-sandbox"])
        shots = []
        for name, scheme, scroll in SHOTS:
            page = browser.new_page(
                viewport={"width": VIEW[0], "height": VIEW[1]},
                color_scheme="dark" if scheme == "dark" else "light",
            )
            page.goto(f"{site.resolve().as_uri()}/{name}")
            page.wait_for_timeout(800)
            page.mouse.wheel(0, scroll)
            page.wait_for_timeout(400)
            shots.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
        browser.close()
    height = WIDTH * VIEW[1] // VIEW[0]
    sheet = Image.new("RGB", (2 * WIDTH + 3 * GAP, 2 * height + 3 * GAP), "#808080")
    for i, shot in enumerate(shots):
        place = (GAP + i % 2 * (WIDTH + GAP), GAP + i // 2 * (height + GAP))
        sheet.paste(shot.resize((WIDTH, height), Image.Resampling.LANCZOS), place)
    sheet.save(out, quality=82, method=6)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "site"), Path("docs/site.webp"))
