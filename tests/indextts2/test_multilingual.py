"""The text front end of IndexTTS-2.5: what stays whole, which languages a text fits, and damaged vocabularies."""

from __future__ import annotations

import base64
import builtins
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune import EngineError
from vtune_indextts2.multilingual import annotations, japanese, spanish
from vtune_indextts2.multilingual.frontend import Engines, MultilingualFrontend, prefix_of
from vtune_indextts2.multilingual.languages import TAGS, misfit, resolve_language, row_of, scripts_in
from vtune_indextts2.multilingual.segments import split
from vtune_indextts2.multilingual.tokens import BytePairEncoder, load_encoder, special_tokens
from vtune_indextts2.text.basic import BasicEngine


@pytest.fixture(scope="module")
def encoder(tiny25: Path) -> BytePairEncoder:
    return load_encoder(next(tiny25.glob("*.tiktoken")))


def by_character(text: str) -> str:
    """Put a blank behind each character that is no blank: a stand-in for words."""
    return " ".join("".join(text.split()))


@pytest.fixture(scope="module")
def frontend(encoder: BytePairEncoder) -> MultilingualFrontend:
    return MultilingualFrontend(encoder, Engines(BasicEngine(), lambda text: text, by_character))


@pytest.fixture(scope="module")
def upstream(encoder: BytePairEncoder) -> MultilingualFrontend:
    return MultilingualFrontend(encoder, Engines(BasicEngine(), lambda text: text, by_character), upstream=True)


# What upstream destroys and this front end keeps


def test_an_exclamation_mark_survives(frontend: MultilingualFrontend, upstream: MultilingualFrontend) -> None:
    """``!`` has the id 0, which upstream takes for its start and deletes."""
    kept, deleted = frontend.tokenize("Stop! Now!", "en"), upstream.tokenize("Stop! Now!", "en")
    assert kept.count(0) == 2
    assert 0 not in deleted
    assert [number for number in kept if number] == deleted
    assert frontend.spoken_segments("Stop!", 100, tag="en") == [frontend.tokenize("Stop!", "en")]


def test_a_quote_is_no_stop(frontend: MultilingualFrontend) -> None:
    assert 1 not in frontend.tokenize('"Yes", he said.', "en")
    assert 1 not in frontend.tokenize('"نعم"', "ar")


@pytest.mark.parametrize(
    ("text", "tag", "ours", "theirs"),
    [
        ("At 9:45.", "en", "at nine forty-five.", "at nine,forty-five."),
        ("12345", "en", "twelve thousand three hundred and forty five", None),
        ("Yes: 3", "en", "yes, three", "yes, three"),
        ("Wait ~ 2", "en", "wait - two", "wait - two"),
    ],
)
def test_numbers_are_read_before_their_marks_are_replaced(
    text: str, tag: str, ours: str, theirs: str | None, frontend: MultilingualFrontend, upstream: MultilingualFrontend
) -> None:
    assert frontend.final(text, tag).replace("-", " ") == ours.replace("-", " ")
    if theirs is not None:
        assert upstream.final(text, tag).replace("-", " ") == theirs.replace("-", " ")
    else:
        assert upstream.final(text, tag) != ours, "upstream reads digits alone in Chinese"


def test_a_reading_survives_spanish_and_japanese(encoder: BytePairEncoder) -> None:
    def rewriting(text: str) -> str:
        return text.replace("S ", "sur ")

    front = MultilingualFrontend(encoder, Engines(BasicEngine(), rewriting, by_character))
    assert front.final("Mi <casa|K AA1 S AH0>.", "es") == "MI <|SPECIAL_TOKEN_1|>K AA1 S AH0<|SPECIAL_TOKEN_1|>."
    japanese_text = front.final("<東京|tokyo>と<今日|キョウ>は", "ja")
    assert japanese_text == "<|SPECIAL_TOKEN_2|>TOKYO<|SPECIAL_TOKEN_2|> と キョウ は"
    tokens = front.encode(japanese_text, "ja")
    assert tokens.count(encoder.encode("<|SPECIAL_TOKEN_2|>")[0]) == 2


