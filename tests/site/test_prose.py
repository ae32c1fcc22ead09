import contextlib
import re
import time
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas.errors import ConfigError
from atlas.site.prose import DEEPEST, MARK, ascii_slug, render_prose
from atlas.site.targets import Place

PLAIN = {
    *("p", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "dl", "dt", "dd", "blockquote", "hr"),
    *("pre", "code", "em", "strong", "a", "img", "br", "div"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
ATTRIBUTES = {
    *("href", "title", "src", "alt", "loading", "start", "scope", "class", "id"),
    *("role", "tabindex", "aria-label"),
}
HOSTILE = [
    "<script>alert(1)</script>",
    "a <script>alert(1)</script> b",
    "<ScRiPt src=//example.org/x.js></sCrIpT>",
    '"><img src=x onerror=alert(1)>',
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<math><mtext></p><style><img src onerror=alert(1)></style>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<style>@import 'http://example.org';</style>",
    "<!--><script>alert(1)</script>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?php echo 1 ?>",
    "<a href='javascript:alert(1)'>x</a>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](javascript&#58;alert(1))",
    "[x](javascript&colon;alert(1))",
    "[x](java&#10;script:alert(1))",
    "[x](java&Tab;script:alert(1))",
    "[x](&#x6A;avascript:alert(1))",
    "[x](<java\tscript:alert(1)>)",
    "[x](\x01javascript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:msgbox)",
    "[x](file:///etc/passwd)",
    "[x](//example.org)",
    "[x](/etc/passwd)",
    "[x](..%2f..%2fetc)",
    "[x][r]\n\n[r]: javascript:alert(1)",
    "[x][r]\n\n[r]: <javascript&#58;alert(1)> 'title'",
    "[javascript:alert(1)]\n\n[javascript:alert(1)]: javascript:alert(1)",
    "<javascript:alert(1)>",
    "<vbscript:x>",
    "<x@example.org\" onclick=alert(1)>",
    "![x](javascript:alert(1))",
    "![x](data:image/svg+xml;base64,PHN2Zz4=)",
    "![x](https://example.org/track.png)",
    "![x](//example.org/track.png)",
    "![<script>alert(1)</script>](https://example.org/x.png)",
    '![a" onerror="alert(1)](x.png)',
    '![a](x.png "t\\" onerror=\\"alert(1)")',
    "[a](x.html 'onmouseover=alert(1)//\"')",
    '[a](x.html"onclick="alert(1))',
    "[a](<x.html\" onclick=\"alert(1)>)",
    "`<script>alert(1)</script>`",
    "```\n</code></pre><script>alert(1)</script>\n```",
    '```html" onload="alert(1)\nx\n```',
    "    <script>alert(1)</script>",
    "# <script>alert(1)</script>",
    '## "><script>alert(1)</script>\n\n| a |\n|---|\n| <script>alert(1)</script> |',
    "| a | b |\n|---|:-:|\n| \"><img src=x onerror=alert(1)> | `</td><script>` |",
    "x\n: <script>alert(1)</script>",
    '{{ unit a:1 "<script>alert(1)</script>" }}',
    "{{ class \"'><script>alert(1)</script>\" }}",
    "[^1]\n\n[^1]: <script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)",
    "\u202e<script>alert(1)</script>",
    "\ufeff<script>alert(1)</script>",
    "<\x00script>alert(1)</script>",
    "a\x00b\x07c\x80d\ufffee",
]  # fmt: skip


class Seen(HTMLParser):
    """Every tag with its attributes, and the text; whatever is neither stays as it was."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def assert_harmless(html):
    assert not re.search("<[!?]", html), html
    for tag, attributes in Seen(html).tags:
        assert tag in PLAIN, html
        assert set(attributes) <= ATTRIBUTES, html
        for name in ("href", "src"):
            target = attributes.get(name)
            if target is None:
                continue
            parts = urlsplit(target)
            assert parts.scheme in ("", "http", "https", "mailto"), html
            assert parts.scheme or not parts.netloc, html
            assert parts.scheme or not target.startswith(("/", "\\", "..")), html
            assert name == "href" or not parts.scheme, html


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_becomes_harmless(text):
    prose = render_prose(text)
    assert_harmless(prose.html)
    assert_harmless(prose.opening)
    assert not any(c in prose.html for c in "\x00\x01\x07\x80\ufffe")


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "a <b onclick=x>c</b>", "<img src=x onerror=alert(1)>"]
)
def test_raw_html_is_shown(text):
    assert Seen(render_prose(text).html).text.strip() == text


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [*"<>[](){}!\"'`*_#|-:~\\&; \n\t", "{{", "}}", "](", "\n\n", "\n> ", "\n- ", "&#58;",
             "javascript:", "http://", "<img ", " onerror=", "x.md", "unit a:1", "```\n", "\n: "]
        )
        | st.characters(blacklist_categories=("Cs",)),
        max_size=60,
    )
)  # fmt: skip
def test_any_text_is_prose_or_an_error_of_one_line(parts):
    prose, said = None, ""
    try:
        prose = render_prose("".join(parts))
    except ConfigError as error:
        said = str(error)
    if prose is None:
        assert re.fullmatch(r"note\.md, line \d+: .+", said)
    else:
        assert_harmless(prose.html)
        assert_harmless(prose.opening)


def test_pictures_from_elsewhere_become_their_words():
    html = render_prose("![far](https://example.org/x.png) ![a *near* one](x.png 'T')").html
    assert html == (
        '<p><em>far</em> <img src="x.png" alt="a near one" title="T" loading="lazy"></p>'
    )


def test_headings_begin_at_the_second_level_and_leave_none_out():
    prose = render_prose("# Title *here*\n\n### A\n\n##### B\n\n### C\n\n# D\n\n## E\n\n#### F")
    assert prose.title == "Title here"
    tags = [(tag, a["id"]) for tag, a in Seen(prose.html).tags]
    assert tags == [
        ("h2", "note-a"), ("h3", "note-b"), ("h2", "note-c"), ("h2", "note-d"),
        ("h3", "note-e"), ("h4", "note-f"),
    ]  # fmt: skip


def test_a_heading_further_down_is_no_title():
    prose = render_prose("Text.\n\n# Heading")
    assert prose.title is None
    assert '<h2 id="note-heading">Heading</h2>' in prose.html


def test_ids_are_all_different_and_none_is_a_template_s():
    names = ["main", "network", "layers", "tools", "b-1", "main", "", "—", "日本", "x" * 5000]
    names += ['"><script>', "A", "a", "a-2"]
    ids = [a["id"] for _, a in Seen(render_prose("\n".join(f"## {n}" for n in names)).html).tags]
    assert ids[:5] == ["note-main", "note-network", "note-layers", "note-tools", "note-b-1"]
    assert ids[5:9] == ["note-main-2", "note-section", "note-section-2", "note-section-3"]
    assert ids[11:] == ["note-a", "note-a-2", "note-a-2-2"]
    assert len(set(ids)) == len(names)
    assert max(map(len, ids)) < 80


def test_tables_stand_in_a_named_box_that_takes_the_keyboard():
    html = render_prose('## Its "name"\n\n| a | b | c |\n|--|--:|:-:|\n| 1 | 2 | 3 |').html
    found = Seen(html).tags
    assert found[1] == (
        "div",
        {"class": "scroll", "role": "group", "tabindex": "0", "aria-label": "Table: Its “name”"},
    )
    cells = [(tag, attributes) for tag, attributes in found if tag in ("th", "td")]
    assert cells == [
        ("th", {"scope": "col"}), ("th", {"scope": "col", "class": "right"}),
        ("th", {"scope": "col", "class": "center"}),
        ("td", {}), ("td", {"class": "right"}), ("td", {"class": "center"}),
    ]  # fmt: skip


def test_quotes_are_typographic_but_not_in_code():
    html = render_prose('"One" and the network\'s `"code"` --x').html
    assert html == '<p>“One” and the network’s <code>"code"</code> --x</p>'


def test_definition_lists_and_code():
    html = render_prose("Term\n: What *it* is\n\n```python\na < b\n```").html
    assert html == (
        "<dl>\n<dt>Term</dt>\n<dd>What <em>it</em> is</dd>\n</dl>\n"
        '<pre tabindex="0"><code>a &lt; b\n</code></pre>'
    )


def test_the_first_sentence_is_the_opening_seen_from_the_root():
    place = Place("f", "layers/a.md", "a/index.html", notes={"method.md": "method.html"})
    text = "> A quote.\n\nSee [the *method*](../method.md)\nfirst. Then more.\n\nMore."
    prose = render_prose(text, place)
    assert prose.opening == 'See <a href="method.html">the <em>method</em></a> first.'
    assert '<a href="../method.html">' in prose.html
    assert prose.links == {"method.html"}
    assert render_prose(text, place, (2, "*Other*")).opening == "<em>Other</em>"


def test_shortcodes_become_marks_where_they_stand():
    prose = render_prose(
        "In {{ unit a:1 }} text.\n\n{{ row a:1 b:2 }}\n{{ class tabby }}\n\n- item\n\n"
        "  {{ examples a:1 }}\n\n> {{ unit b:2 }}\n\n| t |\n|---|\n| {{ unit c:3 }} |"
    )
    marks = MARK.findall(prose.html)
    assert [prose.shortcodes[m].name for m in marks] == [
        "unit", "row", "class", "examples", "unit", "unit"
    ]  # fmt: skip
    assert [prose.shortcodes[m].block for m in marks] == [False, True, True, True, True, False]
    assert f"<p>In {marks[0]} text.</p>\n{marks[1]}\n{marks[2]}\n" in prose.html
    assert f"<blockquote>\n{marks[4]}\n</blockquote>" in prose.html


@pytest.mark.parametrize(
    "text",
    ["`{{ unit a:1 }}`", "```\n{{ nonsense }}\n```", "    {{ unit a:1 }}", "\\{{ unit a:1 }}"],
)
def test_shortcodes_in_code_and_after_a_backslash_are_text(text):
    prose = render_prose(text)
    assert not prose.shortcodes
    assert text.strip("`\\\n ") in Seen(prose.html).text


def test_a_mark_cannot_be_written():
    mark = MARK.findall(render_prose("{{ unit a:1 }}").html)[0]
    prose = render_prose(f"{mark} {{{{ unit a:1 }}}}", None, (1, mark))
    assert mark not in prose.shortcodes
    assert len(prose.shortcodes) == 1


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{{ unti a:1 }}", 5),
        ("one\n\ntwo\nthree {{ unit }}", 8),
        ("- a\n- b\n\n  {{ unit a:1 b:2 }}", 8),
        ("a\n: b {{ x", 6),
        ("| a |\n|---|\n| {{ row a:1 }} |", 7),
        ("x\n\n{{ unit a:1 }}\n{{ unit }}", 8),
        ("[see {{ unit a:1 }}](x.html)", 5),
        ("![{{ unit a:1 }}](x.png)", 5),
        ("one  \n[x](gone.md)", 6),
        ("text\n{{ row a:1 }}", 6),
    ],
)
def test_mistakes_come_with_file_and_line(text, line):
    with pytest.raises(ConfigError) as error:
        render_prose(text, Place("content/a.md", first=5))
    assert str(error.value).startswith(f"content/a.md, line {line}: ")


@pytest.mark.parametrize(
    ("deep", "line"),
    [
        ("> " * 5000 + "x", 1),
        ("- " * 5000 + "x", 1),
        ("1. " * 5000 + "x", 1),
        ("\n".join("  " * i + "- x" for i in range(100)), DEEPEST // 2),
        ("\n".join("> " * i + "x" for i in range(60)), DEEPEST + 1),
    ],
)
def test_nesting_without_end_is_an_error_of_one_line(deep, line):
    with pytest.raises(ConfigError) as error:
        render_prose(deep)
    assert str(error.value) == (
        f"note.md, line {line}: quotes and lists are inside each other too deep"
    )


def test_quotes_within_the_limit_are_all_there():
    prose = render_prose("> " * (DEEPEST - 1) + "x")
    assert prose.html.count("<blockquote>") == DEEPEST - 1
    assert Seen(prose.html).text.strip() == "x"
    with pytest.raises(ConfigError, match="too deep"):
        render_prose("> " * DEEPEST + "x")


def test_a_long_word_and_a_long_line_stay_whole():
    assert "x" * 5000 in render_prose("x" * 5000).html
    assert render_prose("word " * 5000).html.count("word") == 5000


@pytest.mark.parametrize(
    "piece",
    ["[", "![", "](", "#\n", "*", "_a_", "`", "<", "<!--", "\\", "&", "{{ ", "> ", "- ", "|a", "'"],
)
def test_no_text_of_a_kind_takes_long(piece):
    began = time.process_time()
    with contextlib.suppress(ConfigError):
        render_prose(piece * (20_000 // len(piece)))
    assert time.process_time() - began < 5


def test_slugs():
    assert ascii_slug("Crème brûlée, 2nd!") == "creme-brulee-2nd"
    assert ascii_slug("日本") == ""
    assert ascii_slug("a" * 59 + "-b") == "a" * 59
