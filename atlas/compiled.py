"""Loops over arrays, compiled by Numba where there is one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from typing import Any

_LOCK = threading.Lock()


def compiled(loop: Callable[..., None]) -> Callable[..., None] | None:
    """A loop over NumPy arrays as machine code that holds no lock on the interpreter, made once
    and kept for the next time; None where there is no Numba."""
    with _LOCK:
        return _compiled(loop)


@cache
def _compiled(loop: Callable[..., None]) -> Callable[..., None] | None:
    try:
        from numba import njit
    except ImportError:
        return None
    how: dict[str, Any] = {
        "nogil": True,
        "fastmath": {"contract", "nsz"},
        "error_model": "numpy",  # divisions that look for zeros are not vectorized
    }
    try:
        made: Callable[..., None] = njit(cache=True, **how)(loop)
    except RuntimeError:  # there is no place where it could be kept
        made = njit(**how)(loop)
    return made
