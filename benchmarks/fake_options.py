"""What `fake_store.py` and `full_site.py` are told, apart from what it takes to do it: the latter
measures memory, and should not fill any with torch."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that say what is made."""
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--weights", type=Path, help="of googlenet-bvlc; else googlenet-mini's own")
    parser.add_argument("--units", default="all", metavar="SPEC", help="as of atlas build")
    parser.add_argument("--images", type=int, default=2000, metavar="N", help="photographs")
