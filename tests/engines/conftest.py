"""What workers do to their process is undone where it is the tests'."""

from __future__ import annotations

import signal

import pytest


@pytest.fixture(autouse=True)
def _ctrl_c():
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)
