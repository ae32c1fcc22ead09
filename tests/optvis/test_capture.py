"""Recorded steps, on a CPU: a stand-in repeats, as a CUDA graph does, the operations of one step
with the numbers and tensors they had then."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from atlas.models.zoo import load_model
from atlas.optvis import capture, descend, optimize
from atlas.optvis.capture import WARM, Recorded
from atlas.optvis.recipe import LEARNING_RATES, Recipe
from atlas.optvis.regularizer import parse_regularizers
from atlas.optvis.subject import diverse, interpolation, renders_of, single
from atlas.optvis.syntax import parse_objective
from atlas.units import Unit
from tests.optvis.test_parameterize import SPECTRUM

MIXED = tuple(
    render
    for channel in (2, 4)
    for render in renders_of(Unit("things", channel), ("neuron", "positive", "diverse", "negative"))
)
ALONE = renders_of(Unit("things", 4), ("positive", "negative"))

WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "lift_fresh", "unique", "is_nonzero"}
"""Operations that wait for the device, or bring numbers to it."""


class Operations:
    """In the place of `Recorded`: a list of operations, and how often it was repeated."""

    made: list[Operations]

    def __init__(self, step):
        self._step, self.graph, self.repeated = step, None, 0
        self.made.append(self)

    def __call__(self):
        if self.graph is not None:
            self.repeated += 1
            with torch.no_grad():
                self.graph()
            return

        def step():
            self._step()
            return ()

        self.graph = make_fx(step)()  # takes the step, too

    @property
    def names(self) -> set[str]:
        """Of the operations."""
        nodes = [node for node in self.graph.graph.nodes if node.op == "call_function"]
        return {node.target.__name__.split(".")[0] for node in nodes}


class Again(Operations):
    """Takes every step anew."""

    def __call__(self):
        self._step()


@pytest.fixture
def run(toy, monkeypatch):
    """Renders as a GPU would, by operations recorded once or every step anew."""

    def run(how, subjects, recipe, network=toy, **more):
        how.made = []
        with monkeypatch.context() as patch:
            for module in (descend, optimize):
                patch.setattr(module, "recorded", lambda _: True)
            patch.setattr(optimize, "Recorded", how)
            return optimize.optimize(network, subjects, recipe, **more)

    return run


def same(one, other):
    assert len(one) == len(other)
    for mine, theirs in zip(one, other, strict=True):
        assert np.array_equal(mine.image, theirs.image), mine.render
        for fact in ("activation", "steps", "started", "finite"):
            np.testing.assert_equal(getattr(mine, fact), getattr(theirs, fact))
        assert mine.strip.keys() == theirs.strip.keys()
        for step, kept in mine.strip.items():
            assert np.array_equal(kept, theirs.strip[step])


def recipe(**more) -> Recipe:
    return Recipe(**{"size": 48, "steps": 28, "redirect_steps": 4} | more)


def regularized(*names: str) -> Recipe:
    transforms, regularizers = parse_regularizers(names)
    return recipe(transforms=transforms, regularizers=regularizers)


def recipes() -> dict[str, Recipe]:
    named = {name: recipe(optimizer=name, parameterization="pixels") for name in LEARNING_RATES}
    named["fourier"] = recipe()
    for name in ("laplacian", "maco"):
        named[name] = recipe(parameterization=name, spectrum=SPECTRUM)
    named["filters"] = regularized("blur:0.3", "gradient-blur:0.5")
    named["more filters"] = regularized("bilateral:1", "gradient-laplacian:3")
    named["not settling"] = recipe(settle=0.0, redirect_steps=0)
    return named


@pytest.mark.parametrize("name", recipes())
def test_repeated_operations_are_the_steps(run, toy, name):
    chosen = recipes()[name]
    found = run(Operations, MIXED, chosen)
    (operations,) = Operations.made
    assert operations.repeated == chosen.steps - max(chosen.redirect_steps, WARM) - 1
    assert not operations.names & WAITS
    same(found, run(Again, MIXED, chosen))
    ordinary = optimize.optimize(toy, MIXED, chosen)
    for one, other in zip(found, ordinary, strict=True):
        assert one.activation == pytest.approx(other.activation, rel=0.05)


def test_googlenet_is_repeated(run, monkeypatch):
    for module in ("googlenet", "lrn"):  # as on a GPU
        monkeypatch.setattr(f"atlas.models.{module}.can_pack", lambda _: False)
    monkeypatch.setattr("atlas.optvis.ensemble.arithmetic", lambda *_: torch.float32)
    network = load_model("googlenet-mini")
    renders = renders_of(Unit("mixed4a", 7), ("neuron", "positive", "diverse", "negative"))
    found = run(Operations, renders, recipe(steps=10), network=network)
    assert Operations.made[0].repeated == 5
    assert not Operations.made[0].names & WAITS
    same(found, run(Again, renders, recipe(steps=10), network=network))


def test_checkpoints_and_early_stops_are_kept(run):
    chosen = recipe(steps=240, stop=0.2)
    found = run(Operations, ALONE, chosen, checkpoints=(0, 3, 5, 20))
    assert min(one.steps for one in found) < 240
    assert found[0].strip.keys() == {0, 3, 5, 20}
    same(found, run(Again, ALONE, chosen, checkpoints=(0, 3, 5, 20)))


def test_an_image_that_overflows_stops_alone(run, toy):
    class Poisoned(type(toy)):
        """Turns to NaN where the second image is bright."""

        def _forward(self, x, relu):
            bad = (x.amax((1, 2, 3)) > 0.9) & (torch.arange(len(x)) == 1)
            for name, taps in super()._forward(x, relu):
                poison = torch.where(bad, torch.nan, 1.0)
                yield name, taps * poison[:, None, None, None] if name == "things" else taps

    found = run(Operations, ALONE, recipe(), network=Poisoned())
    assert [one.finite for one in found] == [True, False]
    assert 5 <= found[1].steps < 28  # it was being repeated
    same(found, run(Again, ALONE, recipe(), network=Poisoned()))


@pytest.mark.parametrize(
    "text",
    [
        "edges:1 - 0.5 * shapes:2 * things:3",
        "neuron:edges:2:4:5 + things_bottleneck:1",
        "layer:shapes + deepdream:edges",
        "class:tabby + prob:owl - 0.1 * lse:3",
        "dir:edges:[1,2,0,0,0,0,0,1] + dir:shapes:[1]*5",
    ],
)
def test_any_objective_is_repeated(toy, run, text):
    width = next(layer.channels for layer in toy.layers if layer.name == "shapes")
    text = text.replace("[1]*5", str([1] * width).replace(" ", ""))
    aims = [single(parse_objective(text, toy)), single(parse_objective("-things:2", toy))]
    found = run(Operations, aims, recipe())
    assert not Operations.made[0].names & WAITS
    same(found, run(Again, aims, recipe()))


def test_interpolations_and_sets(toy, run):
    first, last = (parse_objective(f"things:{channel}", toy) for channel in (1, 4))
    subjects = [*interpolation(first, last, 4), *diverse(first, 3)]
    same(run(Operations, subjects, recipe()), run(Again, subjects, recipe()))


def test_who_watches_sees_every_step(run):
    seen = []
    run(Operations, ALONE, recipe(), observe=lambda step: seen.append(step.number))
    assert seen == list(range(28))
    assert Operations.made[0].graph is None


def test_on_a_cpu_nothing_is_recorded(toy, monkeypatch):
    monkeypatch.setattr(capture.Recorded, "__call__", lambda _: pytest.fail("recorded"))
    (one, _) = optimize.optimize(toy, ALONE, recipe())
    assert one.steps == 28


class PretendGraph:
    """What `Recorded` asks of CUDA: while it records, nothing is computed."""

    def __init__(self, log, error=None):
        self.log, self.error = log, error

    def __enter__(self):
        self.log.append("recording")

    def __exit__(self, kind, *_):
        self.log.append("recorded")
        if self.error is not None and kind is None:
            raise self.error

    def replay(self):
        self.log.append("replayed")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, ["recording", "step", "recorded", "replayed", "replayed", "replayed"]),
        (RuntimeError("not permitted"), ["recording", "step", "recorded", "step", "step", "step"]),
    ],
)
def test_a_step_is_recorded_once_or_run_as_it_is(monkeypatch, error, expected):
    log = []
    graph = PretendGraph(log, error)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: graph)
    monkeypatch.setattr(torch.cuda, "graph", lambda given, **_: given)
    step = Recorded(lambda: log.append("step"))
    for _ in range(3):
        step()
    assert log == expected


def test_too_little_memory_is_told(monkeypatch):
    graph = PretendGraph([], torch.cuda.OutOfMemoryError("out of memory"))
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: graph)
    monkeypatch.setattr(torch.cuda, "graph", lambda given, **_: given)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        Recorded(lambda: None)()