def test_words_are_not_cut_where_there_are_blanks(
    frontend: MultilingualFrontend, upstream: MultilingualFrontend
) -> None:
    text = "every evening we walk up the hill to watch the lights come on over the river"
    ours, theirs = (front.segments(text, "en", 16) for front in (frontend, upstream))
    assert "".join(ours) == "".join(theirs) == text
    words = set(text.split())
    assert all(set(segment.split()) <= words for segment in ours)
    assert any(not set(segment.split()) <= words for segment in theirs)


@pytest.mark.parametrize(
    ("text", "tag", "expected"),
    [
        ("Straße", "de", "Straße"),
        ("Hello", "en", "hello"),
        ("Hola", "es", "HOLA"),
        ("我用Python", "zh", "我用python"),
        ("a <|laughter|> b", "en", "a <|LAUGHTER|> b"),
    ],
)
def test_the_case_is_that_of_the_language(text: str, tag: str, expected: str, frontend: MultilingualFrontend) -> None:
    assert frontend.final(text, tag) == expected


def test_a_text_without_words_has_no_ids(frontend: MultilingualFrontend) -> None:
    assert frontend.tokenize("", "en") == frontend.tokenize(" \n", "en") == []
    assert frontend.spoken_segments("...", 50, tag="en") == [[]]


def test_each_segment_begins_with_its_tag(frontend: MultilingualFrontend, encoder: BytePairEncoder) -> None:
    prefix = encoder.encode(prefix_of("en"))
    segments = frontend.spoken_segments("One day. Two days! " * 12, 40, tag="en")
    assert len(segments) > 3
    assert all(ids[: len(prefix) - 1] == prefix[:-1] and len(ids) <= 40 for ids in segments)


# Segments


def count(text: str) -> int:
    return len(text)


@given(st.text(st.sampled_from("ab c.,!。\n"), max_size=80), st.integers(1, 30), st.integers(0, 40), st.booleans())
@settings(max_examples=150, deadline=None)
def test_segments_joined_are_the_text(text: str, budget: int, quick: int, whole_words: bool) -> None:
    segments = split(text, budget, count, quick=quick, whole_words=whole_words)
    assert "".join(segments) == text
    assert max(map(len, segments), default=0) <= budget or segments == [text]


def test_what_stands_between_special_tokens_is_never_cut() -> None:
    pair = "<|SPECIAL_TOKEN_1|>K AA1 S AH0<|SPECIAL_TOKEN_1|>"
    segments = split(f"one two {pair} three", 8, count)
    assert any(pair in segment for segment in segments)


def test_a_quick_start_has_short_segments() -> None:
    text = "One. Two. Three. Four. Five. Six."
    assert split(text, 40, count) == [text]
    quick = split(text, 40, count, quick=30)
    assert quick == ["One. Two. Three.", " Four. Five. Six."]
    assert "".join(quick) == text


# Annotations


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("<行|hang2>", "<|SPECIAL_TOKEN_2|>HANG2<|SPECIAL_TOKEN_2|>"),
        ("<record|r ih0>", "<|SPECIAL_TOKEN_1|>R IH0<|SPECIAL_TOKEN_1|>"),
        ("<上手|じょうず>", " じょうず "),
        ("<今日|キョウ>", " キョウ "),
        ("<今日|キョうx>", "<|SPECIAL_TOKEN_2|>キョうX<|SPECIAL_TOKEN_2|>"),
        ("a <| b |> c", "a <| b |> c"),
    ],
)
def test_readings(text: str, written: str) -> None:
    assert annotations.write_readings(text) == written


@given(st.lists(st.text(st.sampled_from("ab行"), min_size=1, max_size=3), min_size=30, max_size=40))
@settings(max_examples=20, deadline=None)
def test_hidden_annotations_come_back(words: list[str]) -> None:
    text = " ".join(f"<{word}|x{index}>" for index, word in enumerate(words))
    hidden_text, hidden = annotations.hide_annotations(text)
    assert "<" not in hidden_text
    assert not any(char.isdigit() for char in hidden_text)
    assert annotations.show_annotations(hidden_text, hidden) == text


