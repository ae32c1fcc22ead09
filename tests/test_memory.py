"""Freed memory stays with the process, until it makes pages."""

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


RETURNED = """
import re, numpy as np
from pathlib import Path
from atlas.memory import give_freed_memory_back, keep_freed_memory
def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024
def work():
    blocks = [np.ones(1 << 20) for _ in range(32)]
    return np.ones(16)
keep_freed_memory()
held = work()
kept = resident()
give_freed_memory_back()
given = resident()
again = work()
print(kept - given, resident() - given)
"""


@pytest.mark.skipif(platform.system() != "Linux", reason="/proc is Linux's")
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc only")
def test_freed_memory_is_given_back_when_pages_are_made():
    done = subprocess.run(
        [sys.executable, "-c", RETURNED], capture_output=True, text=True, check=True
    )
    returned, kept = map(int, done.stdout.split())  # MB, of 256
    assert returned > 200
    assert kept < 50
