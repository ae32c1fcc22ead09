"""From a position on a layer's map to a crop of the source photograph."""

from __future__ import annotations

from atlas.examples.receptive import ReceptiveField
from atlas.examples.view import Frame


def crop_box(
    field: ReceptiveField, position: tuple[int, int], frame: Frame
) -> tuple[int, int, int, int]:
    """The square of the source that a map position sees, (x0, y0, x1, y1) in source pixels.

    As large as the receptive field, but no larger than the view: what lies beyond, the network
    never saw. At the border the square is shifted inside the view, never padded or stretched.

    Args:
        field: receptive field of the layer, in pixels of the view.
        position: (y, x) on the layer's map.
        frame: where the view lies in its source.
    """
    side = min(field.size, frame.crop)
    y, x = position

    def begin(at: int) -> float:
        return min(max(field.centre(at) - side / 2, 0.0), frame.crop - side)

    x0, y0 = frame.to_source(begin(x), begin(y))
    x1, y1 = frame.to_source(begin(x) + side, begin(y) + side)
    # Whole pixels, square to the pixel, inside the source.
    width, height = frame.source
    whole = min(max(1, round((x1 - x0 + y1 - y0) / 2)), width, height)
    left = min(max(0, round((x0 + x1 - whole) / 2)), width - whole)
    top = min(max(0, round((y0 + y1 - whole) / 2)), height - whole)
    return left, top, left + whole, top + whole
