import pytest
from fake import googlenet_layers

from atlas.errors import ConfigError
from atlas.site.content import LARGEST, page_name, read_note, read_notes
from atlas.site.resources import shipped
from atlas.site.shortcodes import Shortcode


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_title_and_summary(tmp_path):
    path = write(
        tmp_path, "a.md", "---\ntitle: A title\n---\nOne *thing*. Another.\n\n## More\n\nx"
    )
    note = read_note(path)
    assert (note.name, note.title, note.summary) == ("a", "A title", "One <em>thing</em>.")
    assert note.lead.strip() == "<p>One <em>thing</em>. Another.</p>"
    assert note.rest.startswith('<h2 id="note-more">More</h2>')


def test_title_of_a_note_without_front_matter_is_its_heading(tmp_path):
    note = read_note(write(tmp_path, "a.md", "# The *heading*\n\nText."))
    assert note.title == "The heading"
    assert note.html == "<p>Text.</p>"


def test_without_either_it_is_the_name_of_the_file(tmp_path):
    assert read_note(write(tmp_path, "Some note.md", "Text.")).title == "Some note"


def test_the_summary_of_the_front_matter_comes_before_the_first_sentence(tmp_path):
    note = read_note(write(tmp_path, "a.md", "---\nSummary: 'In *short*'\ndate: 2020\n---\nText."))
    assert note.summary == "In <em>short</em>"
    assert note.html == "<p>Text.</p>"


@pytest.mark.parametrize("front", ["", "---\n---\n", "---\n\n---\n", "---\nno key\n---\n"])
def test_front_matter_may_be_empty(tmp_path, front):
    note = read_note(write(tmp_path, "a.md", front + "Text."))
    assert (note.title, note.html) == ("a", "<p>Text.</p>")


def test_front_matter_that_never_ends_is_text(tmp_path):
    note = read_note(write(tmp_path, "a.md", "---\ntitle: x\n\nText."))
    assert note.title == "a"
    assert note.html.startswith("<hr>")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_byte_order_marks_do_not_matter(tmp_path, end, mark):
    text = mark + end.join(["---", "title: T", "---", "One", "two.", "", "```", "code", "```"])
    note = read_note(write(tmp_path, "a.md", text))
    assert note.title == "T"
    assert note.html == '<p>One\ntwo.</p>\n<pre tabindex="0"><code>code\n</code></pre>'


def test_titles_are_plain_text_on_one_line(tmp_path):
    title = '<script>alert(1)</script> "><img onerror=x> \u202eback\u202c {{ unit a:1 }}'
    note = read_note(write(tmp_path, "a.md", f"---\ntitle: {title}\n---\n"))
    assert note.title == ('<script>alert(1)</script> "><img onerror=x> back {{ unit a:1 }}')
    assert not isinstance(note.title, type(note.html))
    long = read_note(write(tmp_path, "b.md", "# " + "x" * 5000))
    assert long.title == "x" * 199 + "…"


def test_lines_of_mistakes_count_the_front_matter(tmp_path):
    path = write(tmp_path, "a.md", "---\ntitle: T\n\n---\nText.\n\n{{ unti a:1 }}")
    with pytest.raises(ConfigError) as error:
        read_note(path)
    assert str(error.value).startswith(f"{path}, line 7: unknown shortcode 'unti'")
    path = write(tmp_path, "b.md", "---\ntitle: T\nsummary: x {{ unit }}\n---\nText.")
    with pytest.raises(ConfigError, match=r"b\.md, line 3: no unit"):
        read_note(path)


def test_what_a_note_embeds(tmp_path):
    text = (
        "---\nsummary: On {{ unit a:9 }}\n---\n{{ row a:1 b:2 }}\n\n{{ class tabby }}\n\n"
        "And {{ class tench }}, {{ unit a:1 }} but `{{ unit c:3 }}`."
    )
    note = read_note(write(tmp_path, "a.md", text))
    assert note.embeds.units == {"a:1", "b:2", "a:9"}
    assert note.embeds.classes == {"tabby", "tench"}
    assert Shortcode("row", True, ("a:1", "b:2")) in note.shortcodes.values()


