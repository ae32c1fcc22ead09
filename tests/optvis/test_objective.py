"""Objectives against NumPy, closed forms, finite differences and torch-lucent."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas.errors import ObjectiveError
from atlas.optvis.alignment import alignment
from atlas.optvis.diversity import gram_cosine
from atlas.optvis.ensemble import Ensemble
from atlas.optvis.leaves import (
    Channel,
    ClassScore,
    Context,
    Direction,
    LayerEnergy,
    Match,
    Neuron,
    Photo,
    moved,
)
from atlas.optvis.objective import Batch, Objective, channel, neuron
from atlas.optvis.recipe import Recipe, stream
from atlas.optvis.subject import Aim, Render
from atlas.optvis.transform import NO_TRANSFORMS, Transforms, warp
from atlas.units import Unit

RNG = np.random.default_rng(7)
TAPS = {
    "low": torch.from_numpy(RNG.standard_normal((6, 5, 8, 9))).float(),
    "high": torch.from_numpy(RNG.standard_normal((6, 12, 6, 7))).float(),
    "logits": torch.from_numpy(RNG.standard_normal((6, 10, 1, 1)) * 3).float(),
}
LOW, HIGH, LOGITS = (TAPS[name].double().numpy() for name in ("low", "high", "logits"))


def relu(x):
    return np.maximum(x, 0)


def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


def direction_value(a, v, power):
    """Position by position, as Lucid has it."""
    total = 0.0
    for y in range(a.shape[1]):
        for x in range(a.shape[2]):
            dot = float(a[:, y, x] @ v)
            cosine = dot / (np.linalg.norm(a[:, y, x]) * np.linalg.norm(v))
            total += dot * max(cosine, 0.1) ** power
    return total / a[0].size


V = RNG.standard_normal(12)

# leaf, its value in row i of the batch
LEAVES = [
    (Channel("high", 3), lambda i: relu(HIGH[i, 3]).mean()),
    (Channel("low", 4, -1), lambda i: relu(-LOW[i, 4]).mean()),
    (Neuron("high", 7), lambda i: HIGH[i, 7, 3, 3]),
    (Neuron("low", 2, (8, 1)), lambda i: LOW[i, 2, 1, 8]),
    (LayerEnergy("high"), lambda i: (HIGH[i] ** 2).mean()),
    (LayerEnergy("low", rectified=True), lambda i: (relu(LOW[i]) ** 2).mean()),
    (ClassScore(6), lambda i: LOGITS[i, 6, 0, 0]),
    (ClassScore(6, "prob"), lambda i: softmax(LOGITS[i].ravel())[6]),
    (ClassScore(6, "lse"), lambda i: LOGITS[i, 6, 0, 0] - np.log(np.exp(LOGITS[i]).sum())),
    (Direction("high", tuple(V)), lambda i: direction_value(HIGH[i], V, 0)),
    (Direction("high", tuple(V), 2.0), lambda i: direction_value(HIGH[i], V, 2)),
]


@pytest.mark.parametrize(("leaf", "value"), LEAVES, ids=[str(leaf)[:30] for leaf, _ in LEAVES])
def test_leaves_equal_their_definitions(leaf, value):
    batch = Batch([Objective.of(leaf)] * 6)
    got = batch(TAPS).tolist()
    assert got == pytest.approx([value(i) for i in range(6)], rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("leaf", [leaf for leaf, _ in LEAVES], ids=lambda leaf: str(leaf)[:30])
def test_gradients_equal_finite_differences(leaf):
    batch = Batch([Objective.of(leaf)] * 6)
    taps = {name: value.double().requires_grad_() for name, value in TAPS.items()}
    (gradient,) = torch.autograd.grad(batch(taps).sum(), taps[leaf.layer])
    step = torch.from_numpy(RNG.standard_normal(gradient.shape))
    moved_taps = [
        {name: (t + sign * 1e-6 * step if name == leaf.layer else t) for name, t in taps.items()}
        for sign in (1, -1)
    ]
    high, low = (float(batch(t).detach().sum()) for t in moved_taps)
    assert (high - low) / 2e-6 == pytest.approx(float((gradient * step).sum()), rel=1e-4, abs=1e-6)


def test_every_image_of_a_batch_has_its_own_objective():
    """All leaves at once, each in a row of its own, in several orders."""
    for order in (range(11), reversed(range(11))):
        chosen = [LEAVES[i] for i in order][:6]
        got = Batch([Objective.of(leaf) for leaf, _ in chosen])(TAPS).tolist()
        assert got == pytest.approx([v(i) for i, (_, v) in enumerate(chosen)], rel=1e-4, abs=1e-5)


def test_arithmetic_of_objectives():
    a, b, c = channel("low", 1), channel("high", 2), neuron("high", 7)
    va, vb, vc = relu(LOW[0, 1]).mean(), relu(HIGH[0, 2]).mean(), HIGH[0, 7, 3, 3]
    cases = {
        a + b: va + vb,
        a - 0.5 * b: va - 0.5 * vb,
        a * b: va * vb,
        (a + b) * (a - c): (va + vb) * (va - vc),
        2 * (a * a): 2 * va * va,
        -(a + b): -va - vb,
        -b: relu(-HIGH[0, 2]).mean(),
        -channel("high", 2, -1): vb,
        -c: -vc,
        a + b + c + a + b + c: 2 * (va + vb + vc),
    }
    for objective, expected in cases.items():
        assert float(Batch([objective])(TAPS)) == pytest.approx(expected, rel=1e-4), objective


def test_a_number_that_is_not_finite_stays_in_its_row():
    taps = {name: value.clone() for name, value in TAPS.items()}
    taps["high"][2] = float("nan")
    objectives = [channel("low", 1) + 2 * channel("high", i) for i in range(6)]
    assert Batch(objectives)(taps).isfinite().tolist() == [i != 2 for i in range(6)]


def test_what_is_reported_of_a_lone_leaf_is_its_own_value():
    batch = Batch(
        [-channel("low", 1), 3 * channel("low", 1), 3 * neuron("low", 1) - 0 * neuron("low", 2)]
    )
    scores = batch.score(TAPS).tolist()
    assert scores[0] == pytest.approx(-relu(-LOW[0, 1]).mean(), rel=1e-5)
    assert scores[1] == pytest.approx(relu(LOW[1, 1]).mean(), rel=1e-5)
    assert scores[2] == pytest.approx(3 * LOW[2, 1, 4, 4], rel=1e-5)
    minus_logit = Batch([-Objective.of(ClassScore(6))])
    assert float(minus_logit(TAPS)[0]) == pytest.approx(-LOGITS[0, 6, 0, 0], rel=1e-5)
    assert float(minus_logit.score(TAPS)[0]) == pytest.approx(LOGITS[0, 6, 0, 0], rel=1e-5)


def test_renders_are_objectives_of_their_kind():
    unit = Unit("high", 3)
    values = {
        kind: float(Batch([Render(unit, kind, 0, 0).objective]).score(TAPS)[0])
        for kind in ("positive", "diverse", "negative", "neuron")
    }
    assert values["positive"] == values["diverse"] == pytest.approx(relu(HIGH[0, 3]).mean())
    assert values["negative"] == pytest.approx(-relu(-HIGH[0, 3]).mean())
    assert values["neuron"] == pytest.approx(HIGH[0, 3, 3, 3])


def test_numbers_alone_and_positions_off_the_map_are_refused():
    with pytest.raises(ObjectiveError, match="number"):
        Batch([Objective.constant(2)])
    with pytest.raises(ObjectiveError, match=r"neuron:low:2:9:0 is off the map.*9 wide, 8 high"):
        Batch([neuron("low", 2, (9, 0))] * 6)(TAPS)
    with pytest.raises(ObjectiveError, match=r"length 2.*12 channels"):
        Batch([Objective.of(Direction("high", (1.0, 2.0)))] * 6)(TAPS)
    with pytest.raises(ObjectiveError, match="too much"):
        _ = sum((channel("low", i) for i in range(40)), channel("low", 40)) * sum(
            (channel("high", i) for i in range(40)), channel("high", 40)
        )


def photo_of(seed: int, size: int = 48) -> Photo:
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    return Photo(f"{seed}.png", f"{seed:064}", pixels)


@pytest.mark.parametrize("form", ["invert", "caricature"])
def test_matching_equals_its_definition(toy, form):
    photo = photo_of(1)
    aim = Aim(Objective.of(Match("shapes", photo, form, 2.0)), 0)
    recipe = Recipe(size=48, steps=1, transforms=NO_TRANSFORMS)
    images = torch.rand(1, 3, 48, 48)
    got = float(Ensemble(toy, [aim], recipe).scores(images))
    pixels = torch.from_numpy(photo.pixels).permute(2, 0, 1)[None] / 255
    a, target = (toy.taps(x, "shapes")[0].double().numpy() for x in (images, pixels))
    if form == "invert":
        expected = -((a - target) ** 2).sum() / (target**2).sum()
    else:
        expected = np.mean(
            [
                direction_value(a[:, y : y + 1, x : x + 1], target[:, y, x], 2)
                for y in range(a.shape[1])
                for x in range(a.shape[2])
            ]
        )
    assert got == pytest.approx(expected, rel=1e-4)


def test_a_photograph_matches_itself_wherever_it_is_moved(toy):
    """The photograph is warped as the image is, so the distance stays zero."""
    photo = photo_of(2)
    ensemble = Ensemble(
        toy, [Aim(Objective.of(Match("shapes", photo)), 0)], Recipe(size=48, steps=3)
    )
    thetas = ensemble.transforms()
    for theta in thetas:
        achieved, _ = ensemble.strive(ensemble.photo(photo), theta, torch.relu)
        assert float(achieved) == pytest.approx(0, abs=1e-9)


def test_the_neuron_follows_the_place_of_a_warped_image():
    theta = torch.from_numpy(Transforms().draw(stream(3, "transforms"), 40, 96))
    for x, y in ((48, 48), (30, 60)):
        spot = torch.full((40, 3, 97, 97), 0.5)
        spot[:, :, y - 1 : y + 2, x - 1 : x + 2] = 1.0
        seen = warp(spot, theta)[:, 0] - 0.5
        axis = torch.linspace(-1, 1, 97) * 96 / 97
        weight = seen / seen.sum((1, 2), keepdim=True)
        found = torch.stack([(weight.sum(1) * axis).sum(1), (weight.sum(2) * axis).sum(1)], 1)
        at = torch.tensor([[axis[x], axis[y]]]).expand(40, 2)
        torch.testing.assert_close(moved(theta, at), found, atol=0.01, rtol=0)
        position = None if (x, y) == (48, 48) else (x, y)
        batch = Batch([neuron("l", 0, position)] * 40)
        assert float(batch({"l": seen[:, None]}, Context(theta=theta)).min()) > 0.35


@pytest.mark.parametrize("shape", [(2, 4, 5, 6, 6), (3, 4, 40, 3, 3), (1, 7, 9, 3, 3)])
def test_gram_cosine_equals_its_definition(shape):
    taps = torch.randn(shape, dtype=torch.float64)
    got = gram_cosine(taps).numpy()
    a = taps.flatten(3).numpy()
    gram = np.einsum("gkcn,gkdn->gkcd", a, a).reshape(*shape[:2], -1)
    gram /= np.linalg.norm(gram, axis=2, keepdims=True)
    np.testing.assert_allclose(got, gram @ gram.transpose(0, 2, 1), atol=1e-9)


@pytest.mark.parametrize("frames", [2, 3, 6, 9])
def test_alignment_equals_its_definition(frames):
    taps = torch.randn(frames, 4, 5, 5, dtype=torch.float64)
    a, expected = taps.numpy(), 0.0
    for d in range(1, 5):
        for i in range(frames - d):
            expected += ((a[i] - a[i + d]) ** 2).mean() / 2**d
    assert float(alignment(taps)) == pytest.approx(expected, rel=1e-12)


@pytest.fixture(scope="module")
def lucent():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lucent.optvis import objectives
    return objectives


def test_what_lucent_has_too_gives_its_numbers(lucent):
    """Lucent returns losses, and takes the mean over channels where we take the sum."""
    taps = torch.relu(TAPS["high"])[:1]

    def theirs(objective) -> float:
        return -float(objective(lambda _layer: taps))

    def ours(leaf) -> float:
        return float(Batch([Objective.of(leaf)])({"high": taps}))

    v = torch.from_numpy(V).float()
    assert ours(Channel("high", 3)) == pytest.approx(theirs(lucent.channel("high", 3)), rel=1e-4)
    assert ours(Neuron("high", 7)) == pytest.approx(theirs(lucent.neuron("high", 7)), rel=1e-4)
    spot = lucent.neuron("high", 7, x=5, y=2)
    assert ours(Neuron("high", 7, (5, 2))) == pytest.approx(theirs(spot), rel=1e-4)
    weighed = theirs(lucent.channel_weight("high", v)) * 12
    assert ours(Direction("high", tuple(V))) == pytest.approx(weighed, rel=1e-4)


def test_alignment_equals_lucents(lucent):
    taps = torch.randn(6, 4, 5, 5)
    theirs = float(lucent.alignment("l", decay_ratio=2)(lambda _layer: taps))
    assert float(alignment(taps)) == pytest.approx(abs(theirs), rel=1e-4)


def test_diversity_equals_lucents(lucent):
    """Lucent divides the sum over ordered pairs by the number of images."""
    taps = torch.randn(4, 7, 5, 5)
    cosines = gram_cosine(taps[None])[0]
    ours = float(cosines.sum() - cosines.diagonal().sum()) / 4
    assert ours == pytest.approx(-float(lucent.diversity("l")(lambda _layer: taps)), rel=1e-4)


@given(st.floats(-3, 3), st.floats(-3, 3), st.integers(0, 4), st.integers(0, 11))
@settings(max_examples=40, deadline=None)
def test_sums_are_linear(first, second, low, high):
    blend = channel("low", low) * first + neuron("high", high) * second
    got = Batch([blend])({name: value[:1] for name, value in TAPS.items()})
    expected = first * relu(LOW[0, low]).mean() + second * HIGH[0, high, 3, 3]
    assert float(got) == pytest.approx(expected, rel=1e-4, abs=1e-5)
