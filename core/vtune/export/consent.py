"""Nothing is made to be passed on before it is said on whose consent, unless somebody answers for it."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime

from vtune.errors import VoiceError, shown
from vtune.voice_format.record import VoiceRecord

SENTENCE = "I have the right to publish this voice"
"""What somebody must say, word for word, who exports a voice that states no consent."""


def settle(record: VoiceRecord, said: str | None) -> str | None:
    """Return None for a voice that states a consent, else a sentence for the card: who went on without one.

    :param said: what the user said in the place of a consent.
    :raises VoiceError: neither is there; says what to do.
    """
    if _stated(record):
        return None
    if said is None:
        raise VoiceError(
            f"voice {record.name!r} does not say whose it is and on what consent: state `consent:` in its recipe and "
            f"run it again (nothing is trained anew), or answer for it yourself: --without-consent {SENTENCE!r}"
        )
    if said.strip() != SENTENCE:
        raise VoiceError(f"--without-consent takes this sentence, word for word: {SENTENCE!r}; found {shown(said)}")
    today = datetime.now(UTC).date().isoformat()
    return f"It was exported all the same on {today} by {_who()}, who said: \u201c{SENTENCE}.\u201d"


def _stated(record: VoiceRecord) -> bool:
    consent = record.consent or {}
    return bool(consent.get("person", "").strip() and consent.get("statement", "").strip())


def _who() -> str:
    try:
        return f"the user {getpass.getuser()!r}"
    except (OSError, KeyError):  # a container's user that has no name
        return "a user without a name"