def test_a_note_that_is_not_text_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read .*bad\.md"):
        read_note(write(tmp_path, "bad.md", b"\xff\xfe\x00x"))
    with pytest.raises(ConfigError, match=r"gone\.md"):
        read_note(tmp_path / "gone.md")
    (tmp_path / "folder.md").mkdir()
    with pytest.raises(ConfigError, match=r"folder\.md: it is no file"):
        read_note(tmp_path / "folder.md")


def test_a_note_too_large_is_not_read(tmp_path):
    assert read_note(write(tmp_path, "a.md", "x " * (LARGEST // 2))).name == "a"
    with pytest.raises(ConfigError, match="a note may have 131,072: split it"):
        read_note(write(tmp_path, "b.md", b"x" * (LARGEST + 1)))


@pytest.mark.parametrize(
    ("stem", "page"),
    [
        ("method", "method"),
        ("My note", "my-note"),
        ("Über uns", "uber-uns"),
        ("..x", "x"),
        ("a.b_c", "a-b-c"),
        ("con", "note-con"),
        ("COM1", "note-com1"),
        ("日本語", "note-77710aed"),
        ("x" * 300, "x" * 60),
        ("<script>", "script"),
    ],
)
def test_pages_of_notes_have_harmless_names(stem, page):
    assert page_name(stem) == page


@pytest.mark.parametrize("name", ["404.md", "compare.md", "Compare.md", "recipe.md"])
def test_a_note_does_not_take_the_place_of_another_page(tmp_path, name):
    write(tmp_path, name, "Text.")
    with pytest.raises(ConfigError, match=r"would take the place of the atlas's own"):
        read_notes([tmp_path])


def test_nor_of_another_note(tmp_path):
    write(tmp_path, "My note.md", "One.")
    write(tmp_path, "my-note.md", "Two.")
    with pytest.raises(ConfigError, match=r"both become my-note\.html; rename one"):
        read_notes([tmp_path])


def test_user_notes_come_before_shipped_ones_whatever_their_case(tmp_path):
    write(tmp_path, "Method.md", "Mine.")
    notes = read_notes([tmp_path, shipped("content")])
    assert notes["method"].html == "<p>Mine.</p>"
    assert notes["method"].title == "Method"
    assert "index" in notes


def test_hidden_files_and_other_suffixes_are_no_notes(tmp_path):
    write(tmp_path, "._a.md", b"\x00\x05\x16\x07\xff")
    write(tmp_path, "a.txt", "x")
    write(tmp_path, "deeper/b.md", "x")
    assert read_notes([tmp_path]) == {}


def test_links_between_notes_of_both_folders(tmp_path):
    user, other = tmp_path / "user", tmp_path / "other"
    write(user, "My page.md", "[4c](layers/mixed4c.md) [there](<Their page.md>)")
    write(other, "Their page.md", "[mine](My%20page.md)")
    write(other, "layers/mixed4c.md", "[up](../Their%20page.md#x) [beside](mixed4d.md)")
    write(user, "layers/mixed4d.md", "x")
    notes = read_notes([user, other])
    assert '<a href="mixed4c/index.html">' in notes["my-page"].html
    assert '<a href="their-page.html">' in notes["my-page"].html
    assert '<a href="my-page.html">' in notes["their-page"].html
    layer = read_notes([user, other], "layers")["mixed4c"]
    assert (layer.name, layer.page) == ("mixed4c", "mixed4c/index.html")
    assert '<a href="../their-page.html#note-x">' in layer.html
    assert '<a href="../mixed4d/index.html">' in layer.html
    assert '<a href="mixed4d/index.html">' in layer.summary
    assert layer.links == {"their-page.html", "mixed4d/index.html"}


def test_a_link_to_no_note_is_an_error(tmp_path):
    write(tmp_path, "a.md", "Text.\n[x](methods.md)")
    with pytest.raises(ConfigError, match=r"a\.md, line 2: .*'methods\.md'.*did you mean method"):
        read_notes([tmp_path, shipped("content")])


def test_every_layer_of_googlenet_has_a_note_with_a_summary():
    notes = read_notes([shipped("content")], "layers")
    for layer in googlenet_layers():
        note = notes[layer.name]
        words = len(note.html.striptags().split())
        assert 60 <= words <= 150, (layer.name, words)
        assert 5 <= len(note.summary.striptags().split()) <= 40, layer.name
