import pytest

from atlas.errors import ConfigError
from atlas.site.targets import Place, Targets

NOTES = {
    "index.md": "index.html",
    "method.md": "method.html",
    "Über uns.md": "uber-uns.html",
    "layers/mixed4c.md": "mixed4c/index.html",
    "layers/mixed4d.md": "mixed4d/index.html",
}
ARTICLE = Place("content/a.md", "a.md", "a.html", notes=NOTES)
LAYER = Place("content/layers/mixed4c.md", "layers/mixed4c.md", "mixed4c/index.html", notes=NOTES)


@pytest.mark.parametrize(
    ("place", "target", "page", "root"),
    [
        (ARTICLE, "method.md", "method.html", "method.html"),
        (ARTICLE, "./method.md", "method.html", "method.html"),
        (ARTICLE, "method.md#why", "method.html#note-why", "method.html#note-why"),
        (ARTICLE, "layers/mixed4d.md", "mixed4d/index.html", "mixed4d/index.html"),
        (ARTICLE, "%C3%9Cber%20uns.md", "uber-uns.html", "uber-uns.html"),
        (ARTICLE, "mixed4c/447.html?a=b#c", "mixed4c/447.html?a=b#c", "mixed4c/447.html?a=b#c"),
        (ARTICLE, "#here", "#note-here", "a.html#note-here"),
        (LAYER, "../method.md", "../method.html", "method.html"),
        (LAYER, "mixed4d.md", "../mixed4d/index.html", "mixed4d/index.html"),
        (LAYER, "../index.md", "../index.html", "index.html"),
        (LAYER, "447.html", "447.html", "mixed4c/447.html"),
        (LAYER, "../static/x.png", "../static/x.png", "static/x.png"),
        (LAYER, "#here", "#note-here", "mixed4c/index.html#note-here"),
        (ARTICLE, "https://e.org/x?a=1", "https://e.org/x?a=1", "https://e.org/x?a=1"),
        (ARTICLE, "HTTP://example.org", "HTTP://example.org", "HTTP://example.org"),
        (ARTICLE, "mailto:a@example.org", "mailto:a@example.org", "mailto:a@example.org"),
    ],
)  # fmt: skip
def test_where_links_lead_from_the_page_and_from_the_root(place, target, page, root):
    assert Targets(place).of(target, 1) == page
    assert Targets(place).of(target, 1, at_root=True) == root


@pytest.mark.parametrize(
    "target",
    [
        "", "#", "/etc/passwd", "//example.org/x", "\\\\host\\share", "/\\example.org",
        "..", "../x", "a/../../x", "%2e%2e/x", "..%2fx", "..\\..\\x", "x/..%5c..%5cy",
        "javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\tscript:alert(1)", "\x01javascript:x",
        "data:text/html,x", "vbscript:x", "file:///etc/passwd", "c:/windows", "blob:x",
        "//[", "ftp://example.org",
    ],
)  # fmt: skip
def test_where_links_may_not_lead(target):
    assert Targets(ARTICLE).of(target, 1) is None


def test_pictures_are_of_this_site():
    targets = Targets(LAYER)
    assert targets.picture("../static/x.png", 1) == "../static/x.png"
    for far in ("https://example.org/x.png", "//example.org/x.png", "data:image/png;base64,AA"):
        assert targets.picture(far, 1) is None


def test_pages_of_notes_are_remembered():
    targets = Targets(LAYER)
    targets.of("mixed4d.md", 1)
    targets.of("../method.md#x", 1)
    targets.of("447.html", 1)
    assert targets.pages == {"mixed4d/index.html", "method.html"}


def test_a_note_that_does_not_exist_is_an_error_with_its_line():
    with pytest.raises(ConfigError) as error:
        Targets(LAYER).of("mixed4e.md", 7)
    assert str(error.value) == (
        "content/layers/mixed4c.md, line 7: there is no note 'mixed4e.md' to link to; "
        "did you mean mixed4d.md?"
    )
