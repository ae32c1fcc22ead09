import pytest

from atlas.site.text import clean, listed, number, percent, short, slug


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1240.4, "1,240"), (617.0, "617"), (61.54, "61.5"), (9.996, "10.0"), (2.345, "2.35"),
        (0.0345, "0.0345"), (0.0, "0"), (-0.0, "0"), (-229.3, "−229"), (-0.004, "−0.004"),
        (99.96, "100"), (1e-9, "1.00e-09"), (float("nan"), "not a number"), (float("-inf"), "−∞"),
    ],
)  # fmt: skip
def test_number_keeps_three_figures(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0 %"), (0.001, "less than 1 %"), (0.24, "24 %"), (0.999, "over 99 %"), (1.0, "100 %")],
)
def test_percent_never_rounds_something_to_nothing(share, text):
    assert percent(share) == text


def test_clean_cuts_long_text_and_drops_direction_marks():
    assert clean("a\x00b\u202ec\n d") == "a b c d"
    assert len(clean("x" * 5000, 90)) == 90
    assert clean("bad \udcff name").isprintable()


@pytest.mark.parametrize(
    ("parts", "text"), [((), ""), (("a",), "a"), (("a", "b"), "a and b"), ("abc", "a, b and c")]
)
def test_listed(parts, text):
    assert listed(parts) == text


@pytest.mark.parametrize("name", ["mixed4c", "layer1.0.conv1", "a_b-c"])
def test_harmless_names_are_their_own_folder(name):
    assert slug(name) == name


@pytest.mark.parametrize("name", ["../up", "a/b", "static", "Media", ".hidden", "", "a b", "ends."])
def test_other_names_get_a_folder_of_their_own(name):
    assert slug(name).startswith("layer-")
    assert slug(name) != slug(name + "x")


def test_short_names():
    assert [short(n) for n in ("conv2d0", "mixed4c", "layer1.0")] == ["c0", "4c", "layer1.0"]
