"""List all checks with their titles, and make findings."""

from __future__ import annotations

from vtune.curation.doctor.findings import Finding, Measure, Severity
from vtune.dataset import Row

CHECK_TITLES = {
    "missing": "recordings that do not exist",
    "unreadable": "recordings that cannot be read",
    "truncated": "recordings that are incomplete",
    "extension": "files whose extension does not match their content",
    "row": "broken rows in a table",
    "unlisted": "recordings without words",
    "no-words": "rows without words",
    "unspeakable": "texts with markup, notes, control characters or lost characters",
    "invisible": "words with invisible characters",
    "formula": "words that a spreadsheet would take for a formula",
    "symbols": "words with digits or symbols",
    "flagged": "rows that are marked as doubtful",
    "same-words": "words that occur more than once",
    "pace": "words that do not match the length of their recording",
    "no-speech": "recordings without speech",
    "clipping": "clipped recordings",
    "level": "speech that is too quiet or too loud",
    "level-outlier": "recordings that are much quieter or louder than the others",
    "noise": "noise behind the speech",
    "hum": "mains hum",
    "offset": "waveforms that are not centred on zero",
    "bandwidth": "sound without high frequencies",
    "rate": "recordings with a lower sample rate than the engine's",
    "silence": "long silence at the start or the end",
    "pause": "long pauses within a recording",
    "chopped": "words that are cut off at the start or the end",
    "short": "short recordings",
    "long": "long recordings",
    "budget": "clips that are too long for the engine",
    "two-texts": "recordings with different words in different rows",
    "same-sound": "recordings that occur more than once",
    "similar-sound": "recordings that are nearly the same",
    "voice": "recordings that do not sound like the same speaker",
    "leak": "clips in both training and validation",
    "amount": "amount of speech",
}
"""Title of every check by its stable name, in the order of the report. To add a check, add its name here."""


def make_finding(
    check: str, severity: Severity, row: Row | None, message: str, advice: str, measure: Measure | None = None
) -> Finding:
    """Return a finding about a row, or about the whole data set if ``row`` is None."""
    if row is None:
        return Finding(check, severity, message, advice, measure=measure)
    return Finding(check, severity, message, advice, row.file, row.line, row.audio, measure)
