"""Which images of a batch still move: some have converged, some are no longer finite.

An image has *converged* once the mean of its objective over `WINDOW` steps is larger than over
the `WINDOW` before by less than a given share of it. (Means, because random transforms make the
objective jump.) The frames of an interpolation stop together; diverse sets and their references
run to the end, because their term is released over the last steps.

An image is *not finite* once its objective, a gradient or a variable of it is infinite or no
number; it goes back to its last finite state, and its batch-mates never notice.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

WINDOW = 32


def magnitudes(tensors: Sequence[Tensor]) -> Tensor:
    """The largest absolute value in each row of tensors (B, …), (B,).

    Infinite or no number where any value is: one pass says whether all are finite and whether
    all are zero.
    """
    rows = [tensor.detach().flatten(1).abs().amax(dim=1) for tensor in tensors]
    return torch.stack(rows).amax(0)


class Halt:
    """The state of a batch of `size` images.

    Args:
        tolerance: the share; 0 stops none.
        free: rows that may stop by themselves.
        together: groups of rows that stop when all of them have converged.

    Attributes:
        alive: (B,) bool, rows that move; as all of it, changed in place (`capture`).
        finite: (B,) bool, rows that never stopped being finite.
        taken: (B,) steps taken.
    """

    def __init__(
        self,
        size: int,
        tolerance: float = 0.0,
        free: Sequence[int] = (),
        together: Sequence[Sequence[int]] = (),
        device: torch.device | str = "cpu",
    ) -> None:
        self.alive = torch.ones(size, dtype=torch.bool, device=device)
        self.finite = self.alive.clone()
        self.taken = torch.zeros(size, dtype=torch.long, device=device)
        grouped = {row for rows in together for row in rows}
        self._free = torch.zeros_like(self.alive)
        self._free[[row for row in free if row not in grouped]] = True
        self._together = [torch.tensor(list(rows), device=device) for rows in together]
        self._tolerance = tolerance
        self._sum = torch.zeros(size, device=device)
        self._last: Tensor | None = None
        self._steps = 0

    def saw(self, objective: Tensor, largest: Tensor) -> None:
        """Note a step's objective (B,) and its `magnitudes` of gradients, before it is taken."""
        self.stop(~(objective.isfinite() & largest.isfinite()))
        self._sum += objective.detach().nan_to_num()

    def stop(self, unsound: Tensor) -> None:
        """Stop the rows (B,) that are no longer finite."""
        self.finite &= ~(unsound & self.alive)
        self.alive &= ~unsound

    def stepped(self) -> bool:
        """Count the step and judge convergence; whether any row still moves."""
        self.taken += self.alive
        self._steps += 1
        if self._steps % WINDOW:
            return True
        if self._tolerance > 0:
            mean = self._sum / WINDOW
            if self._last is not None:
                growth = mean - self._last
                converged = growth < self._tolerance * self._last.abs()
                self.alive &= ~(converged & self._free)
                for rows in self._together:
                    done = (converged[rows] | ~self.alive[rows]).all()
                    self.alive[rows] &= ~done
            self._last = mean
            self._sum.zero_()
        return bool(self.alive.any())
