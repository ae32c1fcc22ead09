from dataclasses import replace

import pytest
from fake import LABELS, TOY_LAYERS, catalogue, channel, renders

from atlas.errors import ConfigError
from atlas.site.catalogue import LabelRecord, MemberRecord
from atlas.site.content import read_notes
from atlas.site.embeds import AtlasPictures, expand
from atlas.site.links import Links
from atlas.site.resources import shipped
from atlas.site.sheets import plan_sheets
from atlas.site.templates import Templates
from atlas.units import Layer


def members(*units):
    return tuple(
        MemberRecord(layer, int(index), 200.0, 2.5)
        for layer, index in (unit.split(":") for unit in units)
    )


@pytest.fixture
def atlas():
    layers = (replace(TOY_LAYERS[0], aliases=("conv1",)), *TOY_LAYERS[1:])
    channels = [
        channel(layers[0], 0),
        channel(layers[0], 1, renders=renders("conv2d0:1", ("negative",))),
        channel(layers[0], 2, examples=()),
        channel(layers[0], 3, renders=renders("conv2d0:3", started=False)),
        channel(layers[2], 7),
    ]
    record = LabelRecord("Great Dane", 50, members("mixed4c:7", "conv2d0:0"))
    return replace(catalogue(layers, channels), labels=[record])


@pytest.fixture
def shown(atlas, tmp_path):
    """Makes the note of a text, for the page of an article or of a layer, expanded."""
    plan = plan_sheets(atlas, "webp")
    links = Links(None, {"Great Dane": "classes/great-dane.html"})
    pages = {"a.html", "conv2d0/index.html"}
    templates = Templates((shipped("templates"),), {})

    def make(text, under="", links=links):
        name = "mixed4c" if under else "a"
        (tmp_path / "layers").mkdir(exist_ok=True)
        for other in ("conv2d0", "mixed5b", "mixed4c"):
            (tmp_path / f"layers/{other}.md").write_text("x", "utf-8")
        (tmp_path / under / f"{name}.md").write_text(text, "utf-8")
        note = read_notes([tmp_path], under)[name]
        return expand(note, AtlasPictures(atlas, plan, links, pages), templates)

    return make


def test_a_unit_in_a_paragraph_of_its_own(shown):
    html = shown('{{ unit mixed4c:7 "Two <b> words." }}').html
    assert html.count("<img") == 6
    assert html.index("<b>positive</b>") < html.index("<b>diverse</b>") < html.index("<b>negative")
    assert html.count('src="media/renders/mixed4c/7.webp"') == 6
    assert 'class="s n7 i1" src="media/renders/mixed4c/7.webp" width=48 height=48' in html
    assert '<figcaption><a href="mixed4c/7.html">mixed4c:7</a>. Two &lt;b&gt; words.' in html
    assert 'alt="mixed4c:7, positive: image optimized to excite the whole channel; its' in html


def test_one_kind_of_a_unit_on_a_layer_s_page(shown):
    html = shown("{{ unit mixed4c:7 negative }}", "layers").html
    assert html.count("<img") == 1
    assert 'src="../media/renders/mixed4c/7.webp"' in html
    assert '<a href="../mixed4c/7.html">mixed4c:7</a>' in html
    assert "<b>negative</b>" in html


def test_aliases_case_and_leading_zeros_name_the_same_unit(shown):
    note = shown(
        "{{ unit conv1:0 }} {{ unit CONV2D0:00 }} {{ unit Conv1:0 'x' }}".replace("'", '"')
    )
    assert note.html.count('href="conv2d0/0.html"') == 3
    assert '<a href="conv2d0/0.html">x</a>' in note.html


def test_a_row(shown):
    html = shown('{{ row mixed4c:7 conv2d0:1 conv2d0:5 mixed9z:1 "Some." }}').html
    assert html.count("<li>") == 2
    assert '<a href="mixed4c/7.html"><img class="s n7 i1"' in html
    assert '<a href="conv2d0/1.html"><span class="blank">no image</span><span>conv2d0:1' in html
    assert "<b>positive</b> Some. (not in this atlas: conv2d0:5, mixed9z:1)" in html


def test_photographs(shown):
    html = shown("{{ examples mixed4c:7 3 }}").html
    assert html.count("<li>") == 3
    assert f"<bdi>{LABELS[0]}</bdi> <b>617</b>" in html
    assert f'alt="mixed4c:7 high: {LABELS[0]}"' in html
    assert "<figure" not in shown("{{ examples conv2d0:2 }}").html
    assert "Photographs for conv2d0:2, not in this atlas" in shown("{{ examples conv2d0:2 }}").html


def test_a_class(shown):
    html = shown('{{ class "great dane" "Tall." }}').html
    assert html.index('href="mixed4c/7.html"') < html.index('href="conv2d0/0.html"')
    assert html.count("<img") == 2
    assert '<a href="classes/great-dane.html">Great Dane</a>, the most so first. Tall.' in html