# Languages


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("Hello there", "en"), ("¡Hola!", "es"), ("你好", "zh"), ("我用Python写", "zh"), ("こんにちは", "ja"),
        ("東京", "ja"),
        ("السلام", "ar"), ("12345", "en"), ("!?", "zh"), ("The word 猫 means cat", "en"), ("Привет", "ru"), ("x", "fr"),
        ("ＡＢＣ", "en"), ("ｶﾀｶﾅ", "ja"), ("何でも", "common"),
    ],
)  # fmt: skip
def test_texts_that_fit(text: str, tag: str) -> None:
    assert misfit(text, tag) is None
    assert resolve_language(text, tag) == tag


@pytest.mark.parametrize(
    ("text", "tag", "found"),
    [
        ("你好世界", "en", "4 of 4 letters are CJK"),
        ("Hello", "zh", "5 of 5 letters are LATIN"),
        ("Hello", "ja", "LATIN"),
        ("Hello", "ar", "LATIN"),
        ("こんにちは", "zh", "HIRAGANA"),
        ("駅前の小さな店で", "zh", "HIRAGANA"),
        ("Привет hello", "en", "CYRILLIC"),
        ("السلام", "es", "ARABIC"),
    ],
)
def test_texts_that_do_not_fit(text: str, tag: str, found: str) -> None:
    assert found in (misfit(text, tag) or "")
    with pytest.raises(EngineError, match=f"language is '{tag}', but .*{found}") as caught:
        resolve_language(text, tag)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "usual", "tag"),
    [
        ("Hello", None, "en"), ("Hola", "es", "es"), ("你好", "es", "zh"), ("こんにちは世界", None, "ja"),
        ("السلام عليكم", "en", "ar"), ("123", "ja", "ja"), ("123", None, "en"), ("东京很大", "ja", "ja"),
    ],
)  # fmt: skip
def test_auto_takes_the_voice_s_language_or_that_of_the_script(text: str, usual: str | None, tag: str) -> None:
    assert resolve_language(text, "auto", usual) == tag


def test_auto_asks_for_the_tag_of_a_script_that_it_does_not_know() -> None:
    with pytest.raises(
        EngineError, match=r"does not know the language of 'Привет' \(CYRILLIC\); set the option language"
    ):
        resolve_language("Привет", "auto")


def test_an_annotated_word_counts_and_its_reading_does_not(frontend: MultilingualFrontend) -> None:
    assert frontend.resolve("<東京|TOKYO WA KYOU>の", "ja") == "ja"
    assert frontend.resolve("<record|R IH0 . K AO1 R D>", "auto") == "en"
    assert frontend.resolve("<今日|KYOU><上手|JOUZU>です", "auto") == "ja"
    assert frontend.resolve("行<|SPECIAL_TOKEN_2|>HANG2<|SPECIAL_TOKEN_2|>", "zh") == "zh"
    with pytest.raises(EngineError):
        frontend.resolve("<record|じょうず>", "ja")


def test_rows_are_places_in_the_list() -> None:
    assert [row_of(tag) for tag in ("en", "ZH", "es", "ja", "ar", "nothing")] == [0, 1, 3, 7, 13, 105]
    assert len(TAGS) == len(set(TAGS)) == 106


def test_scripts_are_counted_by_letters() -> None:
    assert scripts_in("aB1!猫ねネ") == {"LATIN": 2, "CJK": 1, "HIRAGANA": 1, "KATAKANA": 1}


# The vocabulary


def test_the_special_tokens_follow_the_ranks(encoder: BytePairEncoder) -> None:
    special = special_tokens()
    assert len(special) == len(set(special)) == 1673
    assert encoder.encode("<|endoftext|>") == [encoder.size - 1673]
    assert encoder.encode("<|30.00|>") == [encoder.size - 1]


@given(st.text(st.characters(exclude_categories=()), max_size=40))
@settings(max_examples=60, deadline=None)
def test_any_text_can_be_encoded(text: str) -> None:
    encoder = BytePairEncoder({bytes([value]): value for value in range(256)}, 256)
    assert all(0 <= number < encoder.size for number in encoder.encode(text))


