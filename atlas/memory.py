"""What becomes of freed memory: a pass over images keeps it, a build of pages gives it back.

A batch's activations are tens of megabytes each. glibc takes blocks of that size straight from the
kernel and returns them when they are freed, and the kernel clears every page of the next one:
140,000 page faults a batch of 16 photographs through GoogLeNet, a third of the time on two cores
(34 images a second against 49). Below the thresholds set here blocks come from the heap and stay.
"""

from __future__ import annotations

import ctypes
import platform
from functools import cache

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
"""Names of parameters in glibc's malloc.h."""

LARGEST = 1 << 30
"""Bytes; larger blocks still go back at once, so that one huge tensor does not stay for ever."""

PAD = 128 << 20
"""Address space, in bytes, that a heap asks for in advance: as much as keeps glibc from returning
the heaps of 64 MB that threads other than the first have."""

DEFAULT = 128 << 10
"""glibc's own value of all three, in bytes."""


def give_freed_memory_back() -> None:
    """Return what is free to the system, and from now on what will be: the end of tensors."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_THRESHOLD, DEFAULT)
        libc.mallopt(_TRIM_THRESHOLD, DEFAULT)
        libc.mallopt(_TOP_PAD, DEFAULT)
        libc.malloc_trim(0)
        keep_freed_memory.cache_clear()


@cache
def keep_freed_memory() -> bool:
    """Set glibc's thresholds for this process, once; False where the C library is another."""
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    wanted = {_MMAP_THRESHOLD: LARGEST, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: PAD}
    return all([libc.mallopt(name, value) for name, value in wanted.items()])  # noqa: C419 (each is called)
