"""Red flags mark doubtful texts, and do not mark good ones."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtune.ingest.transcribe.boilerplate import find_boilerplate
from vtune.ingest.transcribe.red_flags import TextEvidence, flag_kind, flags_in_folder, flags_of, letters_per_second
from vtune.ingest.transcribe.transcript_rows import FLAG_SEPARATOR

GOOD = TextEvidence("Author of the danger trail, Philip Steels, etc.", 2.87, "en", logprob=-0.38, no_speech=0.01)


def kinds(one: TextEvidence) -> list[str]:
    return [flag_kind(flag) for flag in flags_of(one)]


def said(text: str, speech: float | None = None, **more: object) -> TextEvidence:
    letters = sum(c.isalnum() for c in text)
    return replace(GOOD, text=text, speech=speech or letters / 13, **more)


@pytest.mark.parametrize(
    "text",
    [
        GOOD.text,
        "No, no, no! I won't.",
        "That that is, is. That that is not, is not.",
        "Bye bye baby, bye bye.",
        "very very very good",
        "Thank you.",
        "You are the one.",
        "Hmm, hahaha!",
        "Subtitles are what I read when I watch films.",
        "She lives at 1600 Pennsylvania Avenue.",
        "Naïve café, Zoë; façade.",
    ],
)
def test_good_texts_raise_none(text: str) -> None:
    assert flags_of(said(text)) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("I think I think I think so", "'i think' 3 times"),
        ("no no no no", "'no' 4 times"),
        ("and then he said it and then he said it and then he said it", "'and then he said it' 3 times"),
        ("ah " * 80, "'ah' 80 times"),
        ("hahahahahahahaha", "'ha' 8 times"),
        ("好的好的好的好的好的好的好的", "'好的' 7 times"),
        ("na, na. na! " * 30, "times"),
    ],
)
def test_loops_are_told_with_their_words_and_number(text: str, message: str) -> None:
    (flag,) = [flag for flag in flags_of(said(text)) if flag_kind(flag) == "repetition"]
    assert message in flag


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=5), st.integers(3, 9), st.integers(0, 3))
def test_any_words_said_three_times_over_are_a_loop(words: list[str], times: int, ahead: int) -> None:
    text = " ".join([f"w{n}" for n in range(ahead)] + words * max(times, 4 if len(set(words)) == 1 else 3))
    assert "repetition" in kinds(said(text))


@given(st.permutations([f"word{n}" for n in range(12)]))
def test_words_that_differ_are_no_loop(words: list[str]) -> None:
    assert "repetition" not in kinds(said(" ".join(words)))


@pytest.mark.parametrize(
    "text",
    [
        "you", " You.", "Thanks for watching!", "Thank you for watching.", "Subtitles by the Amara.org community",
        "Untertitelung des ZDF, 2020", "Sous-titres réalisés par la communauté d'Amara.org",
        "Редактор субтитров А.Семкин", "ご視聴ありがとうございました",
        "字幕由Amara.org社区提供", "Visit www.example.com",
    ],
)  # fmt: skip
def test_ends_of_films_are_told(text: str) -> None:
    assert find_boilerplate(text, unsure=False)
    assert "boilerplate" in kinds(said(text))


def test_what_people_do_say_counts_only_where_the_recogniser_is_unsure() -> None:
    assert "boilerplate" not in kinds(said("Thank you."))
    assert "boilerplate" in kinds(said("Thank you.", no_speech=0.9))
    assert "boilerplate" in kinds(said("Thank you.", logprob=-1.4))
    assert find_boilerplate("He left early. Thanks for watching.", unsure=False) is None
    assert find_boilerplate("He left early. Thanks for watching.", unsure=True)


def test_numbers_stand_in_the_words_of_the_flags() -> None:
    flags = flags_of(replace(GOOD, logprob=-1.25, no_speech=0.71))
    assert any("-1.25" in flag for flag in flags)
    assert any("0.71" in flag for flag in flags)


def test_what_a_recogniser_does_not_tell_raises_nothing() -> None:
    assert flags_of(replace(GOOD, logprob=None, no_speech=None)) == []


@pytest.mark.parametrize(
    ("change", "flagged"),
    [
        ({"language": "en", "language_probability": 0.99}, False),
        ({"language": "de", "language_probability": 0.95}, True),
        ({"language": "cy", "language_probability": 0.4}, False),
        ({"text": "Это русский текст"}, True),
        ({"text": "Say Привет to him, and go on with it as before"}, False),
        ({"text": "こんにちは", "expected_language": "ja"}, False),
        ({"text": "Zażółć gęślą jaźń", "expected_language": "pl"}, False),
        ({"text": "Это русский текст", "expected_language": "auto"}, False),
        ({"text": "Это русский текст", "expected_language": "xx"}, False),
    ],
)
def test_another_language_is_told_by_sound_and_by_letters(change: dict[str, object], flagged: bool) -> None:
    assert ("language" in kinds(replace(GOOD, **change))) is flagged


@pytest.mark.parametrize(("text", "speech"), [("Hm.", 8.0), ("He said all of this in half a second, they say.", 0.5)])
def test_words_that_do_not_fit_the_time_are_told(text: str, speech: float) -> None:
    assert kinds(said(text, speech)) == ["pace"]


def test_paces_are_compared_over_scripts() -> None:
    chinese = letters_per_second(TextEvidence("今天天气很好我们去公园走走", 3.0, "zh"))
    assert chinese is not None
    assert 8 < chinese < 20


def test_a_clip_that_is_read_otherwise_than_the_folder_is_told_with_the_median() -> None:
    random = np.random.default_rng(0)
    folder = [said(GOOD.text, 36 / pace) for pace in 13 * np.exp(random.normal(0, 0.1, 40))]
    folder[7] = said(GOOD.text, 36 / 5.0)
    result = flags_in_folder(folder)
    assert [index for index, flags in enumerate(result) if flags] == [7]
    median = np.median([letters_per_second(evidence) for evidence in folder])
    assert f"median is {median:.1f}" in result[7][0]
    assert all(not flags for flags in flags_in_folder(folder[:10])), "of ten clips nobody knows the pace"


def test_digits_are_spoken_at_length() -> None:
    number = letters_per_second(TextEvidence("1908", 1.2, "en"))
    words = letters_per_second(TextEvidence("nineteen oh eight", 1.2, "en"))
    assert number == pytest.approx(words, rel=0.1)


def test_a_clip_that_is_less_sure_than_its_folder_is_told_with_the_median() -> None:
    random = np.random.default_rng(0)
    sure = [replace(GOOD, logprob=float(value)) for value in random.normal(-0.1, 0.04, 40)]
    odd = replace(GOOD, logprob=-0.6)
    assert not any(flags_in_folder([odd] * 40)), "where all are so, it is the recording or the model"
    *others, flags = flags_in_folder([*sure, odd])
    assert not any(others)
    assert "-0.60" in flags[0]
    assert "median is -0.1" in flags[0]


def test_a_clip_in_another_language_than_most_is_told() -> None:
    auto = replace(GOOD, expected_language="auto", language="en", language_probability=0.9)
    result = flags_in_folder([auto] * 9 + [replace(auto, language="cy")])
    assert [bool(flags) for flags in result] == [False] * 9 + [True]
    assert "'cy'" in result[9][0]
    assert not any(flags_in_folder([auto] * 3 + [replace(auto, language="cy")] * 3))


@given(
    st.text(max_size=80),
    st.floats(0, 60),
    st.one_of(st.none(), st.floats(-20, 0)),
    st.one_of(st.none(), st.floats(0, 1)),
    st.sampled_from(["en", "ja", "auto", "xx"]),
)
def test_any_text_is_examined_and_its_flags_can_be_told_apart(
    text: str, speech: float, logprob: float | None, no_speech: float | None, wanted: str
) -> None:
    text = " ".join(text.split())
    flags = flags_of(TextEvidence(text, speech, wanted, "de", 0.9, logprob, no_speech))
    known = {"repetition", "boilerplate", "probability", "silence", "language", "pace"}
    assert len(set(map(flag_kind, flags))) == len(flags)
    assert set(map(flag_kind, flags)) <= known
    assert [
        flag_kind(flag)
        for flag in FLAG_SEPARATOR.join(flags).split(FLAG_SEPARATOR)
        if flag and flag_kind(flag) in known
    ] == [flag_kind(flag) for flag in flags]


def test_loops_in_a_long_text_are_found_quickly() -> None:
    text = " ".join(f"w{n % 997}" for n in range(5000))
    assert kinds(said(text, math.inf)) in (["pace"], [], ["repetition", "pace"], ["repetition"])
