"""What a channel's page says, whatever of it is known."""

from dataclasses import replace

import pytest
from building import MIXED, QUICK, build, elements, page_of, small
from fake import (
    LABELS,
    catalogue,
    channel,
    classes,
    examples,
    googlenet_layers,
    renders,
    spectrum,
    whole,
)

from atlas.site.catalogue import SimilarRecord
from atlas.site.text import number


@pytest.fixture(scope="module")
def seven(toy_site):
    return page_of(toy_site, "mixed4c/7.html")


def test_the_page_says_what_the_data_says(seven):
    lede = seven.split('<p class="lede">')[1].split("</p>")[0]
    assert "<b><bdi>redbone</bdi></b>, <b><bdi>Norfolk terrier</bdi></b> and" in lede
    assert "fires somewhere in 24 % of 1,000 photographs" in lede
    first = renders("mixed4c:7")[1]
    command = "atlas show mixed4c:7 --model toy --kinds positive --size 48 --steps 512 --seed "
    assert f"{command}{first.seed}<" in seven
    assert f"{number(first.activation / 50)} ×" in seven
    assert '<a rel="prev" href="6.html">' in seven
    assert '<a rel="next" href="8.html">' in seven


def test_what_was_achieved_is_a_row_a_render(tmp_path):
    made = renders("mixed3a:0", ("positive", "diverse"))
    made = (
        replace(made[0], share=2.5, robust=61.25),
        replace(made[1], reason="overflowed"),
        *made[2:],
    )
    build(tmp_path, small(renders=made))
    table = page_of(tmp_path, "mixed3a/0.html").split('<table class="renders">')[1]
    first, second, *rest = table.split("</table>")[0].split("<tr>")[2:]
    cells = [cell.split("</")[0].rpartition(">")[2] for cell in first.split("<td>")[1:]]
    score, digest = number(made[0].activation), made[0].recipe_sha256
    assert cells == [score, "2.50 ×", "61.2", str(made[0].seed), digest[:10]]
    assert '<th scope="row">diverse 1</th><td>overflowed</td><td>–</td>' in second
    assert len(rest) == 3


@pytest.mark.parametrize(
    "kinds", [(), ("positive",), ("diverse",), ("neuron",), ("negative",), ("neuron", "negative")]
)
@pytest.mark.parametrize("with_examples", [True, False])
def test_any_subset_of_kinds_makes_a_page(tmp_path, kinds, with_examples):
    changes = {"renders": renders("mixed3a:0", kinds), "stats": {}}
    if not with_examples:
        changes |= {"examples": (), "spectrum": (), "classes": ()}
    build(tmp_path, replace(small(**changes), dataset=None))
    page = page_of(tmp_path, "mixed3a/0.html")
    for kind in ("positive", "diverse", "neuron", "negative"):
        assert (f"{kind.capitalize()}.</b>" in page) == (kind in kinds)
    assert ("Photographs that agree" in page) == with_examples


def test_the_best_are_shown_and_the_rest_are_a_click_away(tmp_path):
    build(tmp_path, small(examples=examples("mixed3a:0", 30)))
    agree, other = page_of(tmp_path, "mixed3a/0.html").split('<h2 id="other">')
    other = other.split('<h2 id="spectrum">')[0]
    for part, amount, more in ((agree, 25, 5), (other, 10, 20)):
        shown, behind = part.split(f"<summary>{more} more</summary>")
        assert shown.split('<ul class="photos')[1].count("<img") == amount
        assert behind.split("</details>")[0].count("<img") == more


def test_the_spectrum_and_the_classes_are_on_the_page(seven):
    drawn = seven.split('<svg class="drawn"')[1].split("<ol")[0]
    assert 'role="img" aria-labelledby="drawn-t drawn-d"' in drawn
    assert '<title id="drawn-t">Histogram of the maxima of 1,000 photographs' in drawn
    assert '<path class="neg" d="M0 200V' in drawn
    bands = seven.split('<ol class="bands">')[1].split("</ol>")[0].split("<li>")[1:]
    assert [band.count("<img") for band in bands] == [3, 3, 3, 3, 3, 3, 3, 0, 3, 3]
    assert "<b>−45.0 to 21.2</b>" in bands[0]
    assert '<span class="none">none</span>' in bands[7]
    table = seven.split('aria-labelledby="classes"')[1].split("</table>")[0]
    assert table.count("<tr>") == 1 + len(LABELS) + 1
    assert "<bdi>papillon</bdi>" in table
    assert '<rect width="60%"' in table


def test_similar_channels_are_shown_by_their_pictures(toy_site):
    items = (
        page_of(toy_site, "mixed3a/5.html")
        .split('<ul class="alike">')[1]
        .split("</ul>")[0]
        .split("<li>")[1:]
    )
    links = [dict(elements(item))["a"]["href"] for item in items]
    assert links == ["6.html", "../mixed4c/27.html", "4.html"]
    pictures = [dict(elements(item))["img"] for item in items]
    assert [one["class"] for one in pictures] == [f"s n47 i{i}" for i in (44, 45, 46)]
    assert {one["src"] for one in pictures} == {"../media/examples/mixed3a/5.jpg"}
    assert [one["alt"] for one in pictures] == [
        "mixed3a:6, positive", "mixed4c:27, positive", "mixed3a:4, positive",
    ]  # fmt: skip
    assert [item.split("</b> ")[1][:4] for item in items] == ["0.75", "0.62", "0.50"]


