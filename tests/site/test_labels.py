"""Classes: a page for each that some channel answers to, and one that lists them."""

from dataclasses import replace

import pytest
from building import MIXED, build, elements, page_of, small
from fake import LABELS, catalogue, channel, classes

from atlas.site.catalogue import LabelRecord, MemberRecord
from atlas.site.labels import by_initial, label_pages, members_of

MEMBERS = (
    MemberRecord("mixed3a", 2, 812.4, 3.456),
    MemberRecord("mixed4c", 7, -0.25, 0.5),
    MemberRecord("mixed3a", 0, 7.0, 0.0312),
)


def atlas_of(labels, members=MEMBERS[:1]):
    """An atlas of three channels with these classes."""
    records = [LabelRecord(label, 50, tuple(members)) for label in labels]
    return replace(small(), labels=records)


def test_only_classes_with_a_channel_and_a_name_have_a_page():
    records = [
        LabelRecord("with", 5, MEMBERS), LabelRecord("without", 5, ()),
        LabelRecord("\u202e \x00", 5, MEMBERS),
    ]  # fmt: skip
    pages = label_pages(replace(small(), labels=records))
    assert [(page.title, page.path) for page in pages] == [("with", "classes/with.html")]


def test_pages_are_in_the_order_of_their_titles():
    pages = label_pages(atlas_of(["beta", "Alpha", "\u202eAlp", "Ärger", "gamma"]))
    assert [page.title for page in pages] == ["Alp", "Alpha", "beta", "gamma", "Ärger"]


def test_titles_are_cut_and_paths_are_not_from_them():
    (page,) = label_pages(atlas_of(["x" * 5000]))
    assert page.title == "x" * 79 + "…"
    assert page.path == f"classes/{'x' * 60}.html"


def test_initials_are_capitals_and_what_has_none_is_together():
    pages = label_pages(atlas_of(["apple", "Avocado", "bee", "7 dwarfs", '"quoted"', "épée"]))
    found = [(initial, [page.title for page in some]) for initial, some in by_initial(pages)]
    assert found == [
        ("#", ['"quoted"', "7 dwarfs"]), ("A", ["apple", "Avocado"]), ("B", ["bee"]),
        ("É", ["épée"]),
    ]  # fmt: skip


def test_members_have_their_page_and_numbers():
    found = members_of(LabelRecord("a", 5, MEMBERS), {})
    assert [(one.name, one.page, one.mean, one.selectivity, one.picture) for one in found] == [
        ("mixed3a:2", "../mixed3a/2.html", "812", "3.46", None),
        ("mixed4c:7", "../mixed4c/7.html", "−0.25", "0.5", None),
        ("mixed3a:0", "../mixed3a/0.html", "7.00", "0.0312", None),
    ]


@pytest.fixture(scope="module")
def text(toy_site):
    return page_of(toy_site, "classes/papillon.html")


def test_a_page_shows_its_channels_by_their_pictures(text):
    tiles = text.split('<ol class="grid roomy">')[1].split("</ol>")[0].split("<li>")[1:]
    assert len(tiles) == 24
    assert 'href="../mixed3a/0.html"' in tiles[8]
    assert 'src="../media/layers/mixed3a-00.jpg"' in tiles[8]
    assert 'alt="mixed3a:0, positive: image optimized' in tiles[8]
    assert "1.50 σ, mean 180" in tiles[8]


def test_a_page_says_what_the_numbers_are(text):
    assert "<h1><bdi>papillon</bdi></h1>" in text
    assert "The 24 channels that single this class out most" in text
    assert "over its 50 photographs the mean of the maxima" in text


def test_pages_lead_to_those_before_and_after(text, toy_site):
    assert '<a rel="prev" href="../classes/norfolk-terrier.html">' in text
    assert '<a rel="next" href="../classes/pembroke.html">' in text
    assert 'rel="prev"' not in page_of(toy_site, "classes/afghan-hound.html")
    assert 'rel="next"' not in page_of(toy_site, "classes/redbone.html")


def test_a_class_of_one_photograph_is_honest_about_it(tmp_path):
    build(tmp_path, small(classes=classes(("owl",), 1)))
    text = page_of(tmp_path, "classes/owl.html")
    assert "over its one photograph the maximum is" in text
    assert "One photograph says little of a class" in text
    assert "1 photographs" not in text


