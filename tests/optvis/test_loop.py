"""The loop in all its variants: every parameterization, optimizer and regularizer, film strips,
early stop, images that overflow, interpolations, photographs to start from."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch

from atlas.errors import RecipeError
from atlas.optvis.halt import WINDOW, Halt
from atlas.optvis.leaves import Photo
from atlas.optvis.optimize import Step, optimize
from atlas.optvis.parameterize import from_uint8
from atlas.optvis.patches import PatchBase
from atlas.optvis.recipe import LEARNING_RATES, Recipe
from atlas.optvis.regularizer import parse_regularizers
from atlas.optvis.subject import Aim, diverse, interpolation, renders_of, single
from atlas.optvis.syntax import parse_objective
from atlas.units import Unit
from tests.optvis.test_objective import photo_of
from tests.optvis.test_parameterize import SPECTRUM

POSITIVE = renders_of(Unit("things", 4), ("positive",))


def recipe(**more) -> Recipe:
    return Recipe(**{"size": 48, "steps": 24, "settle": 0.0} | more)


def regularized(*names: str, **more) -> Recipe:
    transforms, regularizers = parse_regularizers(names)
    return recipe(transforms=transforms, regularizers=regularizers, **more)


@pytest.mark.parametrize("decorrelate", [True, False])
@pytest.mark.parametrize("name", ["fourier", "pixels", "laplacian", "maco"])
def test_every_parameterization_climbs(toy, name, decorrelate):
    chosen = recipe(parameterization=name, decorrelate=decorrelate, spectrum=SPECTRUM)
    (before,) = optimize(toy, POSITIVE, recipe(parameterization=name, spectrum=SPECTRUM, steps=0))
    (after,) = optimize(toy, POSITIVE, chosen)
    assert after.activation > 1.5 * before.activation
    assert after.started
    assert after.finite


@pytest.mark.parametrize("name", list(LEARNING_RATES))
def test_every_optimizer_climbs(toy, name):
    rate = 30.0 if name == "sgd" else None
    pixels = {"parameterization": "pixels"} if name == "steepest-decorrelated" else {}
    (before,) = optimize(toy, POSITIVE, recipe(steps=0))
    (after,) = optimize(toy, POSITIVE, recipe(optimizer=name, learning_rate=rate, **pixels))
    assert after.activation > 1.5 * before.activation


@pytest.mark.parametrize(
    ("name", "measure"),
    [
        ("tv:40", lambda x: np.abs(np.diff(x, axis=0)).mean()),
        ("l1:20", lambda x: np.abs(x - 127.5).mean()),
        ("l2:40", lambda x: ((x - 127.5) ** 2).mean()),
        ("contrast:20", lambda x: np.abs(x - 127.5).max()),
        ("blur:0.6", lambda x: np.abs(np.diff(x, axis=0)).mean()),
        ("bilateral:1.5", lambda x: np.abs(np.diff(x, axis=0)).mean()),
        ("gradient-blur:2", lambda x: np.abs(np.diff(x, axis=0)).mean()),
    ],
)
def test_every_regularizer_does_what_it_is_for(toy, name, measure):
    more = {"parameterization": "pixels", "steps": 160 if "contrast" in name else 40}
    (plain,) = optimize(toy, POSITIVE, regularized("none", **more))
    (other,) = optimize(toy, POSITIVE, regularized(name, **more))
    plain_value, value = (measure(r.image.astype(float)) for r in (plain, other))
    assert value < 0.97 * plain_value
    assert other.started


def test_patches_draw_the_image_to_their_base(toy):
    base = PatchBase(np.full((4, 8, 8, 3), 200, dtype=np.uint8))
    (plain,) = optimize(toy, POSITIVE, regularized("none"))
    (drawn,) = optimize(toy, POSITIVE, regularized("patches:50", patches=base))
    apart = [np.abs(r.image.astype(float) - 200).mean() for r in (plain, drawn)]
    assert apart[1] < apart[0]


def test_the_normalized_gradient_reaches_the_variables(toy):
    """With pixels, what the optimizer gets is the filtered gradient of the image."""
    from atlas.optvis.filters import normalize_laplacian

    seen: list[Step] = []
    more = {"parameterization": "pixels", "decorrelate": False, "steps": 1, "redirect_steps": 0}
    optimize(toy, POSITIVE, regularized("gradient-laplacian:3", **more), observe=seen.append)
    variable = seen[0].variables[0].requires_grad_()
    image = torch.sigmoid(variable)
    value = toy.taps(image, "things")[:, 4].relu().mean()
    (gradient,) = torch.autograd.grad(value, image)
    expected = normalize_laplacian(gradient, 3) * image * (1 - image)
    torch.testing.assert_close(seen[0].gradients[0], expected.detach(), rtol=1e-3, atol=1e-5)


def test_a_penalty_is_weighed_against_the_objective(toy):
    """The gradient is that of objective − objective · weight · penalty, the second held still."""
    seen: list[Step] = []
    more = {"parameterization": "pixels", "decorrelate": False, "steps": 1, "redirect_steps": 0}
    optimize(toy, POSITIVE, regularized("l2:3", **more), observe=seen.append)
    variable = seen[0].variables[0].requires_grad_()
    image = torch.sigmoid(variable)
    value = toy.taps(image, "things")[:, 4].relu().mean()
    total = value - value.detach() * 3 * (image - 0.5).square().mean()
    (expected,) = torch.autograd.grad(total, variable)
    torch.testing.assert_close(seen[0].gradients[0], expected, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("name", ["fourier", "pixels", "laplacian"])
def test_no_steps_from_a_photograph_give_it_back(toy, name):
    photo = photo_of(3)
    chosen = recipe(steps=0, start=photo, parameterization=name)
    (result,) = optimize(toy, POSITIVE, chosen)
    np.testing.assert_array_equal(result.image, photo.pixels)


def test_starting_from_a_photograph_keeps_its_look(toy):
    photo = Photo("flat", "f" * 64, np.full((64, 64, 3), (200, 60, 60), dtype=np.uint8))
    (result,) = optimize(toy, POSITIVE, recipe(start=photo))
    (noise,) = optimize(toy, POSITIVE, recipe())
    apart = [np.abs(r.image.mean((0, 1)) - (200, 60, 60)).mean() for r in (result, noise)]
    assert apart[0] < 0.5 * apart[1]


def test_a_film_strip_holds_what_fewer_steps_would_have_made(toy):
    (result,) = optimize(toy, POSITIVE, recipe(), checkpoints=[0, 4, 24])
    assert list(result.strip) == [0, 4, 24]
    for steps, image in result.strip.items():
        (shorter,) = optimize(toy, POSITIVE, recipe(steps=steps))
        np.testing.assert_array_equal(image, shorter.image)
    with pytest.raises(RecipeError, match="checkpoint 25 is not among the steps 0 to 24"):
        optimize(toy, POSITIVE, recipe(), checkpoints=[25])


def test_settling_ends_in_small_steps(toy):
    seen: list[Step] = []
    optimize(toy, POSITIVE, recipe(steps=40, settle=0.5), observe=seen.append)
    values = [step.variables[0] for step in seen]
    moves = [float((b - a).abs().max()) for a, b in itertools.pairwise(values)]
    assert max(moves[:20]) == pytest.approx(0.05, rel=0.2)
    assert max(moves[-1:]) < 0.01
    plain: list[Step] = []
    optimize(toy, POSITIVE, recipe(steps=40), observe=plain.append)
    torch.testing.assert_close(seen[20].variables, plain[20].variables)
    assert not torch.equal(seen[30].variables[0], plain[30].variables[0])


def test_convergence_follows_its_rule():
    """Rows: grows by 10 % a window, by 1 %, by 1 % but not free, and two that stop together."""
    halt = Halt(5, tolerance=0.05, free=[0, 1, 3, 4], together=[[3, 4]])
    values = torch.ones(5)
    for window in range(4):
        for _ in range(WINDOW):
            assert halt.alive.any()
            halt.saw(values, torch.zeros(5))
            halt.stepped()
        values = values * torch.tensor([1.1, 1.01, 1.01, 1.0, 1.2 if window < 1 else 1.0])
    assert halt.alive.tolist() == [True, False, True, False, False]
    assert halt.taken.tolist() == [4 * WINDOW, 2 * WINDOW, 4 * WINDOW, 3 * WINDOW, 3 * WINDOW]


def test_an_image_that_has_converged_stops_there(toy):
    long = recipe(steps=WINDOW * 8, stop=0.2)
    (result,) = optimize(toy, POSITIVE, long, checkpoints=[WINDOW * 8])
    assert WINDOW * 2 <= result.steps < WINDOW * 8
    assert result.steps % WINDOW == 0
    (same,) = optimize(toy, POSITIVE, recipe(steps=result.steps))
    np.testing.assert_array_equal(result.image, same.image)
    np.testing.assert_array_equal(result.strip[WINDOW * 8], same.image)


def test_diverse_sets_run_to_their_end(toy):
    aims = diverse(parse_objective("things:4", toy), 2)
    results = optimize(toy, aims, recipe(steps=WINDOW * 4, stop=0.9))
    assert {r.steps for r in results} == {WINDOW * 4}


def poisoned(toy):
    """The toy network, which turns to NaN once the second image is bright somewhere."""

    class Poisoned(type(toy)):
        def _forward(self, x, relu):
            for name, taps in super()._forward(x, relu):
                if name == "things":
                    bad = (x.amax((1, 2, 3)) > 0.7) & (torch.arange(len(x)) == 1)
                    rows = zip(taps.split(1), bad, strict=True)
                    taps = torch.cat([row * float("nan") if nan else row for row, nan in rows])
                yield name, taps

    return Poisoned()


@pytest.mark.parametrize("optimizer", ["adam", "steepest-l2"])
def test_an_image_that_overflows_stops_alone(toy, optimizer):
    renders = [renders_of(Unit("things", c), ("positive",))[0] for c in (2, 4, 6)]
    chosen = recipe(optimizer=optimizer)
    clean = optimize(toy, renders, chosen)
    results = optimize(poisoned(toy), renders, chosen)
    assert [r.finite for r in results] == [True, False, True]
    assert 0 < results[1].steps < 24
    for row in (0, 2):
        np.testing.assert_array_equal(results[row].image, clean[row].image)
    before = optimize(toy, renders, recipe(optimizer=optimizer, steps=results[1].steps))
    np.testing.assert_array_equal(results[1].image, before[1].image)


def test_an_infinite_step_is_taken_back(toy):
    results = optimize(toy, POSITIVE, recipe(optimizer="sgd", learning_rate=1000.0, steps=3))
    assert results[0].image.std() > 0
    huge = Recipe(size=48, steps=3, optimizer="sgd", learning_rate=1000.0, decay=4.0)
    (result,) = optimize(toy, POSITIVE, huge)
    assert np.isfinite(result.activation)


@pytest.mark.parametrize("images", [2, 3, 6])
def test_any_number_of_images_may_be_diverse(toy, images):
    results = optimize(toy, diverse(parse_objective("things:4", toy), images), recipe())
    assert len(results) == images
    assert all(r.achieved.diversity is not None for r in results)


def test_the_weight_of_diversity_drives_images_apart(toy):
    means = []
    for weight in (0.0, 1.0, 8.0):
        apart = []
        for channel in range(4):
            aims = diverse(parse_objective(f"things:{channel}", toy), 4)
            results = optimize(toy, aims, recipe(diversity=weight, steps=48))
            apart += [r.achieved.diversity for r in results]
        means.append(np.mean(apart))
    assert means[0] < means[1] < means[2]


@pytest.mark.parametrize(
    "text", ["class:tabby", "edges:1 + things:3", "dir:things:random:3^2", "lse:owl"]
)
def test_diversity_goes_with_any_objective(toy, text):
    """Also with one that is never above zero, as a log-probability."""
    aims = diverse(parse_objective(text, toy), 3)
    apart = [
        np.mean([r.achieved.diversity for r in optimize(toy, aims, recipe(diversity=weight))])
        for weight in (0.0, 3.0)
    ]
    assert apart[1] > 1.2 * apart[0]


def test_neighbouring_frames_are_nearer_than_the_ends(toy):
    ends = [parse_objective(text, toy) for text in ("things:4", "things:9")]
    results = optimize(toy, interpolation(*ends, 5), recipe(steps=64))
    images = np.stack([r.image for r in results]).astype(float)
    steps = [np.sqrt(((a - b) ** 2).mean()) for a, b in itertools.pairwise(images)]
    assert max(steps) < np.sqrt(((images[0] - images[-1]) ** 2).mean())
    apart = recipe(steps=64, shared=False, alignment=0.0)
    loose = np.stack([r.image for r in optimize(toy, interpolation(*ends, 5), apart)])
    rough = np.sqrt((np.diff(loose.astype(float), axis=0) ** 2).mean((1, 2, 3)))
    assert np.mean(steps) < 0.8 * rough.mean()
    assert results[0].activation > 0.5 * optimize(toy, [single(ends[0])], recipe())[0].activation


@pytest.mark.parametrize("form", ["invert", "caricature"])
def test_matching_approaches_its_photograph(toy, form):
    smooth = torch.nn.functional.interpolate(
        torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(1)), size=48, mode="bilinear"
    )
    pixels = (smooth[0].permute(1, 2, 0) * 255).byte().numpy()
    from atlas.optvis.leaves import Match
    from atlas.optvis.objective import Objective

    aim = Aim(Objective.of(Match("shapes", Photo("p", "9" * 64, pixels), form)), 3)
    (before,) = optimize(toy, [aim], recipe(steps=0))
    (after,) = optimize(toy, [aim], recipe(steps=96))
    if form == "invert":
        assert after.activation > 0.5 * before.activation  # both below zero, which is a match
        taps = [
            toy.taps(from_uint8(torch.from_numpy(r.image[None])), "shapes") for r in (before, after)
        ]
        target = toy.taps(smooth, "shapes")
        assert (taps[1] - target).norm() < 0.5 * (taps[0] - target).norm()
    else:
        assert after.activation > 3 * before.activation


def test_objectives_of_several_layers_share_a_batch(toy):
    texts = ["edges:1", "class:owl", "things:3*shapes:2", "layer:shapes", "-things:5"]
    aims = [single(parse_objective(text, toy)) for text in texts]
    together = optimize(toy, aims, recipe())
    for aim, result in zip(aims, together, strict=True):
        (alone,) = optimize(toy, [aim], recipe())
        assert result.started
        assert result.activation == pytest.approx(alone.activation, rel=0.05)


def test_a_photograph_of_another_size_and_padding_are_seen_alike(toy):
    (result,) = optimize(toy, POSITIVE, regularized("pad:8", "jitter:4"))
    assert result.image.shape == (48, 48, 3)
    assert result.started


SCRIPT = """
import hashlib, sys
from atlas.optvis.optimize import optimize
from atlas.optvis.recipe import Recipe
from atlas.optvis.subject import diverse, renders_of
from atlas.optvis.syntax import parse_objective
from atlas.units import Unit
from tests.toy import ToyNetwork
toy, base = ToyNetwork(), int(sys.argv[1])
aims = diverse(parse_objective("class:owl", toy), 3, base)
subjects = [*renders_of(Unit("things", 4), base=base), *aims]
for result in optimize(toy, subjects, Recipe(size=48, steps=12)):
    print(hashlib.sha256(result.image.tobytes()).hexdigest(), result.activation)
"""


def test_two_processes_make_the_same_bytes_and_another_seed_does_not():
    runs = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT, base], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        for base in ("0", "0", "1")
    ]
    assert runs[0] == runs[1]
    assert len(runs[0]) == 10
    assert not set(runs[0]) & set(runs[2])
