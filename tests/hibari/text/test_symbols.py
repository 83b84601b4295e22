"""Symbols have the numbers of the package's table, and unknown ones are named."""

from __future__ import annotations

import json

import pytest

from vtune import SkipClip
from vtune_hibari.bases.package import package_file
from vtune_hibari.text.symbols import SYMBOLS, encode_symbols


def test_the_table_is_that_of_the_package() -> None:
    pytest.importorskip("hibari")
    assert json.loads(package_file("vocab.json").read_text("utf-8")) == SYMBOLS


def test_a_sentence_stands_between_two_edges() -> None:
    assert encode_symbols("həlˈO.") == [0, 50, 83, 54, 156, 31, 4, 0]


def test_unknown_symbols_are_named_with_where_they_stand() -> None:
    with pytest.raises(SkipClip, match=r"no symbol for '7' \(U\+0037\) in 'm7x', 'ß' \(U\+00DF\) in 'ßs'"):
        encode_symbols("a m7x ßs")
