"""What PyTorch raises when memory runs out, in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from atlas.errors import WorkError

_SIGNS = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")
"""What such errors say: CUDA's, the CPU allocator's, cuDNN's and cuBLAS's."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an error means that there was not enough memory, of the device or of the machine."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(s in str(error).lower() for s in _SIGNS)


@contextmanager
def memory_explained(what: str, remedy: str) -> Iterator[None]:
    """Turn such an error into one line: what there was not enough memory for, and what needs less.

    Raises:
        WorkError: memory ran out.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise WorkError(f"out of memory {what}; {remedy}") from error