def lines() -> list[bytes]:
    return [base64.b64encode(bytes([value])) + b" %d" % value for value in range(256)]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda content: content[:-1], "lacks 1 of the 256 single bytes"),
        (lambda content: [*content, b"YWI= 300"], r"line 257 is b'YWI= 300'; expected a token in base64 and 256"),
        (lambda content: [*content, content[3].split()[0] + b" 256"], "line 257 has the same token as line 4"),
        (lambda content: [*content, b"??? 256"], "line 257: b'\\?\\?\\?' is no base64"),
        (lambda content: [b"\x80\x81 words"], "line 1 is"),
        (lambda content: [], "lacks 256 of the 256"),
    ],
)
def test_a_damaged_vocabulary_is_named(change: Any, says: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.tiktoken"
    path.write_bytes(b"\n".join(change(lines())))
    with pytest.raises(EngineError, match=says) as caught:
        load_encoder(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_an_empty_token_counts_and_never_matches(tmp_path: Path) -> None:
    path = tmp_path / "with_empty.tiktoken"
    path.write_bytes(b"\n".join([*lines(), b"= 256", base64.b64encode(b"ab") + b" 257"]))
    encoder = load_encoder(path)
    assert encoder.size == 258 + 1673
    assert encoder.encode("abc") == [257, ord("c")]


def test_a_vocabulary_of_another_checkpoint_is_told(tiny25: Path) -> None:
    with pytest.raises(EngineError, match=r"has \d+ tokens, config.yaml says 60509: it belongs to another checkpoint"):
        load_encoder(next(tiny25.glob("*.tiktoken")), 60_509)


# Packages that may be missing


def without(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    real = builtins.__import__

    def load(name: str, *arguments: Any, **settings: Any) -> Any:
        if name.split(".")[0] in packages:
            raise ImportError(f"No module named {name!r}")
        return real(name, *arguments, **settings)

    monkeypatch.setattr(builtins, "__import__", load)


def test_without_tiktoken_the_extra_is_named(tiny25: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "tiktoken")
    with pytest.raises(EngineError, match=r"needs the package 'tiktoken'.*extra 'indextts2'"):
        load_encoder(next(tiny25.glob("*.tiktoken")))


def test_without_fugashi_japanese_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "fugashi", "unidic_lite")
    japanese._tagger.cache_clear()
    with pytest.raises(EngineError, match=r"needs the packages fugashi and unidic-lite.*extra 'indextts2-ja'"):
        japanese.split_words("東京")
    japanese._tagger.cache_clear()


def test_words_keep_the_blanks_of_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(japanese, "_tagger", lambda: lambda text: list(text))
    assert japanese.split_words("東京  です") == "東 京  で す"


def test_without_a_grammar_spanish_numbers_stay_and_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(spanish, "find_spec", lambda name: None)
    for cached in (spanish._grammar, spanish._warn_once):
        cached.cache_clear()
    assert spanish.spanish_identity() == "none"
    assert [spanish.normalise_spanish(text) for text in ("Son 3.", "Son 4.", "Hola.")] == ["Son 3.", "Son 4.", "Hola."]
    assert len(caplog.records) == 1
    assert "nemo-text-processing" in caplog.text
    for cached in (spanish._grammar, spanish._warn_once):
        cached.cache_clear()


def test_the_spanish_grammar_is_asked(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    class Grammar:
        def __init__(self, input_case: str, lang: str) -> None:
            assert (input_case, lang) == ("cased", "es")

        def normalize(self, text: str) -> str:
            if "bad" in text:
                raise AssertionError
            return text.replace("3", "tres")

    name = f"{spanish.PACKAGE}.text_normalization.normalize"
    for module in (spanish.PACKAGE, f"{spanish.PACKAGE}.text_normalization"):
        monkeypatch.setitem(sys.modules, module, SimpleNamespace())  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, name, SimpleNamespace(Normalizer=Grammar))  # type: ignore[arg-type]
    monkeypatch.setattr(spanish, "find_spec", lambda name: object())
    spanish._grammar.cache_clear()
    assert spanish.normalise_spanish("Son 3.") == "Son tres."
    assert spanish.normalise_spanish("bad 3") == "bad 3"
    assert "its numbers stay digits" in caplog.text
    spanish._grammar.cache_clear()
