"""One line of the journal: what became of a recording, with all that was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vtune.ingest.transcribe.flags import Evidence, flags_among
from vtune.ingest.transcribe.recognition import Listened
from vtune.recipe.model import TranscribeRecipe

Entry = dict[str, Any]


def entry_of(recording: str, filename: str, digest: str, told: Listened, settings: TranscribeRecipe, key: str) -> Entry:
    """Make the entry of a recording that was listened to; its flags come when all are known.

    :param recording: path from the folder; ``filename``, what the table calls it.
    :param key: of the settings.
    """
    heard = told.heard
    return {
        "recording": recording,
        "filename": filename,
        "digest": digest,
        "status": told.status,
        "reason": told.why,
        "text": heard.text,
        "flags": [],
        "seconds": round(told.seconds, 3),
        "speech": round(told.speech, 3),
        "logprob": _rounded(heard.logprob),
        "no_speech": _rounded(heard.no_speech),
        "compression": _rounded(heard.compression),
        "heard_language": heard.language,
        "language_probability": _rounded(heard.language_probability),
        "backend": settings.backend,
        "model": settings.model,
        "language": settings.language,
        "key": key,
    }


def after(former: Entry | None, entry: Entry) -> Entry:
    """Take over from a recording's former entry what was written into the table, and note whether it changed since."""
    if former is None or "written" not in former:
        return entry
    changed = former.get("changed", False) or former["digest"] != entry["digest"]
    return {**entry, "written": former["written"], "changed": changed}


def unreadable(former: Entry | None, recording: str, reason: str) -> Entry:
    """Make the entry of a recording that cannot be read now; what was known of it is kept for when it can."""
    known = former or {"filename": "", "digest": "", "text": ""}
    return {**known, "recording": recording, "status": "unreadable", "reason": reason}


def reflagged(entries: Mapping[str, Entry], keys: Sequence[str], wanted: str) -> None:
    """Examine all texts of a folder, each by itself and among the others, and put their flags into their entries."""
    texts = [entries[key] for key in keys if key in entries and entries[key]["status"] == "transcribed"]
    for entry, flags in zip(
        texts, flags_among([evidence(entry, wanted, entry["text"]) for entry in texts]), strict=True
    ):
        entry["flags"] = flags


def evidence(entry: Entry, wanted: str, text: str) -> Evidence:
    """Return what is known of a text that stands for a recording, its own or another."""
    return Evidence(
        text,
        number(entry.get("speech")) or 0.0,
        wanted,
        _string(entry.get("heard_language")),
        number(entry.get("language_probability")),
        number(entry.get("logprob")),
        number(entry.get("no_speech")),
    )


def number(value: Any) -> float | None:
    """Return a number that a journal holds, None where it is none."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), 4)
