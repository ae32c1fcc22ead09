"""Sealed files: they open as what they are, come apart as they were, and notice every change."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load, save

from atlas.envelope import KEYWORD, EnvelopeError, seal, unseal

RECIPE = {"stage": "render", "steps": 3, "rate": 0.05, "title": 'é "quoted" \\ {'}
FACTS = {"activation": 1.5, "nothing": None}


def png():
    buffer = io.BytesIO()
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(buffer, "PNG")
    return buffer.getvalue()


CONTENTS = {
    "png": png(),
    "safetensors": save({"x": np.arange(5), "é": np.ones((2, 3), np.float32)}),
    "json": b'{"side": [1, 2.5], "text": "\\u00e9}"}',
}
BOTH = sorted(CONTENTS.items())


@pytest.mark.parametrize(("suffix", "content"), [*BOTH, ("safetensors", save({})), ("json", b"7")])
def test_a_file_comes_apart_as_it_was_put_together(suffix, content):
    opened = unseal(seal(content, suffix, RECIPE, FACTS), suffix)
    assert (opened.content, opened.recipe, opened.facts) == (content, RECIPE, FACTS)


def test_other_programs_open_them(tmp_path):
    sealed = {name: seal(content, name, RECIPE, FACTS) for name, content in CONTENTS.items()}
    with Image.open(io.BytesIO(sealed["png"])) as image:
        np.testing.assert_array_equal(image, np.arange(48).reshape(4, 4, 3))
        assert json.loads(image.text[KEYWORD])["recipe"] == RECIPE
    path = tmp_path / "x.safetensors"
    path.write_bytes(sealed["safetensors"])
    np.testing.assert_array_equal(load(sealed["safetensors"])["x"], np.arange(5))
    with safe_open(path, "numpy") as file:
        assert json.loads(file.metadata()[KEYWORD])["facts"] == FACTS
    assert json.loads(sealed["json"])["data"]["side"] == [1, 2.5]


@pytest.mark.parametrize(("suffix", "content"), BOTH)
def test_every_flipped_bit_and_every_cut_is_noticed(suffix, content):
    sealed = seal(content, suffix, RECIPE, FACTS)
    for place in range(len(sealed)):
        flipped = bytearray(sealed)
        flipped[place] ^= 1 << place % 8
        with pytest.raises(EnvelopeError):
            unseal(bytes(flipped), suffix)
        with pytest.raises(EnvelopeError):
            unseal(sealed[:place], suffix)


@pytest.mark.parametrize(("suffix", "content"), [*BOTH, ("txt", b"hello")])
def test_what_was_never_sealed_is_refused(suffix, content):
    with pytest.raises(EnvelopeError):
        unseal(content, suffix)


def test_nothing_is_sealed_that_could_not_be_opened():
    with pytest.raises(ValueError, match="no files of suffix 'txt'"):
        seal(b"hello", "txt", RECIPE, FACTS)
    with pytest.raises(ValueError, match="metadata already"):
        seal(save({"x": np.arange(2)}, {"a": "b"}), "safetensors", RECIPE, FACTS)
