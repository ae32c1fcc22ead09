"""The command line in processes that need no time to start: forks of one that has PyTorch loaded.

Everything else about them is real: arguments, folder, exit codes, signals.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_SERVER = """
import json, os, signal, sys, time
import atlas.build, atlas.cli, atlas.status, atlas.merge, torch._dynamo, torch.utils.flop_counter
torch = sys.modules["torch"]
torch.set_num_threads(1)
for line in sys.stdin:
    job = json.loads(line)
    child = os.fork()
    if not child:
        os.chdir(job["cwd"])
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(job[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.argv = ["atlas", *job["arguments"]]
        code = 0
        try:
            exec(job["before"])
            atlas.cli.main()
        except SystemExit as end:
            code = end.code or 0
        sys.stdout.flush()
        os._exit(code)
    if job["after"] is not None:
        time.sleep(job["after"])
        for number in job["signals"]:
            os.kill(child, number)  # its number is not given away before it is waited for
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@dataclass(frozen=True)
class Done:
    """How a run ended."""

    code: int
    out: str
    err: str


class Forked:
    """Runs ``atlas`` in `cwd`; use as a context manager."""

    def __init__(self, cwd: Path) -> None:
        self._cwd = cwd
        root = Path(__file__).resolve().parents[1]
        self._server = subprocess.Popen(
            [sys.executable, "-c", _SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)},
        )

    @property
    def pid(self) -> int:
        """The process whose children the commands are."""
        return self._server.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stdin.close()
        self._server.wait(timeout=60)
        self._server.stdout.close()

    def __call__(
        self,
        *arguments: str | Path,
        after: float | None = None,
        signals: tuple[int, ...] = (),
        before: str = "",
    ) -> Done:
        """Run a command to its end.

        Args:
            after: seconds after which it gets `signals`.
            before: Python that the process executes first, for making things go wrong.
        """
        out, err = self._cwd / "stdout.txt", self._cwd / "stderr.txt"
        job = {
            "arguments": [str(argument) for argument in arguments], "cwd": str(self._cwd),
            "after": after, "signals": list(signals), "before": before,
            "out": str(out), "err": str(err),
        }  # fmt: skip
        self._server.stdin.write(json.dumps(job) + "\n")
        self._server.stdin.flush()
        code = int(self._server.stdout.readline())
        done = Done(code, out.read_text(), err.read_text())
        out.unlink()
        err.unlink()
        return done


def tree(folder: Path) -> dict[str, bytes]:
    """Every file under a folder, and its bytes."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
