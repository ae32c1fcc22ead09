"""Steps recorded once and then repeated, where that is how a device is kept busy.

A step launches some hundreds of kernels, and on a GPU Python takes longer to launch them than they
take to run. As a CUDA graph they are launched at once. Whatever a recorded step reads and writes
has to be in tensors that stay where they are: a number out of Python, or a new tensor in the place
of an old one, would be at every repetition what it was when it was recorded. Nor may it ask the
device for a number.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

WARM = 3
"""Steps that are taken before one is recorded: plans are made and memory is found in those."""


def recorded(device: torch.device | str) -> bool:
    """Whether steps on this device are recorded."""
    return torch.device(device).type == "cuda"


class Recorded:
    """A step that is recorded when it is first asked for; what CUDA cannot record is run as it is.

    Args:
        step: neither takes nor returns anything.
    """

    def __init__(self, step: Callable[[], None]) -> None:
        self._step = step
        self._graph: torch.cuda.CUDAGraph | None = None
        self._refused = False

    def __call__(self) -> None:
        """Take the step."""
        if self._graph is None and not self._refused:
            self._record()
        if self._graph is not None:
            self._graph.replay()
        else:
            self._step()

    def _record(self) -> None:
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads encode images meanwhile, which is no business of this one's.
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                self._step()
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError:
            self._refused = True
        else:
            self._graph = graph
