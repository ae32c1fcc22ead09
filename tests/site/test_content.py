import pytest

from atlas.errors import ConfigError
from atlas.site.content import read_note, read_notes, render_markdown
from atlas.site.resources import shipped


def test_raw_html_is_shown_not_run():
    html = render_markdown("a <b onclick=x>b</b>\n\n<script>alert(1)</script>\n\n<img src=x>")
    assert "<script" not in html
    assert "<b " not in html
    assert "<img" not in html
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize(
    "target",
    [
        "javascript:alert(1)", "JaVaScRiPt:alert(1)", "javascript&#58;alert(1)",
        "java&#10;script:a", "data:text/html,x", "vbscript:x", "&#x6A;avascript:alert(1)",
    ],
)  # fmt: skip
def test_links_that_run_code_lose_their_target(target):
    for text in (f"[x]({target})", f"[x][y]\n\n[y]: {target}", f"<{target}>"):
        html = render_markdown(text)
        assert "href" not in html, html


def test_ordinary_links_stay():
    html = render_markdown("[a](method.html) [b](https://distill.pub/x?a=1&b=2)")
    assert '<a href="method.html">a</a>' in html
    assert 'href="https://distill.pub/x?a=1&amp;b=2"' in html


def test_pictures_from_elsewhere_become_their_words():
    html = render_markdown("![far](https://example.org/x.png) ![near](x.png) ![far](//e.org/x.png)")
    assert html.count("<img") == 1
    assert "<em>far</em>" in html


def test_title_and_summary(tmp_path):
    path = tmp_path / "a.md"
    path.write_text("---\ntitle: A title\n---\nOne *thing*. Another.\n\n## More\n\nText.", "utf-8")
    note = read_note(path)
    assert (note.name, note.title, note.summary) == ("a", "A title", "One <em>thing</em>.")
    assert note.lead.strip() == "<p>One <em>thing</em>. Another.</p>"
    assert note.rest.startswith('<h2 id="more">More</h2>')


def test_title_of_a_note_without_front_matter_is_its_heading(tmp_path):
    path = tmp_path / "a.md"
    path.write_text("# Heading\n\nText.", "utf-8")
    note = read_note(path)
    assert note.title == "Heading"
    assert "Heading" not in note.html


def test_a_note_that_is_not_text_is_named(tmp_path):
    path = tmp_path / "bad.md"
    path.write_bytes(b"\xff\xfe\x00x")
    with pytest.raises(ConfigError, match=r"bad\.md"):
        read_note(path)


def test_user_notes_come_before_shipped_ones(tmp_path):
    (tmp_path / "method.md").write_text("Mine.", "utf-8")
    notes = read_notes([tmp_path, shipped("content")])
    assert notes["method"].html == "<p>Mine.</p>"
    assert "index" in notes


def test_every_layer_of_googlenet_has_a_note():
    from fake import googlenet_layers

    notes = read_notes([shipped("content")], "layers")
    for layer in googlenet_layers():
        assert len(notes[layer.name].html) > 80, layer.name
