"""Export a voice only if it states a consent, or if the user takes the responsibility with a given sentence."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime

from vtune.errors import VoiceError, shown
from vtune.voice_format.record import VoiceRecord

CONSENT_SENTENCE = "I have the right to publish this voice"
"""The sentence that a user must give, word for word, to export a voice that states no consent."""


def require_consent(record: VoiceRecord, sentence: str | None) -> str | None:
    """Return None for a voice that states a consent, else a sentence for the card about who exported it without one.

    :param sentence: what the user gave instead of a consent.
    :raises VoiceError: there is neither a consent nor the sentence; the message says what to do.
    """
    if _stated(record):
        return None
    if sentence is None:
        raise VoiceError(
            f"voice {record.name!r} does not say whose it is and on what consent: state `consent:` in its recipe and "
            f"run the recipe again (nothing is trained anew), or take the responsibility yourself: "
            f"--without-consent {CONSENT_SENTENCE!r}"
        )
    if sentence.strip() != CONSENT_SENTENCE:
        raise VoiceError(
            f"--without-consent takes this sentence, word for word: {CONSENT_SENTENCE!r}; found {shown(sentence)}"
        )
    today = datetime.now(UTC).date().isoformat()
    return f"It was exported all the same on {today} by {_user()}, who said: \u201c{CONSENT_SENTENCE}.\u201d"


def _stated(record: VoiceRecord) -> bool:
    consent = record.consent or {}
    return bool(consent.get("person", "").strip() and consent.get("statement", "").strip())


def _user() -> str:
    try:
        return f"the user {getpass.getuser()!r}"
    except (OSError, KeyError):  # the user of a container may have no name
        return "a user without a name"
