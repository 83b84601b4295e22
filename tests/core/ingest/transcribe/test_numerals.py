"""Numerals in a recogniser's text become words, by decoding again or by the rules of the language."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtune.dataset import open_source
from vtune.ingest.transcribe import Transcript, open_recogniser, transcribe_folder
from vtune.ingest.transcribe import numerals as numerals_module
from vtune.ingest.transcribe.number_words import NumberWordsRecogniser, missing_rules, write_numbers
from vtune.ingest.transcribe.numerals import decode_numerals_in_words, numeral_tokens, numerals_in
from vtune.recipe import SourceRecipe
from vtune.recipe.data_sections import TranscribeRecipe


@pytest.mark.parametrize(
    ("text", "numerals"),
    [
        ("On the 20th, he paid $5.", ["20th", "$5"]),
        ("3.5% at 10:30 (1455)", ["3.5%", "10:30", "1455"]),
        ("Tom & Jerry, ½ of ١٢ €", ["&", "½", "١٢", "€"]),
        ("the twentieth, in nineteen oh eight; 二十", []),
        ("", []),
    ],
)
def test_numerals_are_found(text: str, numerals: list[str]) -> None:
    assert numerals_in(text) == numerals


def test_tokens_of_numerals_are_found_and_special_tokens_are_not() -> None:
    texts = ["a", " 19", "0", "<|0.20|>", "%", "�", " £", "th", "<|en|>"]
    assert [texts[index] for index in numeral_tokens(texts)] == [" 19", "0", "%", " £"]


def test_only_texts_with_numerals_are_decoded_again() -> None:
    first = [Transcript("no number", "en", 0.9, -0.1, 0.2), Transcript("the 20th of May", "en", 0.8, -0.2, 0.3)]
    asked: list[int] = []

    def again(indices: list[int]) -> list[Transcript]:
        asked.extend(indices)
        return [Transcript("the twentieth of May", logprob=-0.4)]

    assert decode_numerals_in_words(first, again) == [
        first[0],
        Transcript("the twentieth of May", "en", 0.8, -0.4, 0.3, ("20th",)),
    ]
    assert asked == [1]


@pytest.mark.parametrize(
    "second",
    [
        Transcript("the of May", logprob=-0.4),  # the number was skipped
        Transcript("the twentieth of May", logprob=-1.4),
        Transcript("the " + "twenty " * 40, logprob=-0.1),
        Transcript("the 20 of May", logprob=-0.1),
        Transcript(""),
    ],
)
def test_a_text_that_is_not_plausible_does_not_replace_the_first(second: Transcript) -> None:
    first = [Transcript("the 20th of May", logprob=-0.2)]
    assert decode_numerals_in_words(first, lambda _: [second]) == first


class TestRules:
    @pytest.fixture(autouse=True)
    def _rules(self) -> None:
        pytest.importorskip("num2words", reason="the extra numbers is not installed")

    @pytest.mark.parametrize(
        ("language", "text", "words"),
        [
            ("en", "On the 20th, he paid $5.", "On the twentieth, he paid five dollars."),
            ("en", "1,455 men in 1455", "one thousand four hundred and fifty-five men in fourteen fifty-five"),
            ("en", "3.5% at 10:30, 10:00, 10:05", "three point five percent at ten thirty, ten o'clock, ten oh five"),
            ("en", "$1.50 and £2.01", "one dollar and fifty cents and two pounds and one penny"),
            ("en", "1990s, 007, 2/3, 3-4, B2B, 25:10", "1990s, 007, 2/3, 3-4, B2B, 25:10"),
            ("de", "1.455 Leute, 3,5 Meter", "eintausendvierhundertfünfundfünfzig Leute, drei Komma fünf Meter"),
            ("de", "am 20. Mai um 10:30 für 5 %", "am 20. Mai um 10:30 für fünf %"),
            ("fr", "Il y a 21 ans.", "Il y a vingt et un ans."),
            ("xx", "20 x", "20 x"),
        ],
    )
    def test_numbers_are_written_in_words(self, language: str, text: str, words: str) -> None:
        assert write_numbers(text, language) == words

    @given(st.text("0123456789.,:$%€£ -/asth", max_size=40), st.sampled_from(["en", "de", "fr", "ru", "ja", "xx"]))
    def test_any_text_is_taken_and_what_has_no_digits_stays(self, text: str, language: str) -> None:
        written = write_numbers(text, language)
        assert sum(map(str.isdigit, written)) <= sum(map(str.isdigit, text))
        assert written == text or numerals_in(text)

    def test_a_language_without_rules_says_so(self) -> None:
        assert missing_rules("en") is None
        assert missing_rules("xx") == "num2words has no rules for language 'xx'"

    def test_a_recogniser_gets_the_rules_of_its_transcripts_language(self, fake) -> None:
        settings = TranscribeRecipe(model="fake", language="auto")
        transcripts = [Transcript("20 Leute", "de"), Transcript("20 people", "en"), Transcript("20 x", "xx")]
        recogniser = NumberWordsRecogniser(fake(*transcripts), settings)
        texts = recogniser.transcribe([np.zeros(1, np.float32)] * 3)
        assert [text.text for text in texts] == ["zwanzig Leute", "twenty people", "20 x"]
        assert [text.numerals for text in texts] == [("20",), ("20",), ()]


def test_without_the_extra_numbers_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "num2words", None)
    assert write_numbers("the 20th", "en") == "the 20th"
    assert "extra 'numbers'" in str(missing_rules("en"))


def test_the_table_says_what_was_written_out_and_training_reads_the_words(
    folder: Callable[..., Path], go, rows_of
) -> None:
    root = folder("a.wav", "b.wav", "c.wav")
    spelled = Transcript("on the twentieth", logprob=-0.2, no_speech=0.01, numerals=("20th", "$5"))
    report = go(root, "no number", spelled, "in 1455")
    assert [row["written_out"] for row in rows_of(report.table)] == ["", "20th $5", ""]
    assert [row.text for row in open_source(SourceRecipe(source=str(report.table)), Path()).rows()][1] == spelled.text
    lines = "\n".join(report.lines())
    assert "in words in 1 rows" in lines
    assert "1 numbers are left in digits (1455)" in lines
    edited = report.table.read_text().replace("on the twentieth", "on the twenty first")
    report.table.write_text(edited)
    go(root)
    assert report.table.read_text() == edited, "a row of the user stays, with the column that vtune added"


class TestBackends:
    """Each backend with a random model: its texts are full of digits, and no second text is compared with the first."""

    @pytest.fixture(autouse=True)
    def _all_plausible(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(numerals_module, "_is_plausible", lambda *_: True)

    @pytest.fixture
    def texts(self, babble: Callable[..., np.ndarray]) -> Callable[..., list[list[str]]]:
        def transcribe(model: Path, **more: Any) -> list[list[str]]:
            sounds: Sequence[np.ndarray] = [babble(1.0), babble(1.5, 1)]
            return [
                [result.text for result in open_recogniser(recipe(model, numbers, **more)).transcribe(sounds)]
                for numbers in ("digits", "words")
            ]

        return transcribe

    def test_openai_whisper(self, texts, whisper_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
        # The random model likes no digits, so its letter "p" counts as one.
        monkeypatch.setattr(numerals_module, "_OTHER_NUMERALS", frozenset("p"))
        digits, words = texts(whisper_file(multilingual=True))
        assert any(map(numerals_in, digits))
        assert not any(map(numerals_in, words))

    def test_whisper_of_transformers(self, texts, hub_whisper: Path) -> None:
        digits, words = texts(hub_whisper, backend="transformers")
        assert any(map(numerals_in, digits))
        assert not any(map(numerals_in, words))

    def test_any_model_of_transformers_that_generates(self, texts, hub_moonshine: Path) -> None:
        digits, words = texts(hub_moonshine, backend="transformers")
        assert any(map(numerals_in, digits))
        assert not any(map(numerals_in, words))

    def test_faster_whisper(self, texts, monkeypatch: pytest.MonkeyPatch) -> None:
        vocabulary = ["<|0.02|>", " twenty", " 20", "$", "one"]

        class Model:
            supported_languages = ("en",)
            hf_tokenizer = SimpleNamespace(
                get_vocab_size=lambda: len(vocabulary), decode=lambda ids, skip_special_tokens: vocabulary[ids[0]]
            )

            def __init__(self, name: str, **_: Any) -> None:
                pass

            def transcribe(self, _: np.ndarray, suppress_tokens: Sequence[int] = (-1,), **more: Any) -> tuple[Any, Any]:
                assert -1 in suppress_tokens, "Whisper's own suppressed tokens stay suppressed"
                text = " twenty" if 2 in suppress_tokens and 0 not in suppress_tokens else " 20"
                return [SimpleNamespace(text=text, avg_logprob=-0.2, no_speech_prob=0.0)], SimpleNamespace(
                    language="en"
                )

        module = ModuleType("faster_whisper")
        module.WhisperModel = Model  # type: ignore[attr-defined]
        monkeypatch.setitem(__import__("sys").modules, "faster_whisper", module)
        digits, words = texts(Path("base"), backend="faster-whisper")
        assert digits == ["20"] * 2
        assert words == ["twenty"] * 2


def recipe(model: Path, numbers: str, **more: Any) -> TranscribeRecipe:
    return TranscribeRecipe.model_validate({"model": str(model), "device": "cpu", "numbers": numbers, **more})


def test_another_style_of_numbers_recognises_again(folder: Callable[..., Path], fake) -> None:
    root = folder("a.wav")
    for numbers, recordings in (("words", 1), ("digits", 1), ("digits", 0)):
        report = transcribe_folder(root, recipe(Path("fake"), numbers), recogniser=fake("some words"))
        assert report.heard == recordings
