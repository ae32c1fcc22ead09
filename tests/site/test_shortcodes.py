import pytest

from atlas.errors import ConfigError
from atlas.site.shortcodes import ROW_LIMIT, Shortcode, parse_shortcode


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ unit mixed4c:447 }}", Shortcode("unit", True, ("mixed4c:447",))),
        ("{{unit mixed4c:447}}", Shortcode("unit", True, ("mixed4c:447",))),
        (
            '{{ unit inception_4c/output:7 negative "Its <b>other</b> end." }}',
            Shortcode("unit", True, ("inception_4c/output:7",), kind="negative",
                      caption="Its <b>other</b> end."),
        ),
        (
            '{{ row a:1 b:22 features.3:333 "Three" }}',
            Shortcode("row", True, ("a:1", "b:22", "features.3:333"), caption="Three"),
        ),
        ("{{ row a:1 neuron }}", Shortcode("row", True, ("a:1",), kind="neuron")),
        ("{{ examples a:1 }}", Shortcode("examples", True, ("a:1",), amount=5)),
        (
            '{{ examples a:1 25 "x" }}',
            Shortcode("examples", True, ("a:1",), amount=25, caption="x"),
        ),
        ("{{ class tabby }}", Shortcode("class", True, label="tabby")),
        (
            '{{ class "golden retriever" "Dogs." }}',
            Shortcode("class", True, label="golden retriever", caption="Dogs."),
        ),
    ],
)  # fmt: skip
def test_what_is_well_formed(text, expected):
    assert parse_shortcode(text, block=True) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ }}", "no name"),
        ("{{ unti a:1 }}", "did you mean unit"),
        ('{{ "unit" a:1 }}', "no name"),
        ("{{ img a:1 }}", "there are unit, row, examples, class"),
        ("{{ unit }}", "no unit"),
        ("{{ unit mixed4c }}", "'mixed4c' is no unit"),
        ("{{ unit mixed4c:447-450 }}", "is no unit"),
        ("{{ unit a:1 b:2 }}", "one unit only"),
        ("{{ unit a:1 happy }}", "neither a unit nor a kind"),
        ("{{ unit a:1 positive negative }}", "'negative' is too much"),
        ("{{ unit a:1 “curly” }}", "neither a unit nor a kind"),
        ('{{ unit a:1 "open }}', "straight quotes"),
        ('{{ unit a:1 "one" "two" }}', "a caption that is not the last"),
        ('{{ unit "cap" a:1 }}', "a caption that is not the last"),
        ("{{ row " + "a:1 " * (ROW_LIMIT + 1) + "}}", f"at most {ROW_LIMIT} units"),
        ("{{ row }}", "no unit"),
        ("{{ examples a:1 0 }}", "no number from 1 to 25"),
        ("{{ examples a:1 26 }}", "no number from 1 to 25"),
        ("{{ examples a:1 ٣ }}", "no number from 1 to 25"),
        ("{{ class }}", "no class"),
        ('{{ class "" }}', "no class"),
        ("{{ class golden retriever }}", "quote a label of many words"),
    ],
)  # fmt: skip
def test_what_is_not_says_what_would_be_right(text, said):
    with pytest.raises(ConfigError) as error:
        parse_shortcode(text, block=True)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_usage_is_given():
    with pytest.raises(ConfigError, match=r"write \{\{ examples LAYER:NUMBER \[HOW MANY\]"):
        parse_shortcode("{{ examples mixed4c }}", block=True)


@pytest.mark.parametrize("text", ["{{ row a:1 }}", "{{ examples a:1 }}", "{{ unit a:1 positive }}"])
def test_pictures_do_not_go_inside_a_sentence(text):
    with pytest.raises(ConfigError, match="on a line of its own"):
        parse_shortcode(text, block=False)


def test_unit_and_class_do():
    assert parse_shortcode('{{ unit a:1 "this one" }}', block=False).caption == "this one"
    assert parse_shortcode("{{ class tabby }}", block=False).label == "tabby"


def test_a_long_mistake_is_cut():
    with pytest.raises(ConfigError) as error:
        parse_shortcode("{{ unit " + "x" * 5000 + " }}", block=True)
    assert len(str(error.value)) < 400
