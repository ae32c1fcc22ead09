"""The pages of a site: what all of them keep to, and those that there is one of."""

from dataclasses import replace

import pytest
from building import MIXED, QUICK, build, elements, page_of, small
from fake import (
    TOY_LAYERS,
    catalogue,
    channel,
    classes,
    examples,
    googlenet_layers,
    spectrum,
)

from atlas.site.catalogue import SimilarRecord
from atlas.site.network import draw


def every_page(out):
    return {
        path.relative_to(out).as_posix(): path.read_text("utf-8") for path in out.rglob("*.html")
    }


def test_the_recipe_stands_in_full_on_a_page_of_its_own(toy_site):
    page = page_of(toy_site, "recipe.html")
    rows = page.split("<tbody>")[1].split("</tbody>")[0].split("<tr>")[1:]
    cells = [row.split("<code>")[1].split("</code></th><td>") for row in rows]
    assert [(key, value.split("</td>")[0]) for key, value in cells] == [
        ("parameterization", "fourier, colours decorrelated"), ("optimizer", "adam"),
        ("learning_rate", "0.05"), ("steps", "512"), ("transforms.jitter", "16, 8"),
        ("transforms.pad", "16"),
    ]  # fmt: skip
    links = [a["href"] for tag, a in elements(page.split("<main")[1]) if tag == "a"]
    assert {"manifest.json", "tables/channels.csv", "tables/examples.parquet"} <= {*links}
    assert '<a href="../recipe.html">The recipe in full</a>' in page_of(toy_site, "mixed4c/7.html")


def test_nothing_runs_or_is_styled_inside_of_a_page(toy_site):
    for path, text in every_page(toy_site).items():
        root = "../" * path.count("/")
        found = elements(text)
        scripts = [attributes["src"] for tag, attributes in found if tag == "script"]
        assert all(src.startswith(f"{root}static/js/") for src in scripts), path
        assert text.count("<script") == text.count("></script>") == len(scripts)
        assert not [tag for tag, _ in found if tag in ("style", "iframe", "object", "embed")]
        names = {name for _, attributes in found for name in attributes}
        assert not {name for name in names if name == "style" or name.startswith("on")}


def test_every_page_has_the_strict_policy_before_anything_is_loaded(toy_site):
    for text in every_page(toy_site).values():
        found = elements(text)
        first = min(i for i, (tag, _) in enumerate(found) if tag in ("script", "link", "img"))
        (policy,) = (
            attributes["content"]
            for tag, attributes in found[:first]
            if attributes.get("http-equiv") == "Content-Security-Policy"
        )
        assert policy == (
            "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; "
            "base-uri 'none'; form-action 'none'"
        )


def test_links_lead_to_files_in_the_site(toy_site):
    for path, text in every_page(toy_site).items():
        for tag, attributes in elements(text):
            for name in ("href", "src"):
                target = attributes.get(name, "").partition("#")[0]
                if not target or target.startswith(("https://", "mailto:")):
                    continue
                found = (toy_site / path).parent / target
                assert found.is_file(), (path, tag, target)
                assert found.resolve().is_relative_to(toy_site)


def test_pictures_say_what_is_in_them_and_how_large_they_are(toy_site):
    for path, text in every_page(toy_site).items():
        for tag, attributes in elements(text):
            if tag == "img":
                assert attributes["alt"].strip(), path
                assert int(attributes["width"]) == int(attributes["height"]) > 0


def test_hostile_text_is_only_text(tmp_path):
    bad = '"><script>alert(1)</script><img src=x onerror=alert(1)>' + "A" * 5000
    bad += "\x00\u202e\udcff"
    atlas = small(
        examples=examples("x", labels=(bad,)),
        spectrum=spectrum("x", labels=(bad,)),
        classes=classes((bad,)),
    )
    build(tmp_path, replace(atlas, title=bad, model=replace(atlas.model, title=bad)))
    for path, text in every_page(tmp_path).items():
        found = elements(text)
        assert not [attributes for _, attributes in found if "onerror" in attributes], path
        assert all("src" in attributes for tag, attributes in found if tag == "script")
        assert not any(mark in text for mark in ("A" * 200, "\x00", "\u202e"))
    assert "&lt;script&gt;alert(1)" in page_of(tmp_path, "mixed3a/0.html")


def test_two_channels_are_offered_for_comparison(tmp_path):
    def offered(*channels):
        build(tmp_path, replace(catalogue(channels=channels), channels=list(channels)))
        return (tmp_path / "compare.html").read_text("utf-8")

    first, second, third = (channel(MIXED, i, similar=()) for i in (2, 5, 9))
    page = offered(first, second, third)
    assert '<a href="compare.html#mixed3a:5,mixed3a:9">mixed3a:5 and mixed3a:9</a>' in page
    near = replace(second, similar=(SimilarRecord("mixed3a", 9, 0.5),))
    nearer = replace(third, similar=(SimilarRecord("mixed3a", 2, 0.8),))
    assert '<a href="compare.html#mixed3a:9,mixed3a:2">' in offered(first, near, nearer)
    assert "For example" not in offered(first)


def test_user_templates_and_notes_come_first(tmp_path):
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "404.html.jinja").write_text("gone from {{ atlas.title }}")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "colophon.md").write_text("---\ntitle: Colophon\n---\nHello.")
    options = replace(QUICK, templates=tmp_path / "t", content=tmp_path / "c")
    build(tmp_path / "out", small(), options)
    assert page_of(tmp_path / "out", "404.html") == "gone from A toy atlas"
    assert "<p>Hello.</p>" in page_of(tmp_path / "out", "colophon.html")
    assert 'href="../colophon.html"' in page_of(tmp_path / "out", "mixed3a/0.html")


def test_a_note_on_the_sample_photographs_is_shown_with_them_only(tmp_path):
    sample = replace(small(), dataset=replace(small().dataset, source="sample"))
    build(tmp_path / "sample", sample)
    build(tmp_path / "other", small())
    assert (tmp_path / "sample" / "photographs.html").is_file()
    assert not (tmp_path / "other" / "photographs.html").exists()


def test_layers_without_channels_are_quiet_and_have_no_links(toy_site):
    index = page_of(toy_site, "index.html")
    assert "None of its 16 channels in this atlas." in index
    assert "mixed5b/index.html" not in index
    assert not (toy_site / "mixed5b").exists()


def test_the_index_counts_photographs_where_there_are_any(toy_site, tmp_path):
    words = "with the strongest and weakest of 1,000 photographs for each"
    assert words in page_of(toy_site, "index.html")
    build(tmp_path, small(examples=(), spectrum=(), classes=()))
    assert "strongest and weakest" not in page_of(tmp_path, "index.html")


def test_heights_and_widths_of_the_drawing_are_to_scale():
    blocks = {b.layer.name: b for b in draw(googlenet_layers(), {"mixed4c": 3})}
    assert blocks["conv2d0"].height / blocks["mixed5b"].height == 16
    widths = {name: sum(p.width for p in b.parts) for name, b in blocks.items()}
    assert widths["mixed5b"] / widths["conv2d0"] == pytest.approx(1024 / 64)
    assert [b for b in blocks.values() if b.page] == [blocks["mixed4c"]]


def test_many_layers_are_on_the_first_page_and_not_in_the_header(tmp_path):
    layers = tuple(replace(TOY_LAYERS[0], name=f"layer{i}") for i in range(17))
    build(tmp_path, catalogue(layers, [channel(layers[0], 0)]))
    page = page_of(tmp_path, "layer0/0.html")
    assert 'aria-label="Layers"' not in page
    assert "layer16" in page_of(tmp_path, "index.html")
