"""Effective receptive fields against energies worked out by hand, and on real units."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from atlas.examples.collect import collect
from atlas.examples.crop import crop_boxes
from atlas.examples.effective import effective_fields, signs
from atlas.examples.receptive import ReceptiveField, theoretical
from atlas.examples.sources import FolderSource
from atlas.examples.view import Viewing
from atlas.models.network import Window

TOY = ("edges", "shapes", "things")


class Stack:
    """Convolutions (kernel, stride, bias) without padding; "0", "1", ... are their outputs."""

    def __init__(self, *convs):
        self.convs = convs

    def walk(self, x, layers, relu=lambda t: t):
        for number, (kernel, stride, bias) in enumerate(self.convs):
            x = F.conv2d(x, kernel, stride=stride) + bias
            if str(number) in layers:
                yield str(number), x
            x = relu(x)

    def path(self, layer):
        convs = self.convs[: int(layer) + 1]
        return tuple(Window(kernel.shape[-1], stride, 0) for kernel, stride, _ in convs)


class Rectified(Stack):
    def walk(self, x, layers, relu=F.relu):
        return super().walk(x, layers, relu)


def test_energy_of_one_convolution_is_its_kernel_squared():
    kernel = torch.zeros(1, 3, 5, 5)
    kernel[0, 0, 2, 2] = 3  # 9 in the middle
    kernel[0, 1, 1, 3] = 1  # 1 + 4 in the square of 3
    kernel[0, 2, 2, 1] = -2
    kernel[0, 2, 0, 4] = 1  # 1 + 1 in the square of 5
    kernel[0, 0, 4, 0] = -1
    field = effective_fields(Stack((kernel, 2, 0)), ["0"], torch.rand(2, 3, 21, 17))["0"]
    assert list(field.sides) == [1, 3, 5]
    np.testing.assert_allclose(field.energy, [9 / 16, 14 / 16, 1], rtol=1e-6)
    assert (field.side, field.size, field.photographs) == (5, 5, 2)
    assert [field.side_of(share) for share in (0.5, 0.6, 0.87, 0.88, 1)] == [1, 3, 3, 5, 5]


def test_even_fields_have_even_squares():
    kernel = torch.zeros(1, 3, 4, 4)
    kernel[0, :, 1:3, 1:3] = 1  # 12 in the square of 2
    kernel[0, 0, 0, 3] = 2  # 4 in the corner
    field = effective_fields(Stack((kernel, 1, 0)), ["0"], torch.rand(1, 3, 9, 9), share=0.7)["0"]
    assert list(field.sides) == [2, 4]
    np.testing.assert_allclose(field.energy, [12 / 16, 1], rtol=1e-6)
    assert field.side == 2


def test_energy_of_a_linear_stack_is_the_composed_kernel_squared():
    grey, box = torch.ones(1, 3, 3, 3), torch.ones(1, 1, 3, 3)
    net = Stack((grey, 1, 0), (box, 1, 0))
    fields = effective_fields(net, ["0", "1"], torch.rand(1, 3, 12, 12))
    np.testing.assert_allclose(fields["0"].energy, [1 / 9, 1], rtol=1e-6)
    # Box on box is (1 2 3 2 1) both ways: squares 9, 9 + 2·4 and 19 along each axis.
    np.testing.assert_allclose(fields["1"].energy, [81 / 361, 289 / 361, 1], rtol=1e-6)


def test_energy_is_summed_over_channels():
    kernel = torch.zeros(3, 3, 5, 5)
    kernel[0, 1, 2, 2], kernel[1, 0, 1, 1], kernel[2, 2, 2, 0] = 3, 2, 1
    field = effective_fields(Stack((kernel, 1, 0)), ["0"], torch.rand(1, 3, 8, 8))["0"]
    np.testing.assert_allclose(field.energy, [9 / 14, 13 / 14, 1], rtol=1e-6)


def test_random_signs_estimate_the_exact_energy(toy):
    images = torch.rand(1, 3, 48, 48).expand(300, -1, -1, -1)
    x = images[:1].clone().requires_grad_()
    taps = toy.taps(x, "shapes")
    at = taps.shape[2] // 2
    rows = [torch.autograd.grad(t, x, retain_graph=True)[0] for t in taps[0, :, at, at]]
    exact = torch.cat(rows).double().square().sum((0, 1))
    centre = theoretical(toy.path("shapes")).centre(at)
    field = effective_fields(toy, ["shapes"], images)["shapes"]
    for side, held in zip(field.sides, field.energy, strict=True):
        low, high = int(centre - side / 2), int(centre + side / 2)
        inside = exact[low:high, low:high].sum() / exact.sum()
        assert held == pytest.approx(float(inside), abs=0.03)


def test_photographs_do_not_depend_on_those_beside_them(toy):
    torch.manual_seed(4)
    images = torch.rand(6, 3, 64, 64)
    found = effective_fields(toy, TOY, images, seed=9)
    x = images.clone().requires_grad_()
    for layer, taps in toy.walk(x, TOY):
        at = taps.shape[2] // 2
        vectors = torch.stack([signs(taps.shape[1], layer, n, 9) for n in range(6)])
        value = (taps[:, :, at, at] * vectors).sum()
        (gradient,) = torch.autograd.grad(value, x, retain_graph=True)
        energy = gradient.double().square().sum(1)
        centre = theoretical(toy.path(layer)).centre(at)
        for side, held in zip(found[layer].sides, found[layer].energy, strict=True):
            square = slice(max(int(centre - side / 2), 0), int(centre + side / 2))
            shares = energy[:, square, square].sum((1, 2)) / energy.sum((1, 2))
            assert held == pytest.approx(float(shares.mean()), rel=1e-4)


def test_the_same_arguments_give_the_same_fields(toy):
    images = torch.rand(3, 3, 64, 64)
    found = effective_fields(toy, TOY, images)
    assert found == effective_fields(toy, TOY, images)
    for layer in TOY:
        assert effective_fields(toy, [layer], images) == {layer: found[layer]}
    other = effective_fields(toy, TOY, images, seed=1)
    assert other["things"].energy != found["things"].energy


@pytest.mark.parametrize("extent", [(96, 80), (16, 24)])
def test_fields_lie_inside_the_theoretical_ones(toy, extent):
    found = effective_fields(toy, TOY, torch.rand(4, 3, *extent))
    for layer in TOY:
        field, size = found[layer], theoretical(toy.path(layer)).size
        assert field.size == size
        assert field.side in field.sides
        assert field.sides[-1] == size
        assert len(field.energy) == len(field.sides)
        assert (np.diff(field.energy) >= 0).all()
        assert field.energy[-1] == 1
        place = field.sides.index(field.side)
        assert field.energy[place] >= 0.9 > field.energy[place - 1]


def test_photographs_without_a_gradient_are_left_out():
    alive, blocked = torch.ones(3, 12, 12), torch.zeros(3, 12, 12)
    net = Rectified((torch.ones(1, 3, 3, 3), 1, -1), (torch.ones(1, 1, 3, 3), 1, 0))
    both = effective_fields(net, ["0", "1"], torch.stack([blocked, alive]))
    assert [both[layer].photographs for layer in ("0", "1")] == [2, 1]
    np.testing.assert_allclose(both["1"].energy, [81 / 361, 289 / 361, 1], rtol=1e-6)
    none = effective_fields(net, ["1"], blocked[None])["1"]
    assert (none.side, none.energy, none.photographs) == (5, (0, 0, 0), 0)
    assert none.side_of(0.5) == 5


def test_gradients_too_small_to_square_in_float32_count():
    field = effective_fields(
        Stack((torch.full((1, 3, 3, 3), 1e-30), 1, 0)), ["0"], torch.rand(1, 3, 6, 6)
    )["0"]
    np.testing.assert_allclose(field.energy, [1 / 9, 1], rtol=1e-6)


def test_gradients_are_taken_where_they_are_switched_off(toy):
    images = torch.rand(1, 3, 48, 48)
    with torch.no_grad():
        found = effective_fields(toy, ["shapes"], images)
    assert found == effective_fields(toy, ["shapes"], images)


@pytest.mark.parametrize("share", [0, -0.1, 1.01, float("nan")])
def test_impossible_shares_are_refused(toy, share):
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        effective_fields(toy, ["edges"], torch.rand(1, 3, 32, 32), share=share)


@pytest.mark.parametrize(("size", "side"), [(59, 31), (59, 59), (8, 2)])
def test_narrowed_fields_keep_their_centres(size, side):
    field = ReceptiveField(size, 8, -25)
    narrow = field.narrowed(side)
    assert (narrow.size, narrow.stride) == (side, 8)
    assert [narrow.centre(i) for i in (0, 3)] == [field.centre(i) for i in (0, 3)]


@pytest.mark.parametrize("side", [0, -1, 30, 61])
def test_squares_that_fit_no_field_are_refused(side):
    with pytest.raises(ValueError, match="no centred square"):
        ReceptiveField(59, 8, -25).narrowed(side)


MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
"""Mean colour of ImageNet, RGB in [0, 1]."""

RERUN = ("conv2d0", "conv2d1", "conv2d2", "mixed3a", "mixed3b", "mixed4a")


@pytest.mark.real
def test_crops_of_effective_fields_are_what_top_units_need(real_net, real_photos, tmp_path):
    """Most of a unit's activation stays when it is shown the crop alone, on the mean colour."""
    for i, path in enumerate(sorted(real_photos.rglob("*.*"))[::5]):
        shutil.copyfile(path, tmp_path / f"{i:03}.jpg")
    source, viewing = FolderSource(tmp_path), Viewing(*real_net.view)
    extent = viewing.crop

    def view(index):
        return torch.from_numpy(viewing.apply(source.load(index)).copy()).permute(2, 0, 1) / 255

    layers = [layer.name for layer in real_net.layers]
    tables = collect(real_net, source, layers, k=5).tables
    images = torch.stack([view(i) for i in range(0, len(source), 10)])
    found = effective_fields(real_net, layers, images)
    rng = np.random.default_rng(5)
    kept = {}
    for layer in layers:
        side, table = found[layer].side, tables[layer]
        field = theoretical(real_net.path(layer)).narrowed(side)
        square = np.array([extent, extent])
        boxes = crop_boxes(field, table.top_position, square, Viewing(extent, extent))
        centre = field.start + table.top_position[..., ::-1] * field.stride + side / 2
        held = (boxes[..., :2] <= centre) & (centre <= boxes[..., 2:])
        assert held.all(-1).mean() >= 0.9, layer
        if layer not in RERUN:
            continue
        kept[layer] = []
        for channel in rng.choice(len(boxes), 8, replace=False):
            crops = MEAN.expand(10, 3, extent, extent).clone()
            for rank in range(5):
                x0, y0, x1, y1 = boxes[channel, rank]
                crop = view(table.top_image[channel, rank])[:, y0:y1, x0:x1]
                crops[rank, :, y0:y1, x0:x1] = crop
                corner = (extent - side) // 2
                crops[rank + 5, :, corner : corner + side, corner : corner + side] = crop
            with torch.inference_mode():
                highest = real_net.taps(crops, layer)[:, channel].flatten(1).amax(1)
            kept[layer].append(highest.view(2, 5) / torch.from_numpy(table.top_value[channel]))
        own, middle = (float(torch.stack(kept[layer])[:, i].median()) for i in (0, 1))
        print(f"{layer}: {side} of {found[layer].size} px keep {own:.2f}, centred {middle:.2f}")
        assert own >= 0.6, layer
        assert middle >= 0.6, layer
