"""The training loop of `train_mini.py`: a run that can be stopped anywhere and taken up again."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from mini_augment import augmented_batch
from mini_data import Images
from mini_model import new_network
from torch import Tensor, nn

from atlas.errors import ModelError, OutputError, WorkError

SAVE_EVERY = 180.0
"""Seconds between checkpoints within an epoch."""


@dataclass(frozen=True)
class Recipe:
    """What a run depends on besides its images; the defaults are googlenet-mini's."""

    epochs: int = 7
    sizes: tuple[int, ...] = (40, 48, 48, 48, 56, 64, 64)
    batch: int = 128
    seed: int = 0
    rate: float = 0.25
    warm_up: float = 0.2
    momentum: float = 0.9
    decay: float = 1e-4
    smoothing: float = 0.1
    dropout: float = 0.1

    def size(self, epoch: int) -> int:
        """Side of the images in an epoch: `sizes` spread over the epochs, ending with the last."""
        if self.epochs == 1:
            return self.sizes[-1]
        return self.sizes[round(epoch * (len(self.sizes) - 1) / (self.epochs - 1))]

    def rate_at(self, done: float) -> float:
        """Learning rate when `done` of the run (0 … 1) lies behind: one cycle.

        Half a cosine up from `rate` / 25, half a cosine down to almost nothing (Smith and Topin
        2018, arXiv 1708.07120, with the shape and factors of PyTorch's ``OneCycleLR``). As it
        depends on the step alone, a checkpoint need not hold it.
        """
        lowest = self.rate / 25
        if done < self.warm_up:
            start, end, part = lowest, self.rate, done / self.warm_up
        else:
            start, end = self.rate, lowest / 1e4
            part = (done - self.warm_up) / (1 - self.warm_up)
        return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


@dataclass
class Tally:
    """Running sums of the epoch under way."""

    loss: float = 0.0
    right: int = 0
    seen: int = 0


