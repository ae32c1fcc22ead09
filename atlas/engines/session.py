"""A Ray cluster: one of this process's own on this machine, or one that is running.

One's own is for nobody else: it listens on 127.0.0.1 only, asks every connection for a secret that
this process made up (where Ray can, from 2.52 on), reports nothing to anybody, keeps its files in
a folder that others cannot read, and goes when this process goes, however that ends (`janitor`).
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from atlas import interrupt
from atlas.engines import janitor
from atlas.errors import ConfigError, WorkError

LOOPBACK = "127.0.0.1"
PREFIX = "atlas-ray-"
_LONGEST = 21
"""Bytes of the path that Ray's folder may be in: names of Unix sockets end at 107."""
_PATIENCE = 10.0
"""Seconds within which a running cluster has to answer."""


@contextmanager
def own(cpus: int, gpus: int) -> Iterator[Any]:
    """A cluster of this machine alone, as the module `ray`, while the block lasts.

    Raises:
        ConfigError: Ray is not installed.
        WorkError: it does not start.
    """
    private = {
        # Ray's way to say that a cluster is of one machine: it then listens on 127.0.0.1. Linux
        # is the system for which it is not the default.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",
    }
    with ExitStack() as stack:
        folder = stack.enter_context(_folder())
        stack.enter_context(_environment(private))
        ray = _imported()
        stack.callback(ray.shutdown)
        _started(
            ray,
            "local",
            "Ray does not start on this machine",
            num_cpus=cpus,
            num_gpus=gpus,
            include_dashboard=False,
            _node_ip_address=LOOPBACK,
            _temp_dir=str(folder / "r"),  # which it opens to everybody
        )
        reached = {node["NodeManagerAddress"] for node in ray.nodes()}
        if reached != {LOOPBACK}:
            raise WorkError(f"Ray would listen on {', '.join(sorted(reached))}, not on {LOOPBACK}")
        yield ray


@contextmanager
def joined(address: str) -> Iterator[Any]:
    """A cluster that runs at `address` (HOST:PORT), as the module `ray`, while the block lasts.

    Raises:
        ConfigError: Ray is not installed.
        WorkError: there is none, or it does not take us.
    """
    trouble = f"cannot join the Ray cluster at {address}"
    host, _, port = address.rpartition(":")
    with ExitStack() as stack:
        ray = _imported()
        with _explained(trouble):  # Ray itself would ask for minutes
            socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
        stack.callback(ray.shutdown)
        _started(ray, address, trouble)
        yield ray


def _imported() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            "engine ray needs Ray, which is not installed: pip install 'channel-atlas[ray]'"
        ) from error
    if hasattr(ray._private.worker, "print_to_stdstream"):
        # Of a worker that dies Ray tells at length on stdout; who gives out the work tells, too.
        ray._private.worker.print_to_stdstream = lambda *_, **__: None
    return ray


def _started(ray: Any, address: str, trouble: str, **options: Any) -> None:
    """Call ``ray.init``, which sets a signal handler of its own, and undo that.

    Raises:
        WorkError: it fails.
        KeyboardInterrupt: a signal came meanwhile.
    """
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with _explained(trouble), interrupt.patient():
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except SystemExit as error:  # what Ray makes of SIGTERM
        raise KeyboardInterrupt from error
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                signal.signal(number, handler)
    interrupt.check()


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # whatever Ray's parts raise
        said = getattr(error, "strerror", None) or str(error)
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        reason = lines[0][:300] if lines else type(error).__name__
        raise WorkError(f"{what}: {reason}") from error


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for Ray's files, which nobody else can read; with the block it goes, and so do all
    processes that use it."""
    place = tempfile.gettempdir()
    place = place if len(os.fsencode(place)) <= _LONGEST else "/tmp"
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place)).resolve()
    program = [sys.executable, "-I", "-S", janitor.__file__, str(folder)]
    with subprocess.Popen(program, stdin=subprocess.PIPE, start_new_session=True):
        yield folder
