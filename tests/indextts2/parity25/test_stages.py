"""IndexTTS-2.5 against a parity kit, stage by stage and from end to end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

import pytest
from indextts25_stages import Chain, check_chain, check_codec, check_gpt, check_s2mel, check_text, replaying

from vtune_indextts2.multilingual import japanese, tokens
from vtune_indextts2.multilingual.frontend import Engines
from vtune_indextts2.multilingual.languages import TAGS, row_of
from vtune_indextts2.text.normalisers import WetextEngine

Kit = Callable[[str], Any]


def test_the_codec(kit25: Kit) -> None:
    check_codec(kit25("c25_codec"))


def test_the_gpt(kit25: Kit) -> None:
    check_gpt(kit25("d25_gpt"))


def test_the_acoustic_stage(kit25: Kit) -> None:
    check_s2mel(kit25("e25_s2mel"))


def test_a_recording_and_a_text_become_the_same_waveform(kit25: Kit) -> None:
    fx = kit25("h25_end_to_end")
    check_chain(fx, Chain(fx))


def test_the_text_with_its_engines_replayed(kit25: Kit) -> None:
    check_text(kit25("i25_text"))


def test_the_text_with_its_own_engines(kit25: Kit) -> None:
    """Numbers by wetext and words by fugashi, as far as they are installed in the kit's versions; Spanish replayed."""
    fx = kit25("i25_text")
    if find_spec("wetext") is None:
        pytest.skip("wetext is not installed (the extra 'indextts2')")
    engine = WetextEngine(exact=True)
    if engine.version != fx.json["versions"]["wetext"]:
        pytest.skip(f"wetext {engine.version} is installed, the kit was made with {fx.json['versions']['wetext']}")
    versions = [fx.json["versions"][name] for name in ("fugashi", "unidic-lite")]
    has_words = find_spec("fugashi") is not None and find_spec("unidic_lite") is not None
    own_words = has_words and japanese.word_splitter_identity() == "fugashi {} unidic-lite {}".format(*versions)

    def engines(case: Mapping[str, Any]) -> Engines:
        replay = replaying(case)
        return Engines(engine, replay.spanish, japanese.split_words if own_words else replay.words)

    check_text(fx, engines)


def test_the_tables_are_those_of_the_kit(kit25: Kit) -> None:
    text, gpt = kit25("i25_text").json, kit25("d25_gpt").json
    assert text["pattern"] == tokens.PATTERN
    special = tokens.special_tokens()
    assert special[: len(text["special_tokens"])] == text["special_tokens"]
    assert (len(special), special[-1]) == (text["n_special"], "<|30.00|>")
    assert list(TAGS) == gpt["languages"]
    assert {tag: row_of(tag) for tag in gpt["language_ids"]} == gpt["language_ids"]
