from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import chain
from typing import Any

import pytest

from vtune_indextts2.text import pinyin, punctuation, spacing
from vtune_indextts2.text.frontend import Frontend
from vtune_indextts2.text.language import language_of
from vtune_indextts2.text.normalisers import TextEngine, WetextEngine
from vtune_indextts2.text.spacing import spaced
from vtune_indextts2.text.tokens import load_tokenizer

Kit = Callable[[str], Any]


class Replay:
    """Answers as the kit's engine did, and records the questions."""

    name, version, identity = "replay", "1", "replay 1"

    def __init__(self, case: dict[str, Any]) -> None:
        self.case = case
        self.asked: list[tuple[str, str]] = []

    def normalise(self, text: str, language: str) -> str:
        self.asked.append((text, language))
        return after_engine(self.case)


def after_engine(case: dict[str, Any]) -> str:
    """Return the text with which upstream continues: null in the kit stands for an engine that raised an error."""
    if case["tn_output"] is not None:
        return case["tn_output"]
    return case["tn_input"] if case["lang"] == "en" else ""


def cases(fx: Any) -> Iterator[dict[str, Any]]:
    yield from fx.json["cases"]


def frontend(fx: Any, case: dict[str, Any], engine: TextEngine, tokenizer: Any) -> Frontend:
    return Frontend(tokenizer, engine, fx.json["glossary_terms"] if case["glossary"] else None)


def differences(fx: Any, make_engine: Callable[[dict[str, Any]], TextEngine]) -> list[str]:
    tokenizer = load_tokenizer(fx.dir / fx.json["tokenizer"])
    result = []
    for case in cases(fx):
        front = frontend(fx, case, make_engine(case), tokenizer)
        text = case["text"]
        got: dict[str, Any] = {"pieces": front.pieces(text), "ids": front.tokenize(text), "segments": {}}
        for setting in case["segments"]:
            longest, quick = map(int, setting.split("/"))
            got["segments"][setting] = front.segments(text, longest, quick, repeat_apostrophe=True)
        if not case["bypass"]:
            normalized = front.normalise(text)
            got |= {"lang": language_of(text), "normalized": normalized, "spaced": spaced(normalized)}
        result += [f"{case['id']} {key}: {got[key]!r} is not {case[key]!r}" for key in got if got[key] != case[key]]
        if isinstance(front.engine, Replay):
            expected = set() if case["bypass"] else {(case["tn_input"], case["lang"])}
            if set(front.engine.asked) != expected:
                result.append(f"{case['id']} tn_input: {front.engine.asked[:1]!r} is not {expected!r}")
    return result


def test_with_the_engine_replayed(kit: Kit) -> None:
    assert differences(kit("i_text"), Replay) == []


def test_with_wetext(kit: Kit) -> None:
    fx = kit("i_text")
    if find_spec("wetext") is None:
        pytest.skip("wetext is not installed (the extra 'indextts2')")
    engine = WetextEngine(exact=True)
    recorded = fx.json["versions"]["wetext"]
    if engine.version != recorded:
        pytest.skip(f"wetext {engine.version} is installed, the kit was made with {recorded}")
    answers = {
        case["id"]: (engine.normalise(case["tn_input"], case["lang"]), after_engine(case))
        for case in cases(fx)
        if not case["bypass"]
    }
    assert {name: pair for name, pair in answers.items() if pair[0] != pair[1]} == {}
    assert differences(fx, lambda case: engine) == []


def test_each_token_is_spoken_once_unless_the_repetition_is_asked_for(kit: Kit) -> None:
    fx = kit("i_text")
    tokenizer = load_tokenizer(fx.dir / fx.json["tokenizer"])
    for case in cases(fx):
        front = frontend(fx, case, Replay(case), tokenizer)
        for setting in case["segments"]:
            longest, quick = map(int, setting.split("/"))
            segments = front.segments(case["text"], longest, quick)
            assert list(chain(*segments)) == case["ids"], (case["id"], setting)
            assert max(map(len, segments), default=0) <= longest, (case["id"], setting)


def test_the_tables_are_those_of_the_kit(kit: Kit) -> None:
    rules = kit("i_text").json["rules"]
    assert list(map(list, punctuation.MARKS)) == rules["punctuation_map"]
    extra = [list(pair) for pair in punctuation.CHINESE_MARKS[: len(rules["punctuation_map_zh_extra"])]]
    assert extra == rules["punctuation_map_zh_extra"]
    assert list(map(list, spacing.ALONE)) == rules["spacing"]["ranges"]
    assert set(pinyin.INITIALS.split("|")) == set(rules["pinyin"]["initials"])
    assert set(pinyin.FINALS.split("|")) == set(rules["pinyin"]["finals"])
