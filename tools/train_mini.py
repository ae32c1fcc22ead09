"""Train googlenet-mini, the small GoogLeNet of the sample atlas, or measure a trained one.

    python tools/train_mini.py --dataset "parquet:tiny/train-*.parquet" \\
        --validation "parquet:tiny/validation-*.parquet" --out googlenet-mini.safetensors
    python tools/train_mini.py --evaluate googlenet-mini.safetensors \\
        --validation "parquet:tiny/validation-*.parquet"

The defaults are the recipe of its model card, atlas/models/data/googlenet-mini.md. A stopped run
goes on from its checkpoint when the same command is given again.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import torch
from mini_data import Images, align, read_images
from mini_loop import Recipe, Run
from mini_model import (
    SMALLEST,
    evaluate,
    fit_float16,
    load_network,
    recompute_batchnorm,
    save_network,
)

from atlas.errors import AtlasError, ConfigError, OutputError, WorkError


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with the command line in one sentence."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="train_mini.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    source = "parquet:GLOB|folder:PATH"
    add("--dataset", metavar="SOURCE", help=f"training images: {source}")
    add("--out", type=Path, metavar="FILE", help="where the .safetensors file goes")
    add("--validation", metavar="SOURCE", help=f"images to measure accuracy on: {source}")
    add("--evaluate", type=Path, metavar="FILE", help="measure this file; train nothing")
    add("--epochs", type=_count, default=7, metavar="N", help="passes over the images (7)")
    add(
        "--sizes",
        type=_sizes,
        default=Recipe.sizes,
        metavar="A,B,…",
        help="side of the images in pixels, spread over the epochs; "
        "the last is measured at (40,48,48,48,56,64,64)",
    )
    add("--batch", type=_count, default=128, metavar="N", help="images a step (128)")
    add(
        "--limit",
        type=_count,
        metavar="N",
        help="only N training images, drawn by --seed; with --evaluate, N validation images",
    )
    add("--device", default="auto", metavar="NAME", help="auto, cpu or cuda (auto)")
    add("--seed", type=int, default=0, metavar="N", help="of everything random (0)")
    add("--checkpoint", type=Path, metavar="FILE", help="default: OUT.checkpoint")
    add(
        "--labels",
        type=Path,
        metavar="FILE",
        help="JSON object from class to words; default: wnid_names.json beside the images",
    )
    return parser


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def _sizes(text: str) -> tuple[int, ...]:
    sizes = tuple(map(_count, text.split(",")))
    if not all(SMALLEST <= size <= 512 for size in sizes):
        raise argparse.ArgumentTypeError(f"{text!r}: sizes should be {SMALLEST}–512 pixels")
    return sizes


def find_device(name: str) -> torch.device:
    """The device called `name`; `auto` takes a GPU where there is one.

    Raises:
        ConfigError: there is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ConfigError(f"--device {name!r} is not available here; use auto or cpu") from error
    return device


class Log:
    """Lines to the terminal, and to a file where one is given."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path

    def __call__(self, line: str) -> None:
        """Write one line.

        Raises:
            OutputError: the log file cannot be written.
        """
        print(line, flush=True)
        if self.path is not None:
            try:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")
            except OSError as error:
                reason = error.strerror or error
                raise OutputError(f"{self.path} cannot be written: {reason}") from error


@contextmanager
def _stop_requests() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM, so that a run stops between two batches."""
    got: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: got.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield got
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _told(images: Images, what: str, log: Log) -> Images:
    skipped = f" ({images.skipped} unreadable ones skipped)" if images.skipped else ""
    log(f"{len(images):,} {what} images of {len(images.classes)} classes{skipped}")
    return images


def train_file(args: argparse.Namespace) -> None:
    """Train, recompute BatchNorm, measure, and write ``--out``."""
    out: Path = args.out
    if not out.parent.is_dir():
        raise OutputError(f"--out {out}: folder {out.parent} does not exist")
    device = find_device(args.device)
    log = Log(Path(f"{out}.log"))
    images = read_images(args.dataset, limit=args.limit, seed=args.seed, names=args.labels)
    if len(images) < 2:
        raise ConfigError("one image is too few to train on")
    _told(images, "training", log)
    validation = None
    if args.validation:
        validation = align(read_images(args.validation, names=args.labels), images.classes)
        _told(validation, "validation", log)
    recipe = Recipe(epochs=args.epochs, sizes=args.sizes, batch=max(2, args.batch), seed=args.seed)
    checkpoint = args.checkpoint or Path(f"{out}.checkpoint")
    run = Run(images, recipe, device, checkpoint, log)
    if run.step:
        log(f"going on from step {run.step:,} of {run.steps:,} ({checkpoint})")
    with _stop_requests() as stopped:
        complete = run.train(lambda: bool(stopped))
    if not complete:
        raise WorkError(
            f"stopped at step {run.step:,} of {run.steps:,}; the same command goes on from there"
        )
    size = recipe.sizes[-1]
    recompute_batchnorm(run.model, run.pixels, size, batch=run.batch, seed=args.seed)
    fit_float16(run.model)
    score = None
    if validation is not None:
        # What the file will hold is measured: parameters rounded to float16.
        rounded = {
            k: v.half().float() if v.is_floating_point() else v
            for k, v in run.model.state_dict().items()
        }
        run.model.load_state_dict(rounded)
        score = evaluate(run.model, validation.pixels, validation.labels, size)
        log(f"validation at {size} px: {score}")
    save_network(run.model, out, images.classes, images.words, size, score)
    log(f"{out}: {out.stat().st_size / 1e6:.1f} MB")
    checkpoint.unlink(missing_ok=True)


def evaluate_file(args: argparse.Namespace) -> None:
    """Print the accuracy of a trained file on ``--validation``, at the last of ``--sizes``."""
    device = find_device(args.device)
    model, classes = load_network(args.evaluate)
    images = read_images(args.validation, limit=args.limit, seed=args.seed, names=args.labels)
    images = align(images, classes or images.classes)
    if len(images.classes) != model.fc.out_features:  # type: ignore[union-attr]
        raise ConfigError(
            f"{args.evaluate} knows {model.fc.out_features} classes, "  # type: ignore[union-attr]
            f"the validation images have {len(images.classes)}"
        )
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    size = args.sizes[-1]
    print(f"{args.evaluate} at {size} px: {evaluate(model, images.pixels, images.labels, size)}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; returns its exit code (0 done, 1 work failed or stopped, 2 bad input)."""
    try:
        args = _parser().parse_args(argv)
        if args.evaluate is not None:
            if not args.validation:
                raise ConfigError("--evaluate needs --validation SOURCE")
            evaluate_file(args)
        elif args.dataset and args.out is not None:
            train_file(args)
        else:
            raise ConfigError("give --dataset SOURCE and --out FILE, or --evaluate FILE")
    except AtlasError as error:
        print(f"train_mini: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
