from __future__ import annotations

import pytest

from vtune.curation.doctor.findings import Severity
from vtune.curation.doctor.text_checks import count_letters, text_findings
from vtune.dataset import Row
from vtune.dataset.sources.plain_text import spoken_form, unfit_words


def checks(text: str, *, engine: bool = False, flags: str = "") -> dict[str, Severity]:
    row = Row("t.csv", 3, "a.wav", text, "", unfit_words(text), red_flags=flags)
    return {finding.check: finding.severity for finding in text_findings(row, engine=engine)}


@pytest.mark.parametrize(
    "text",
    ["Hello there.", "- Well, he said.", "Grüße aus Köln!", "这是一句话。", "می‌خواهم", "क्‍ष", "It's five o'clock."],
)
def test_words_as_they_are_spoken_are_left_alone(text: str) -> None:
    assert checks(text, engine=True) == {}


@pytest.mark.parametrize("text", ["I have 3 dogs", "five %", "see www.example.org", "a & b", "x = y", "١٢ dogs"])
def test_digits_and_symbols_matter_more_with_an_engine(text: str) -> None:
    assert checks(text) == {"symbols": Severity.NOTE}
    assert checks(text, engine=True) == {"symbols": Severity.WARNING}


@pytest.mark.parametrize("text", ['=HYPERLINK("http://x")', "+49 is Germany", "-dash", "@name"])
def test_what_a_spreadsheet_would_compute_is_found(text: str) -> None:
    assert "formula" in checks(text)


@pytest.mark.parametrize("text", ["a\u200bb", "soft\u00adhyphen", "\u202eturned", "end\ufeff"])
def test_invisible_characters_are_found(text: str) -> None:
    assert "invisible" in checks(text)


@pytest.mark.parametrize(
    ("text", "check"), [("a\x07b", "unspeakable"), ("lost \ufffd", "unspeakable"), ("", "no-words")]
)
def test_words_that_cannot_be_spoken_are_errors(text: str, check: str) -> None:
    assert checks(text)[check] is Severity.ERROR


def test_red_flags_are_told() -> None:
    assert checks("fine words", flags="a loop; wrong language") == {"flagged": Severity.WARNING}


def test_the_same_words_are_the_same_however_written() -> None:
    assert spoken_form("Hello,  WORLD!") == spoken_form("hello world") == spoken_form("ｈｅｌｌｏ world…")
    assert spoken_form("don't") != spoken_form("dont t")
    assert count_letters("ab, c1!") == 4
    assert count_letters("你好") > count_letters("ab")