def test_a_channel_without_renders_is_named_without_a_picture(tmp_path):
    channels = [channel(MIXED, 0, renders=()), channel(MIXED, 1)]
    build(tmp_path, catalogue(channels=channels))
    tiles = page_of(tmp_path, "classes/redbone.html").split("<li>")[1:]
    assert '<span class="blank">no render</span><b>mixed3a:0</b>' in tiles[0]
    assert "<img" in tiles[1]


def test_the_list_has_every_class_under_its_initial(toy_site):
    text = page_of(toy_site, "classes/index.html")
    links = [a["href"] for tag, a in elements(text.split("<dl")[1]) if tag == "a"]
    pages = ["afghan-hound", "dogsled", "norfolk-terrier", "papillon", "pembroke", "redbone"]
    assert links[:6] == [f"../classes/{name}.html" for name in pages]
    names = [text.split(f'<dt id="c-{i}">')[1][0] for i in range(1, 6)]
    assert names == ["A", "D", "N", "P", "R"]


@pytest.mark.parametrize(("amount", "there"), [(40, False), (41, True)])
def test_a_long_list_has_a_row_of_initials(tmp_path, amount, there):
    build(tmp_path, atlas_of([f"{chr(97 + i % 26)} {i}" for i in range(amount)]))
    text = page_of(tmp_path, "classes/index.html")
    links = [a["href"] for tag, a in elements(text.split("<dl")[0]) if tag == "a"]
    assert [link for link in links if link.startswith("#c-")] == [
        f"#c-{i}" for i in range(1, 27) if there
    ]


def test_a_channel_leads_to_the_pages_of_its_classes(toy_site):
    table = page_of(toy_site, "mixed3a/5.html").split('aria-labelledby="classes"')[1]
    links = [a["href"] for tag, a in elements(table.split("</table>")[0]) if tag == "a"]
    assert set(links) == {f"../classes/{label.lower().replace(' ', '-')}.html" for label in LABELS}


def test_every_page_leads_to_the_list_if_there_are_classes(toy_site, tmp_path):
    assert '<a href="../classes/index.html">Classes</a>' in page_of(toy_site, "mixed3a/5.html")
    assert '<a href="classes/index.html">Classes</a>' in page_of(toy_site, "method.html")
    build(tmp_path, small(classes=()))
    assert "classes/index.html" not in page_of(tmp_path, "mixed3a/0.html")
    assert not (tmp_path / "classes").exists()


HOSTILE = (
    '"><script>alert(1)</script><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "../../../etc/passwd",
    "\u202eevil\x00\udcff",
    "A" * 5000,
    "&amp; {{ atlas.title }} {% raw %}",
)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    out = tmp_path_factory.mktemp("hostile")
    build(out, atlas_of(HOSTILE))
    return out


def test_hostile_labels_have_pages_inside_of_their_folder(hostile):
    names = {path.name for path in (hostile / "classes").iterdir()}
    assert names == {
        "index.html", "script-alert-1-script-img-src-x-onerror-alert-1.html",
        "javascript-alert-1.html", "etc-passwd.html", "evil.html", f"{'a' * 60}.html",
        "amp-atlas-title-raw.html",
    }  # fmt: skip


def test_hostile_labels_are_only_text(hostile):
    for path in (hostile / "classes").iterdir():
        text = path.read_text("utf-8")
        tags = elements(text)
        assert not any("onerror" in attributes for _, attributes in tags)
        assert all("src" in attributes for tag, attributes in tags if tag == "script")
        assert not any("javascript:" in attributes.get("href", "") for _, attributes in tags)
        assert not any(mark in text for mark in ("\u202e", "\x00", "A" * 100))
    listed = page_of(hostile, "classes/index.html")
    assert "<bdi>&#34;&gt;&lt;script&gt;alert(1)" in listed
    assert "<bdi>&amp;amp; {{ atlas.title }} {% raw %}</bdi>" in listed


def test_labels_that_would_share_a_file_have_pages_of_their_own(tmp_path):
    labels = ["crane", "Crane", "index", "猫", "猫!"]
    build(tmp_path, atlas_of(labels))
    found = {}
    for path in (tmp_path / "classes").glob("*.html"):
        title = path.read_text("utf-8").split("<h1>")[1].split("</h1>")[0]
        found[title.removeprefix("<bdi>").removesuffix("</bdi>")] = path.name
    assert found.keys() == {*labels, "Classes"}
    assert found["Classes"] == "index.html"
    assert found["crane"] == "crane.html"
    assert found["Crane"].startswith("crane-")
