from dataclasses import replace

import pytest
from fake import HISTOGRAM, TOY_LAYERS, catalogue, channel, spectrum

from atlas.site.catalogue import HistogramRecord
from atlas.site.links import Links
from atlas.site.sheets import plan_sheets
from atlas.site.spectrum import LEAST, draw, spectrum_of

MIXED = TOY_LAYERS[1]


def view(**changes):
    record = channel(MIXED, 0, **changes)
    plan = plan_sheets(catalogue(channels=[record]), "avif")
    return spectrum_of(record, plan.spectrum[record.name], Links(None, {}))


def test_the_outline_is_cut_at_zero_and_to_scale():
    drawn = draw(HistogramRecord(-4.0, 2.0, (1, 0, 4, 4, 2)), -3.0, 5.0)
    assert drawn.below == "M0 200V150h1V200h1V200z"
    assert drawn.above == "M2 200V0h2V100h1V200z"
    assert drawn.zero == "37.50%"
    assert drawn.box == "0.5 0 4 200"  # from −3 to 5, in buckets of which the first begins at −4


@pytest.mark.parametrize(
    ("start", "below", "above"),
    [(2.0, "", "M0 200V0h2V200z"), (-4.0, "M0 200V0h2V200z", ""), (0.0, "", "M0 200V0h2V200z")],
)
def test_all_of_one_sign_is_one_outline_without_a_zero(start, below, above):
    drawn = draw(HistogramRecord(start, 2.0, (3, 3)), start + 0.5, start + 3.5)
    assert (drawn.below, drawn.above, drawn.zero) == (below, above, None)


def test_one_photograph_among_millions_is_seen():
    drawn = draw(HistogramRecord(0.0, 1.0, (1_000_000, 0, 1)), 0.0, 3.0)
    assert drawn.above == f"M0 200V0h1V200h1V{200 - LEAST}h1V200z"


def test_the_histogram_says_its_numbers():
    drawn = draw(HISTOGRAM, -45.0, 617.0)
    assert drawn.title == "Histogram of the maxima of 1,000 photographs, from −45.0 to 617"
    assert drawn.description == (
        "The tallest column stands for 400 photographs with a maximum between −16.0 and 0."
    )
    # 63 are below −16, 437 of the next 400 + 250 make half: 400 below 0 and 37 of 250 in [0, 16).
    assert drawn.median == "2.37"


def test_mean_and_deviation_come_from_the_middles_of_the_buckets():
    histogram = HistogramRecord(10.0, 2.0, (1, 0, 3))
    assert histogram.images == 4
    assert histogram.mean == pytest.approx((11 + 3 * 15) / 4)
    assert histogram.std == pytest.approx(3**0.5)


def test_bands_have_ranges_and_pictures_low_to_high():
    found = view()
    assert (found.low, found.high) == ("−45.0", "617")
    assert found.bands[0].span == "−45.0 to 21.2"
    assert [len(band.pictures) for band in found.bands] == [3, 3, 3, 3, 3, 3, 3, 0, 3, 3]
    assert found.bands[0].pictures[0].alt == "redbone, −22.9"


def test_a_photograph_without_a_label_is_called_by_its_file():
    found = view(spectrum=spectrum("mixed3a:0", labels=("",)))
    assert found.bands[0].pictures[0].alt == "0-0.jpg, −22.9"


def test_without_bands_there_is_no_spectrum_and_without_counts_no_drawing():
    assert view(spectrum=()) is None
    found = view(histogram=None)
    assert found.histogram is None
    assert len(found.bands) == 10


def test_a_histogram_counts_what_it_was_given():
    assert HISTOGRAM.images == 1000
    assert replace(HISTOGRAM, counts=(2,)).std == 0