def test_inside_a_sentence_they_are_links(shown):
    note = shown('See {{ unit mixed4c:7 }}, {{ unit mixed4c:7 "it" }}, {{ class "Great Dane" }}.')
    assert note.html == (
        '<p>See <a href="mixed4c/7.html">mixed4c:7</a>, <a href="mixed4c/7.html">it</a>, '
        '<a href="classes/great-dane.html">Great Dane</a>.</p>'
    )


def test_the_summary_is_seen_from_the_root(shown):
    note = shown("See {{ unit mixed4c:7 }}. More.", "layers")
    assert note.summary == 'See <a href="mixed4c/7.html">mixed4c:7</a>.'
    assert '<a href="../mixed4c/7.html">' in note.html


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("{{ unit mixed4c:8 }}", '<p class="absent">mixed4c:8, not in this atlas</p>'),
        (
            '{{ row mixed4c:8 gone:1 "<i>Two</i>" }}',
            '<p class="absent">mixed4c:8, gone:1, not in this atlas: &lt;i&gt;Two&lt;/i&gt;</p>',
        ),
        ("{{ examples gone:1 }}", '<p class="absent">gone:1, not in this atlas</p>'),
        (
            '{{ class "<b>" }}',
            '<p class="absent">The class &lt;b&gt;, not in this atlas</p>',
        ),
        (
            "{{ unit conv2d0:1 diverse }}",
            '<p class="absent">diverse images of conv2d0:1, not in this atlas</p>',
        ),
        ("x {{ unit gone:1 }}", "<p>x gone:1 (not in this atlas)</p>"),
        ('x {{ unit gone:1 "it" }}', "<p>x it (gone:1, not in this atlas)</p>"),
        ("x {{ class tench }}", "<p>x tench (not in this atlas)</p>"),
    ],
)
def test_what_the_atlas_does_not_have_is_said(shown, text, html):
    assert shown(text).html == html


def test_a_render_that_failed_is_said_to_have(shown):
    html = shown("{{ unit conv2d0:3 positive }}").html
    assert '<span class="v">failed</span>' in html
    assert 'alt="conv2d0:3, positive: failed' in html


def test_links_to_pages_that_are_not_there_become_text(shown):
    note = shown(
        "[a](layers/conv2d0.md#x) [b](layers/mixed5b.md) [c](mixed5b/index.html) [d](https://e.org)"
    )
    assert note.html == (
        '<p><a href="conv2d0/index.html#note-x">a</a> <a>b</a> <a>c</a> '
        '<a href="https://e.org">d</a></p>'
    )


def test_pictures_may_be_on_another_host(shown):
    html = shown("{{ unit mixed4c:7 }}", links=Links("https://media.example/", {})).html
    assert html.count('src="https://media.example/media/renders/mixed4c/7.webp"') == 6


def test_hostile_labels_and_names_show_as_text(tmp_path):
    bad = '"><img src=x onerror=alert(1)>\u202e'
    layer = Layer(bad.replace(" ", "/"), TOY_LAYERS[0].branches)
    one = channel(layer, 0, examples=tuple(
        replace(e, label=bad) for e in channel(TOY_LAYERS[0], 0).examples
    ))  # fmt: skip
    hostile = catalogue((*TOY_LAYERS, layer), [channel(TOY_LAYERS[0], 0), one])
    record = LabelRecord("bad", 5, (MemberRecord(layer.name, 0, 1.0, 1.0),))
    hostile = replace(hostile, labels=[record])
    (tmp_path / "a.md").write_text("{{ class bad }}\n{{ examples conv2d0:0 }}", "utf-8")
    pictures = AtlasPictures(
        hostile, plan_sheets(hostile, "webp"), Links(None, {"bad": "classes/bad.html"}), ()
    )
    html = expand(
        read_notes([tmp_path])["a"], pictures, Templates((shipped("templates"),), {})
    ).html
    assert "onerror" in html
    assert "<img src=x" not in html
    assert "&#34;&gt;&lt;img" in html
    assert "\u202e" not in html


def test_a_broken_template_of_the_user_is_one_error(atlas, tmp_path):
    (tmp_path / "_shortcodes.html.jinja").write_text("{% if %}", "utf-8")
    (tmp_path / "a.md").write_text("{{ unit mixed4c:7 }}", "utf-8")
    pictures = AtlasPictures(atlas, plan_sheets(atlas, "webp"), Links(None, {}), ())
    templates = Templates((tmp_path, shipped("templates")), {})
    with pytest.raises(ConfigError, match=r"template _shortcodes\.html\.jinja, line 1"):
        expand(read_notes([tmp_path])["a"], pictures, templates)
