"""The names of all checks, and how one finding is written down."""

from __future__ import annotations

from vtune.curation.doctor.findings import Finding, Measure, Severity
from vtune.dataset import Row

CHECKS = {
    "missing": "recordings that are not there",
    "unreadable": "recordings that cannot be read",
    "truncated": "recordings that were cut off",
    "extension": "files that are not what their ending says",
    "row": "rows of a table that are broken",
    "unlisted": "recordings without words",
    "no-words": "rows without words",
    "unspeakable": "words that hold control or lost characters",
    "invisible": "words that hold invisible characters",
    "formula": "words that a spreadsheet would compute",
    "symbols": "digits and symbols in the words",
    "flagged": "words in doubt",
    "same-words": "the same words more than once",
    "pace": "words that do not fit the length of their recording",
    "no-speech": "recordings without speech",
    "clipping": "clipped recordings",
    "level": "speech too quiet or too loud",
    "level-outlier": "recordings much quieter or louder than the others",
    "noise": "noise under the speech",
    "hum": "mains hum",
    "offset": "waves that do not swing about zero",
    "bandwidth": "sound that ends below what the file could hold",
    "rate": "recordings with fewer samples a second than the engine speaks with",
    "silence": "long silence at the beginning or the end",
    "pause": "long pauses inside",
    "chopped": "words cut at the beginning or the end",
    "short": "short recordings",
    "long": "long recordings",
    "budget": "clips that are too long for the engine",
    "same-sound": "the same recording more than once",
    "similar-sound": "nearly the same recording more than once",
    "voice": "recordings that do not sound like the same speaker",
    "leak": "the same thing in training and in validation",
    "amount": "amount of speech",
}
"""Every check by its stable name, in the order of the report."""


def found(
    check: str, severity: Severity, row: Row | None, message: str, advice: str, measure: Measure | None = None
) -> Finding:
    """Write a finding down; of the whole where there is no row."""
    if row is None:
        return Finding(check, severity, message, advice, measure=measure)
    return Finding(check, severity, message, advice, row.file, row.line, row.audio, measure)