@dataclass
class Run:
    """A training run on images in memory; `step` counts batches since its beginning."""

    images: Images
    recipe: Recipe
    device: torch.device
    checkpoint: Path | None = None
    say: Callable[[str], None] = print
    step: int = 0
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        recipe = self.recipe
        self.batch = min(recipe.batch, len(self.images))
        self.steps_per_epoch = len(self.images) // self.batch
        self.steps = recipe.epochs * self.steps_per_epoch
        torch.manual_seed(recipe.seed)
        model = new_network(len(self.images.classes), recipe.dropout)
        self.model = model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = _optimizer(self.model, recipe)
        self.pixels = self.images.pixels.to(self.device)
        self.labels = self.images.labels.to(self.device)
        if self.checkpoint is not None and self.checkpoint.exists():
            self.load(self.checkpoint)

    def train(self, stop: Callable[[], bool] = lambda: False) -> bool:
        """Train to the end, or until `stop` (asked after every batch) says so.

        Returns:
            Whether the run is complete; if not, its checkpoint has been written.

        Raises:
            WorkError: the loss is no longer a number.
        """
        started, first, saved = time.monotonic(), self.step, time.monotonic()
        epoch_began = (started, self.step)
        while self.step < self.steps:
            epoch, place = divmod(self.step, self.steps_per_epoch)
            if place == 0 or self.step == first:
                order = self._order(epoch)
                epoch_began = (time.monotonic(), self.step)
            self._learn(order[place * self.batch : (place + 1) * self.batch], epoch)
            self.step += 1
            at_end = self.step % self.steps_per_epoch == 0
            now = time.monotonic()
            if at_end:
                left = self._work(self.step, self.steps) / self._work(first, self.step)
                self._report(epoch, *epoch_began, left * (now - started))
                self.tally = Tally()
            stopping = stop()
            if at_end or stopping or now - saved > SAVE_EVERY:
                self.save()
                saved = time.monotonic()
            if stopping and self.step < self.steps:
                return False
        return True

    def _order(self, epoch: int) -> Tensor:
        """The images of an epoch in its own random order, the same whenever it is asked for."""
        text = f"{self.recipe.seed}/{epoch}".encode()
        seed = int.from_bytes(hashlib.sha256(text).digest()[:7], "big")
        order = torch.randperm(len(self.images), generator=torch.Generator().manual_seed(seed))
        return order.to(self.device)

    def _learn(self, chosen: Tensor, epoch: int) -> None:
        """One batch: forward, backward, one step of the optimizer and the schedule."""
        self.model.train()
        wanted = self.labels[chosen]
        logits = self.model(augmented_batch(self.pixels[chosen], self.recipe.size(epoch)))
        loss = F.cross_entropy(logits, wanted, label_smoothing=self.recipe.smoothing)
        value = loss.item()
        if not math.isfinite(value):
            raise WorkError(f"training diverged: the loss at step {self.step} is no number")
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate_at(self.step / self.steps)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.tally.loss += value * len(chosen)
        self.tally.right += int((logits.argmax(1) == wanted).sum())
        self.tally.seen += len(chosen)

    def _work(self, first: int, last: int) -> float:
        """Pixels processed by steps first … last − 1, the measure of time."""
        steps = range(first, last)
        return float(sum(self.recipe.size(step // self.steps_per_epoch) ** 2 for step in steps))

    def _report(self, epoch: int, began: float, first: int, left: float) -> None:
        tally, images = self.tally, (self.step - first) * self.batch
        pace = images / max(time.monotonic() - began, 1e-9)
        self.say(
            f"epoch {epoch + 1}/{self.recipe.epochs}  {self.recipe.size(epoch)} px  "
            f"loss {tally.loss / tally.seen:.4f}  "
            f"accuracy {100 * tally.right / tally.seen:.1f} % (augmented)  "
            f"{pace:,.0f} images/s  {left / 60:.1f} min left"
        )

    def identity(self) -> dict[str, Any]:
        """What a checkpoint must agree on to be continued: recipe, classes and images."""
        sample = self.images.pixels[:: max(1, len(self.images) // 500)].contiguous()
        digest = hashlib.sha256(sample.numpy().tobytes())
        digest.update(self.images.labels.numpy().tobytes())
        recipe = asdict(self.recipe) | {"sizes": list(self.recipe.sizes)}
        return {"recipe": recipe, "classes": list(self.images.classes), "data": digest.hexdigest()}

    def save(self) -> None:
        """Write the checkpoint, whole or not at all; without a checkpoint file, nothing.

        Raises:
            OutputError: it cannot be written.
        """
        if self.checkpoint is None:
            return
        state = {
            "identity": self.identity(),
            "step": self.step,
            "tally": asdict(self.tally),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state(self.device) if self._cuda else None,
        }
        partial = self.checkpoint.with_name(f".{self.checkpoint.name}.{os.getpid()}.partial")
        try:
            with partial.open("wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.checkpoint)
        except OSError as error:
            raise OutputError(
                f"checkpoint {self.checkpoint} cannot be written: {error.strerror or error}"
            ) from error
        finally:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)

    def load(self, path: Path) -> None:
        """Take up the run that a checkpoint holds.

        Raises:
            ModelError: it is damaged, no checkpoint of ours, or of another run.
        """
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            identity = state["identity"]
        except (
            OSError,
            pickle.UnpicklingError,
            RuntimeError,
            EOFError,
            ValueError,
            KeyError,
            TypeError,
        ) as error:
            raise ModelError(f"{path} is not a whole checkpoint of this tool; delete it") from error
        differing = [k for k, v in self.identity().items() if identity.get(k) != v]
        if differing:
            raise ModelError(
                f"checkpoint {path} is of another run (its {' and '.join(differing)} differ); "
                "delete it or name another with --checkpoint"
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.tally = state["step"], Tally(**state["tally"])
        torch.set_rng_state(state["rng"])
        if self._cuda and state["cuda_rng"] is not None:
            torch.cuda.set_rng_state(state["cuda_rng"], self.device)

    @property
    def _cuda(self) -> bool:
        return self.device.type == "cuda"


def _optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    """Nesterov SGD; weights decay, biases and BatchNorm's scales do not."""
    parameters: Sequence[nn.Parameter] = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=recipe.rate, momentum=recipe.momentum, nesterov=True)
