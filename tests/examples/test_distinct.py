"""No two examples of a channel show the same place of a photograph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from atlas.examples.collect import collect
from atlas.examples.crop import crop_box
from atlas.examples.distinct import MAX_OVERLAP, choose
from atlas.examples.receptive import theoretical
from atlas.examples.sources import Item
from atlas.examples.view import Viewing


def test_choose_takes_the_best_and_passes_over_overlaps():
    boxes = np.array([[[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10], [0, 0, 10, 10]]])
    photos = np.array([[0, 0, 0, 1]])
    # The second covers 60 % of the first; the third only 20 %; the fourth is another photograph.
    assert choose(boxes, photos, 4).tolist() == [[0, 2, 3, -1]]
    blocked = np.array([[True, False, False, False]])
    assert choose(boxes, photos, 2, blocked).tolist() == [[1, 3]]


def test_a_small_crop_inside_a_large_one_is_the_same_place():
    boxes = np.array([[[0, 0, 100, 100], [10, 10, 20, 20]]])
    assert choose(boxes, np.zeros((1, 2), int), 2).tolist() == [[0, -1]]


@dataclass
class Windows:
    """Windows every 32 pixels of two made-up photographs."""

    spec = "windows"
    windows = True

    def __post_init__(self) -> None:
        rng = np.random.default_rng(0)
        self.photos = [
            Image.fromarray(rng.integers(0, 256, (8, 12, 3), dtype=np.uint8)).resize((384, 256))
            for _ in range(2)
        ]
        self.items = tuple(
            Item(f"{p}-{side}-{x}-{y}", "", str(p), (x, y, x + side, y + side))
            for p in range(2)
            for side in (128, 96)
            for y in range(0, 257 - side, 32)
            for x in range(0, 385 - side, 32)
        )

    def __len__(self) -> int:
        return len(self.items)

    def load(self, index):
        return self.photos[int(self.items[index].photo)].crop(self.items[index].box)

    def size(self, index):
        x0, y0, x1, y1 = self.items[index].box
        return x1 - x0, y1 - y0


def test_examples_out_of_windows_never_overlap_by_more_than_a_third(toy):
    source, viewing = Windows(), Viewing(64, 64)
    for layer in ("edges", "things"):
        field = theoretical(toy.path(layer))
        table = collect(toy, source, [layer], k=6, viewing=viewing).tables[layer]
        for channel in range(len(table.top_image)):
            places = []
            for side in ("top", "bottom"):
                images = getattr(table, f"{side}_image")[channel]
                values = getattr(table, f"{side}_value")[channel]
                positions = getattr(table, f"{side}_position")[channel]
                assert images[0] >= 0
                assert np.isfinite(values[images >= 0]).all()
                for image, position in zip(images.tolist(), positions.tolist(), strict=True):
                    if image >= 0:
                        x0, y0, x1, y1 = crop_box(field, position, source.size(image), viewing)
                        ox, oy = source.items[image].box[:2]
                        photo = source.items[image].photo
                        places.append((photo, x0 + ox, y0 + oy, x1 + ox, y1 + oy))
            for i, (photo, *a) in enumerate(places):
                for other, *b in places[:i]:
                    width = min(a[2], b[2]) - max(a[0], b[0])
                    height = min(a[3], b[3]) - max(a[1], b[1])
                    if photo == other and width > 0 and height > 0:
                        smaller = min((a[2] - a[0]) ** 2, (b[2] - b[0]) ** 2)
                        assert width * height <= MAX_OVERLAP * smaller


def test_the_first_window_is_the_best_of_all(toy):
    source, viewing = Windows(), Viewing(64, 64)
    table = collect(toy, source, ["shapes"], k=3, viewing=viewing).tables["shapes"]
    np.testing.assert_allclose(table.stats["max"], table.top_value[:, 0], rtol=1e-6)
    # The lowest may show the place of one of the highest, and is then passed over.
    assert (table.stats["min"] <= table.bottom_value[:, 0] + 1e-6).all()
    assert np.isclose(table.stats["min"], table.bottom_value[:, 0]).mean() > 0.5
