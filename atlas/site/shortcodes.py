"""Shortcodes: how a note asks for the pictures of a unit, or of a class.

    {{ unit mixed4c:447 }}                positive, four diverse, negative
    {{ unit mixed4c:447 negative }}       one kind: positive, diverse, neuron or negative
    {{ row mixed4c:447 mixed4a:97 }}      a picture each, positive unless a kind follows
    {{ examples mixed4c:447 10 }}         its strongest photographs, 5 unless a number follows
    {{ class "golden retriever" }}        the channels that a class fires most

Each may end in a caption in straight quotes: ``{{ row mixed4c:447 mixed4a:97 "Two" }}``. They stand
in a paragraph of their own, several on lines of their own if need be. Inside a sentence ``unit``
and ``class`` (without a kind) are links, with the quoted words as their text if there are any. In
code they are text, and so are braces after a backslash: ``\\{{``.

Grammar::

    shortcode = "{{" name argument* "}}"      on one line, without "}}" in it
    argument  = word | '"' [^"]* '"'          separated by spaces
    name      = "unit" | "row" | "examples" | "class"
    unit      = layer ":" number              a word, written as `atlas.units` has it

What is well formed but not in the atlas at hand is no error (`atlas.site.embeds` says so quietly):
the same notes go with atlases of all sizes. What is not well formed is one.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Literal, get_args

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

from atlas.errors import ConfigError
from atlas.site.catalogue import Kind
from atlas.units import quote

Name = Literal["unit", "row", "examples", "class"]

ROW_LIMIT = 12
EXAMPLES, EXAMPLES_LIMIT = 5, 25
"""Photographs shown unless told, and at most: what a channel's page shows at once."""

USAGE: dict[Name, str] = {
    "unit": '{{ unit LAYER:NUMBER [positive|diverse|neuron|negative] ["caption"] }}',
    "row": '{{ row LAYER:NUMBER … [positive|diverse|neuron|negative] ["caption"] }}',
    "examples": '{{ examples LAYER:NUMBER [HOW MANY] ["caption"] }}',
    "class": '{{ class "LABEL" ["caption"] }}',
}

_ARGUMENT = re.compile(r'\s*(?:"(?P<quoted>[^"]*)"|(?P<word>[^\s"]+))(?=\s|\Z)')
_CODE = re.compile(r"\{\{(?:(?!\}\}).)*\}\}")
_UNIT = re.compile(r"[^:\s]+:\d{1,9}")


@dataclass(frozen=True)
class Shortcode:
    """One shortcode as it was written.

    `units` are as the note has them, aliases of layers included. `block` tells one in a paragraph
    of its own from one inside a sentence. `caption` may be empty.
    """

    name: Name
    block: bool
    units: tuple[str, ...] = ()
    label: str = ""
    kind: Kind | None = None
    amount: int = EXAMPLES
    caption: str = ""


@dataclass(frozen=True)
class _Argument:
    text: str
    quoted: bool


def parse_shortcode(text: str, block: bool) -> Shortcode:
    """Read a shortcode, braces included.

    Raises:
        ConfigError: it is malformed; the message says what would be right.
    """
    if not text.endswith("}}") or len(text) < 4:
        raise ConfigError(
            "{{ begins a shortcode that does not end in }} on its line; "
            "write \\{{ for the braces themselves"
        )
    words = _arguments(text)
    name = _name(text, words)
    rest = words[1:]
    try:
        found = _class(rest, block) if name == "class" else _of_units(name, rest, block)
    except ConfigError as error:
        raise ConfigError(f"{error} in {quote(text)}; write {USAGE[name]}") from error
    if not block and (found.kind or name not in ("unit", "class")):
        raise ConfigError(
            f"pictures inside a sentence: put {quote(text)} on a line of its own, "
            "with empty lines around it"
        )
    return found


def _arguments(text: str) -> list[_Argument]:
    inner, at, found = text[2:-2].strip(), 0, []
    while at < len(inner):
        match = _ARGUMENT.match(inner, at)
        if match is None:
            raise ConfigError(
                f"cannot read {quote(inner[at:].strip(), 40)} in {quote(text)}; "
                "captions and labels stand in straight quotes, spaces around them"
            )
        quoted = match["quoted"]
        found.append(
            _Argument(match["word"], False) if quoted is None else _Argument(quoted.strip(), True)
        )
        at = match.end()
    return found