def test_the_picture_of_a_similar_channel_is_called_what_it_is(tmp_path):
    channels = [
        channel(MIXED, 0),
        channel(MIXED, 1, renders=renders("x", ("negative",))),
        channel(MIXED, 2, renders=()),
    ]
    build(tmp_path, catalogue(channels=channels))
    items = page_of(tmp_path, "mixed3a/0.html").split('<ul class="alike">')[1].split("<li>")[1:]
    assert 'alt="mixed3a:1, negative"' in items[0]
    assert '<a href="2.html"><b>mixed3a:2</b>' in items[1]


def test_without_similar_channels_there_is_nothing_about_them(tmp_path):
    build(tmp_path, small(classes=()))
    assert "alike" not in page_of(tmp_path, "mixed3a/0.html")


def test_the_strongest_photograph_is_shown_whole(tmp_path):
    channels = [
        channel(MIXED, 0),
        channel(MIXED, 1, whole=whole("mixed3a:1", fires=False)),
        channel(MIXED, 2, whole=None),
        channel(MIXED, 3, classes=()),
        channel(MIXED, 4, classes=(), whole=None),
    ]
    build(tmp_path, catalogue(channels=channels))
    pages = [page_of(tmp_path, f"mixed3a/{i}.html") for i in range(5)]
    figure = pages[0].split("<b>Where it fires.</b>")
    assert figure[0].split("<figure>")[-1].count('src="../media/examples/mixed3a/whole-000') == 2
    assert "then lit where the channel fires, and ringed above half" in figure[1]
    assert "unlit, as the channel is nowhere in it above zero" in pages[1]
    assert ["Where it fires" in page for page in pages] == [True, True, False, True, False]
    assert ['class="agree alone"' in page for page in pages] == [False] * 4 + [True]


@pytest.mark.parametrize("lacking", ["spectrum", "histogram", "classes"])
def test_a_page_does_without_what_the_dataset_lacks(tmp_path, lacking):
    build(tmp_path, small(**{lacking: None if lacking == "histogram" else ()}))
    page = page_of(tmp_path, "mixed3a/0.html")
    assert ('id="spectrum"' in page) == (lacking != "spectrum")
    assert ('class="drawn"' in page) == (lacking == "classes")
    assert ("Strongest classes" in page) == (lacking != "classes")


def test_scores_are_not_compared_without_a_best_score(tmp_path):
    build(tmp_path, small(stats={"max": 617.0}))
    page = page_of(tmp_path, "mixed3a/0.html")
    assert "The positive render against the best photograph" not in page
    assert 'class="big"' not in page


def test_a_render_that_failed_is_marked_with_the_reason(tmp_path):
    one, *four = renders("mixed3a:0", ("positive", "diverse"))
    why = "overflowed after 8 steps"
    made = (replace(one, reason=why), replace(four[0], reason=why), *four[1:])
    build(tmp_path, small(renders=made))
    page = page_of(tmp_path, "mixed3a/0.html")
    assert f"Failed: {why}. This is where the optimization stopped, not something" in page
    assert f"1 of 4 failed ({why}) and show only where" in page
    assert f'alt="mixed3a:0, positive: failed, {why}"' in page
    assert "The positive render against the best photograph" not in page
    assert "0 · failed</a>" in page_of(tmp_path, "mixed3a/index.html")


def test_a_render_that_did_not_fail_is_not_marked(tmp_path):
    build(tmp_path, small(renders=renders("mixed3a:0", ("positive", "diverse"))))
    assert "failed" not in page_of(tmp_path, "mixed3a/0.html")
    assert "failed" not in page_of(tmp_path, "mixed3a/index.html")


LAYERS = googlenet_layers()


def fullest(length):
    """An atlas of as much as a page has to show, with labels of `length` characters: 25
    photographs a side, all bands full, ten classes with pages, six channels like it; and one
    channel of every layer, for a header as long as it gets."""
    unit, labels = (
        "mixed5b:1023",
        tuple(f"{name} breed of great old shepherd dogs"[:length] for name in "abcdefghij"),
    )
    shown = tuple(
        replace(one, activation=-234.5, source=f"n02100236/n02100236_{one.side[:3]}{one.rank}.JPEG")
        for one in examples(unit, 25, labels)
    )
    stats = {"min": -1234.5, "max": 1234.5, "mean": -123.4, "std": 123.4, "fires": 0.005,
             "images": 1_281_167.0, "best_score": 123.4}  # fmt: skip
    like = tuple(SimilarRecord("mixed5b", index, 0.95) for index in range(1017, 1023))
    full = channel(
        LAYERS[-1], 1023, renders=renders(unit, size=224), examples=shown, stats=stats,
        spectrum=spectrum(unit, labels=labels, empty=()), whole=whole(unit, labels),
        classes=tuple(replace(one, selectivity=1.0) for one in classes(labels, 1300)),
        similar=like,
    )  # fmt: skip
    others = [channel(layer, 0, classes=()) for layer in LAYERS]
    others += [channel(LAYERS[-1], one.index, classes=()) for one in like]
    return catalogue(LAYERS, [*others, full])


TOO_LONG = pytest.mark.xfail(reason="31,938 bytes: there is more to say than room for it")


@pytest.mark.parametrize("length", [16, pytest.param(30, marks=TOO_LONG)])
def test_the_fullest_channel_page_keeps_within_its_budget(tmp_path, length):
    build(tmp_path, fullest(length), replace(QUICK, url="https://someone.github.io/channel-atlas"))
    page = (tmp_path / "mixed5b" / "1023.html").read_bytes()
    assert page.count(b"<img") == 7 + 2 + 2 * 25 + 30 + 6
    assert page.count(b'href="../classes/') == 1 + 10
    assert len(page) <= 30_000
