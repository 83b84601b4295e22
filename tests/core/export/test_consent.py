from __future__ import annotations

import re
from typing import Any

import pytest

from vtune.errors import VoiceError
from vtune.export.consent import CONSENT_SENTENCE, require_consent
from vtune.voice_format.record import VoiceRecord


def record(consent: Any) -> VoiceRecord:
    return VoiceRecord(
        name="anna", engine="toy", engine_origin="", engine_options={}, method="lora", sample_rate=8000,
        fingerprint={}, servable=True, lora={}, training={}, ledger={}, consent=consent, licence="", vtune="0",
        created="",
    )  # fmt: skip


def test_a_stated_consent_is_enough_and_nothing_else_is_noted() -> None:
    stated = record({"person": "Anna", "statement": "She agreed."})
    assert require_consent(stated, None) is None
    assert require_consent(stated, CONSENT_SENTENCE) is None


@pytest.mark.parametrize(
    "consent", [None, {}, {"person": "Anna"}, {"person": " ", "statement": "yes"}, {"person": "Anna", "statement": ""}]
)
def test_half_a_consent_is_none(consent: Any) -> None:
    with pytest.raises(VoiceError, match=r"voice 'anna' .* state `consent:` in its recipe"):
        require_consent(record(consent), None)
    assert require_consent(record(consent), CONSENT_SENTENCE)


@pytest.mark.parametrize(
    "message", ["", "yes", CONSENT_SENTENCE.lower(), CONSENT_SENTENCE.removeprefix("I "), f"{CONSENT_SENTENCE} maybe"]
)
def test_other_words_do_not_do(message: str) -> None:
    with pytest.raises(VoiceError, match="word for word") as caught:
        require_consent(record(None), message)
    assert repr(CONSENT_SENTENCE) in str(caught.value)


def test_the_card_is_told_who_and_when(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "jane")
    consent = require_consent(record(None), f" {CONSENT_SENTENCE}\n")
    assert consent is not None
    assert re.search(r"on \d{4}-\d\d-\d\d by the user 'jane'", consent)


def test_a_user_without_a_name_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert "a user without a name" in str(require_consent(record(None), CONSENT_SENTENCE))
