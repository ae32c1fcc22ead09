"""Ctrl-C and SIGTERM: a wish that is granted between two batches.

While work is done that is only kept by the batch (`patient`), the first signal is noted and the
work asks for it when it has kept a batch (`check`); anywhere else it stops the program right away.
A second signal does not wait for anything. What was kept is kept in either case.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from atlas.errors import AtlasError

MESSAGE = "interrupted; what was finished is kept, run again to go on"
CODE = 130

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _State:
    """Signals belong to the whole process, and so does this."""

    asked = False
    patient = 0


@contextmanager
def guarded() -> Iterator[None]:
    """Have the signals handled as this module says, in the main thread of a program.

    Raises:
        KeyboardInterrupt: a signal came, also where others took it for an error of their own, as
            does an import in which it comes.
    """
    before = [signal.signal(number, _on_signal) for number in _SIGNALS]
    try:
        yield
    except Exception as error:
        if _State.asked and not isinstance(error, AtlasError):
            raise KeyboardInterrupt from error
        raise
    finally:
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)
        _State.asked = False
        # Python remembers that an interrupt left an `exec`, as of a dataclass that was being made,
        # and then ends by that signal, whatever the exit code; the next `exec` makes it forget.
        exec("")


@contextmanager
def patient() -> Iterator[None]:
    """Work that calls `check` after every batch: a signal waits until then."""
    _State.patient += 1
    try:
        yield
    finally:
        _State.patient -= 1


def asked() -> bool:
    """Whether a signal waits."""
    return _State.asked


def check() -> None:
    """Stop here if a signal waits.

    Raises:
        KeyboardInterrupt: it does.
    """
    if _State.asked:
        raise KeyboardInterrupt


def _on_signal(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    if _State.asked:
        _say(f"\natlas: {MESSAGE}\n")
        os._exit(CODE)
    _State.asked = True
    if not _State.patient:
        raise KeyboardInterrupt
    if os.isatty(2):
        _say("\nstops after this batch; once more stops at once\n")


def _say(text: str) -> None:
    """On stderr, past its buffer: a signal may come in the middle of a print, which cannot be
    entered twice."""
    with suppress(OSError):
        os.write(2, text.encode())
