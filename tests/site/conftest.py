"""Makes the made-up atlas of `fake.py` importable from every test of the site."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
