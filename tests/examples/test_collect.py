"""The collector, crops and sources against brute force and hand-made files."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from atlas.errors import DatasetError
from atlas.examples.collect import collect
from atlas.examples.crop import crop_box
from atlas.examples.receptive import theoretical
from atlas.examples.sources import FolderSource, open_source
from atlas.examples.table import pack, unpack
from atlas.examples.view import Viewing
from atlas.models.network import Window
from tests.examples import brute


def brute_force(network, folder, layer, channel, sign, k):
    """[(value, id, (y, x))] of the k best images, written straight down."""
    found = []
    transform = v2.Compose([v2.Resize(256), v2.CenterCrop(224)])
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        image = transform(Image.open(path).convert("RGB"))
        x = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 255
        with torch.no_grad():
            a = network.taps(x, layer)[0, channel] * sign
        y, x_ = divmod(int(a.argmax()), a.shape[1])
        found.append((float(a.max()) * sign, path.relative_to(folder).as_posix(), (y, x_)))
    return sorted(found, key=lambda f: -sign * f[0])[:k]


def check_against_brute_force(table, source, network, folder, layer, channel, k=10):
    for side, sign in (("top", 1), ("bottom", -1)):
        expected = brute_force(network, folder, layer, channel, sign, k)
        images = getattr(table, f"{side}_image")[channel]
        assert [source.items[i].id for i in images] == [e[1] for e in expected]
        values = getattr(table, f"{side}_value")[channel]
        np.testing.assert_allclose(values, [e[0] for e in expected], rtol=1e-3)
        positions = [tuple(p) for p in getattr(table, f"{side}_position")[channel].tolist()]
        assert positions == [e[2] for e in expected]


@pytest.mark.parametrize("layer", ["edges", "shapes", "things"])
def test_examples_equal_brute_force_on_a_toy_network(toy, photos, layer):
    source = FolderSource(photos)
    table = collect(toy, source, [layer]).tables[layer]
    assert table.images == 24
    for channel in (0, 3, 7):
        check_against_brute_force(table, source, toy, photos, layer, channel)


@pytest.mark.real
@pytest.mark.parametrize("kind", ["folder", "parquet"])
def test_everything_equals_brute_force_on_real_weights(real_net, real_photos, kind):
    """All channels in one pass, sixty at random by brute force; `brute` does whole datasets."""
    tiny = real_photos.parent / "tiny-200" / "validation*.parquet"
    spec = f"folder:{real_photos}" if kind == "folder" else f"parquet:{tiny}"
    source, units = open_source(spec, limit=330), brute.draw(real_net, 60, seed=5)
    tables = collect(real_net, source, [layer.name for layer in real_net.layers], 25).tables
    wrong = brute.differences(tables, brute.see(real_net, source, units), units, source)
    wrong += brute.positions_wrong(real_net, tables, units[::10], source)
    assert not wrong


def test_statistics_are_those_of_all_positions_of_all_images(toy, photos):
    source, viewing = FolderSource(photos), Viewing()
    table = collect(toy, source, ["shapes"]).tables["shapes"]
    views = np.stack([viewing.apply(source.load(i)) for i in range(len(source))])
    taps = toy.taps(torch.from_numpy(views).permute(0, 3, 1, 2) / 255, "shapes").double()
    flat = taps.flatten(2)
    expected = {
        "min": flat.amin((0, 2)),
        "max": flat.amax((0, 2)),
        "lowest_maximum": flat.amax(2).amin(0),
        "mean": flat.mean((0, 2)),
        "std": flat.std((0, 2), correction=0),
        "fires": (flat.amax(2) > 0).double().mean(0),
        "best_score": flat.relu().mean(2).amax(0),
        "best_negative_score": (-flat).relu().mean(2).amax(0),
    }
    assert set(table.stats) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(table.stats[name], value, rtol=1e-4, atol=1e-6, err_msg=name)


def test_fewer_images_than_ranks_leave_ranks_empty(toy, tmp_path):
    for i in range(3):
        Image.new("RGB", (64, 64), (i * 80, 40, 90)).save(tmp_path / f"{i}.png")
    table = collect(toy, FolderSource(tmp_path), ["edges"], k=5).tables["edges"]
    assert (table.top_image[:, :3] >= 0).all()
    assert (table.top_image[:, 3:] == -1).all()


def test_corrupt_images_are_skipped_counted_and_named(toy, photos, tmp_path):
    good = sorted(p for p in photos.rglob("*") if p.is_file())[:20]
    for path in good:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "short.jpg").write_bytes(good[0].read_bytes()[:300])
    (tmp_path / "head.png").write_bytes(good[1].read_bytes()[:60])
    Image.new("1", (9000, 9000)).save(tmp_path / "huge.png")
    found = collect(toy, FolderSource(tmp_path), ["edges"])
    assert found.tables["edges"].images == 20
    assert [name for name, _ in found.skipped] == [
        "empty.jpg", "head.png", "huge.png", "short.jpg", "text.png",
    ]  # fmt: skip
    assert all(reason for _, reason in found.skipped)


def test_a_dataset_of_nothing_readable_is_an_error(toy, tmp_path):
    (tmp_path / "a.jpg").write_text("no")
    with pytest.raises(DatasetError, match="none of the 1 images"):
        collect(toy, FolderSource(tmp_path), ["edges"])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("sample-1000", "folder:PATH"),
        ("folder:", "folder:PATH"),
        ("zip:x", "dataset 'zip:x' should be written folder:PATH"),
        ("folder:/does/not/exist", "does not exist"),
    ],
)
def test_bad_dataset_specs_are_one_sentence(spec, message):
    with pytest.raises(DatasetError, match=message):
        open_source(spec)


def test_images_of_all_modes_become_upright_rgb(tmp_path):
    red = np.zeros((8, 12, 3), np.uint8)
    red[..., 0] = 200
    picture = Image.fromarray(red)
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90°
    picture.save(tmp_path / "a-turned.png", exif=exif)
    picture.convert("CMYK").save(tmp_path / "b-cmyk.tif")
    picture.convert("P").save(tmp_path / "c-palette.gif")
    Image.fromarray(np.full((8, 12), 30000, np.uint16)).save(tmp_path / "d-deep.png")
    Image.new("RGBA", (12, 8), (0, 0, 0, 0)).save(tmp_path / "e-clear.png")
    source = FolderSource(tmp_path)
    images = [source.load(i) for i in range(len(source))]
    assert all(image.mode == "RGB" for image in images)
    assert images[0].size == (8, 12) == source.size(0)
    np.testing.assert_allclose(np.asarray(images[1]).mean((0, 1)), (200, 0, 0), atol=3)
    np.testing.assert_allclose(np.asarray(images[2]).mean((0, 1)), (200, 0, 0), atol=3)
    np.testing.assert_allclose(np.asarray(images[3]), 30000 / 257, atol=1)
    assert (np.asarray(images[4]) == 255).all()


def test_labels_are_words_and_ids_stay_inside(photos):
    source = FolderSource(photos)
    labels = {item.id.split("/")[0]: item.label for item in source.items}
    assert labels == {"n01440764": "tench", "owl": "owl", "zebra": "zebra"}


def test_fingerprint_follows_bytes_and_names(tmp_path):
    def fingerprint():
        return FolderSource(tmp_path).fingerprint(lambda p: p.read_bytes().hex())

    file = tmp_path / "a.png"
    Image.new("RGB", (4, 4), "red").save(file)
    first = fingerprint()
    assert first == fingerprint()
    file.rename(tmp_path / "b.png")
    assert fingerprint() != first
    (tmp_path / "b.png").rename(file)
    Image.new("RGB", (4, 4), "blue").save(file)
    assert fingerprint() != first


@pytest.mark.parametrize("layer", ["edges", "shapes", "things"])
def test_receptive_field_equals_where_the_gradient_reaches(toy, layer):
    field = theoretical(toy.path(layer))
    x = torch.rand(1, 3, 96, 96, requires_grad=True)
    taps = toy.taps(x, layer, relu=lambda t: t)
    at = taps.shape[2] // 2
    # Several draws: max pooling lets through one of its inputs at a time.
    reached = torch.zeros(96, dtype=torch.bool)
    for seed in range(40):
        torch.manual_seed(seed)
        x = torch.rand(1, 3, 96, 96, requires_grad=True)
        (grad,) = torch.autograd.grad(toy.taps(x, layer, relu=lambda t: t)[0, :, at, at].sum(), x)
        reached |= grad[0].abs().amax((0, 1)) > 0
    inside = reached.nonzero().flatten()
    assert int(inside.min()) == field.start + at * field.stride
    assert int(inside.max()) + 1 == field.start + at * field.stride + field.size


def test_receptive_fields_of_googlenet(random_weights):
    from atlas.models.zoo import load_model

    net = load_model("googlenet-bvlc", random_weights)
    sizes = {la.name: theoretical(net.path(la.name)).size for la in net.layers}
    # By hand: 7, pool 11, 3x3 19, pool 27, 2 blocks of 4·8, pool, 5 of 4·16, pool, 2 of 4·32.
    assert [sizes[n] for n in ("conv2d0", "conv2d2", "mixed3a", "mixed4e")] == [7, 19, 59, 427]
    assert sizes["mixed5b"] == 427 + 32 + 2 * 128


@pytest.mark.parametrize("size", [(300, 240), (240, 300), (256, 256), (1000, 260)])
@pytest.mark.parametrize("field", [(7, 2, -3), (59, 8, -25), (715, 32, -300)])
def test_crops_are_square_inside_and_hold_their_position(size, field):
    from atlas.examples.receptive import ReceptiveField

    receptive = ReceptiveField(*field)
    scaling, offset = Viewing().geometry(np.array(size))
    scale = min(size) / 256
    for position in ((0, 0), (3, 2), (6, 6)):
        x0, y0, x1, y1 = crop_box(receptive, position, size, Viewing())
        assert x1 - x0 == y1 - y0 == pytest.approx(min(field[0], 224) * scale, abs=1)
        assert 0 <= x0 < x1 <= size[0]
        assert 0 <= y0 < y1 <= size[1]
        centre = [min(max(receptive.centre(p), 0), 224) for p in reversed(position)]
        x, y = ((centre + offset) * scaling).tolist()
        assert x0 - 1 <= x <= x1 + 1
        assert y0 - 1 <= y <= y1 + 1


def test_view_is_torchvisions_resize_and_centre_crop(photos):
    transform = v2.Compose([v2.Resize(256), v2.CenterCrop(224)])
    source = FolderSource(photos)
    for i in range(8):
        image = source.load(i)
        np.testing.assert_array_equal(Viewing().apply(image), np.asarray(transform(image)))


def test_tables_survive_the_store(toy, photos):
    table = collect(toy, FolderSource(photos), ["edges"]).tables["edges"]
    facts = {"images": table.images, "labels": list(table.labels)}
    again = unpack(pack(table), facts)
    assert again.labels == table.labels == ("owl", "tench", "zebra")
    np.testing.assert_array_equal(again.top_position, table.top_position)
    np.testing.assert_array_equal(again.stats["std"], table.stats["std"])


def test_a_network_path_of_one_window_is_that_window():
    field = theoretical([Window(5, 2, 1)])
    assert (field.size, field.stride, field.start) == (5, 2, -1)
