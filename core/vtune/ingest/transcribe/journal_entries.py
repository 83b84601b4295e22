"""Make the entries of the journal: one per recording, with its transcript and all that was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vtune.ingest.transcribe.recognition import RecognitionResult
from vtune.ingest.transcribe.red_flags import TextEvidence, flags_in_folder
from vtune.recipe.data_sections import TranscribeRecipe

JournalEntry = dict[str, Any]


def make_entry(
    recording: str, filename: str, digest: str, result: RecognitionResult, settings: TranscribeRecipe, key: str
) -> JournalEntry:
    """Make the entry of a recording that was recognised; flags are added when all recordings are recognised.

    :param recording: relative path in the folder.
    :param filename: name of the recording in the table.
    :param digest: hash of the recording.
    :param key: hash of the settings.
    """
    transcript = result.transcript
    return {
        "recording": recording,
        "filename": filename,
        "digest": digest,
        "status": result.status,
        "reason": result.why,
        "text": transcript.text,
        "written_out": list(transcript.numerals),
        "flags": [],
        "seconds": round(result.seconds, 3),
        "speech": round(result.speech, 3),
        "logprob": _rounded(transcript.logprob),
        "no_speech": _rounded(transcript.no_speech),
        "compression": _rounded(transcript.compression_ratio),
        "heard_language": transcript.language,
        "language_probability": _rounded(transcript.language_probability),
        "backend": settings.backend,
        "model": settings.model,
        "language": settings.language,
        "key": key,
    }


def carry_over(former: JournalEntry | None, entry: JournalEntry) -> JournalEntry:
    """Copy from the former entry what was written into the table, and note whether the recording changed since."""
    if former is None or "written" not in former:
        return entry
    changed = former.get("changed", False) or former["digest"] != entry["digest"]
    return {**entry, "written": former["written"], "changed": changed}


def unreadable_entry(former: JournalEntry | None, recording: str, reason: str) -> JournalEntry:
    """Make the entry of a recording that cannot be read now; its former values are kept for a later run."""
    values = former or {"filename": "", "digest": "", "text": ""}
    return {**values, "recording": recording, "status": "unreadable", "reason": reason}


def update_flags(entries: Mapping[str, JournalEntry], keys: Sequence[str], expected_language: str) -> None:
    """Compute the red flags of all texts of a folder, and store them in the entries.

    :param keys: the entries that belong to the folder.
    :param expected_language: code of the language that should be spoken, or ``auto``.
    """
    texts = [entries[key] for key in keys if key in entries and entries[key]["status"] == "transcribed"]
    evidences = [evidence_of(entry, expected_language, entry["text"]) for entry in texts]
    for entry, flags in zip(texts, flags_in_folder(evidences), strict=True):
        entry["flags"] = flags


def evidence_of(entry: JournalEntry, expected_language: str, text: str) -> TextEvidence:
    """Return the evidence for a text and the recording of an entry; the text may come from a table instead."""
    return TextEvidence(
        text,
        finite_number(entry.get("speech")) or 0.0,
        expected_language,
        _string(entry.get("heard_language")),
        finite_number(entry.get("language_probability")),
        finite_number(entry.get("logprob")),
        finite_number(entry.get("no_speech")),
    )


def finite_number(value: Any) -> float | None:
    """Return a value of a journal as a float; None if it is not a finite number."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), 4)