def _name(text: str, words: list[_Argument]) -> Name:
    given = words[0].text if words and not words[0].quoted else ""
    for name in get_args(Name):
        if given == name:
            return name  # type: ignore[no-any-return]
    near = difflib.get_close_matches(given, get_args(Name), n=1)
    raise ConfigError(
        f"{f'unknown shortcode {quote(given)}' if given else 'no name'} in {quote(text)}; "
        + (f"did you mean {near[0]}?" if near else f"there are {', '.join(get_args(Name))}")
    )


def _class(words: list[_Argument], block: bool) -> Shortcode:
    if not words or not words[0].text:
        raise ConfigError("no class")
    caption = _caption(words[1:])
    if len(words) > (2 if caption is not None else 1):
        raise ConfigError(f"{quote(words[1].text)} after the class (quote a label of many words)")
    return Shortcode("class", block, label=words[0].text, caption=caption or "")


def _of_units(name: Name, words: list[_Argument], block: bool) -> Shortcode:
    caption = _caption(words)
    plain = [word.text for word in (words if caption is None else words[:-1])]
    units: list[str] = []
    while plain and _UNIT.fullmatch(plain[0]):
        units.append(plain.pop(0))
    if not units:
        raise ConfigError(f"{quote(plain[0])} is no unit" if plain else "no unit")
    if len(units) > (ROW_LIMIT if name == "row" else 1):
        most = f"at most {ROW_LIMIT} units" if name == "row" else "one unit only"
        raise ConfigError(f"{len(units)} units, {most}")
    kind, amount = None, EXAMPLES
    if plain and name == "examples":
        amount = _amount(plain.pop(0))
    elif plain:
        kind = _kind(plain.pop(0))
    if plain:
        raise ConfigError(f"{quote(plain[0])} is too much")
    return Shortcode(name, block, tuple(units), kind=kind, amount=amount, caption=caption or "")


def _caption(words: list[_Argument]) -> str | None:
    """The quoted words at the end, None where there are none."""
    if any(word.quoted for word in words[:-1]):
        raise ConfigError("a caption that is not the last")
    return words[-1].text if words and words[-1].quoted else None


def _kind(word: str) -> Kind:
    for kind in get_args(Kind):
        if word == kind:
            return kind  # type: ignore[no-any-return]
    raise ConfigError(f"{quote(word)} is neither a unit nor a kind of image")


def _amount(word: str) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", word) or not 1 <= int(word) <= EXAMPLES_LIMIT:
        raise ConfigError(f"{quote(word)} is no number from 1 to {EXAMPLES_LIMIT}")
    return int(word)


def shortcode_plugin(parser: MarkdownIt) -> None:
    """Teach a Markdown parser shortcodes: tokens of type ``shortcode`` with the text as `content`.

    Braces that open none give a token too, so that they can be complained of with their line.
    """
    parser.block.ruler.before("lheading", "shortcode", _block_rule)
    parser.inline.ruler.after("escape", "shortcode", _inline_rule)


def _block_rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A paragraph of which every line is a shortcode."""
    if state.is_code_block(start):
        return False
    line, found = start, []
    while line < end and not state.isEmpty(line) and state.sCount[line] >= state.blkIndent:
        text = state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].strip()
        if not _CODE.fullmatch(text):
            return False
        found.append(text)
        line += 1
    if not found:
        return False
    if not silent:
        for number, text in enumerate(found, start=start):
            token = state.push("shortcode", "", 0)
            token.content, token.map, token.block = text, [number, number + 1], True
        state.line = line
    return True


def _inline_rule(state: StateInline, silent: bool) -> bool:
    """A shortcode inside a sentence."""
    if not state.src.startswith("{{", state.pos):
        return False
    match = _CODE.match(state.src, state.pos)
    text = match[0] if match else "{{"
    if not silent:
        token = state.push("shortcode", "", 0)
        token.content = text
    state.pos += len(text)
    return True
