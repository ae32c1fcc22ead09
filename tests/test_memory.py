"""Freed memory stays with the process."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys, torch
from atlas.memory import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
weight = torch.ones(64, 64, 3, 3)
x = torch.ones(4, 64, 112, 112)
for i in range(12):
    if i == 6:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.nn.functional.conv2d(x, weight, padding=1).relu()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc only")
def test_pages_of_activations_are_not_asked_of_the_kernel_again():
    kept, given_back = (
        int(
            subprocess.run(
                [sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True
            ).stdout
        )
        for how in ("kept", "given back")
    )
    assert given_back > 10_000
    assert kept < given_back / 5
