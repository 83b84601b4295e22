"""Lists of voices and models: one body in which each client finds the keys that it looks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from vtune.voice_format.record import VoiceRecord


def voices_body(voices: Mapping[str, VoiceRecord], aliases: Mapping[str, str]) -> dict[str, Any]:
    """Return voices and aliases, under ``voices`` and again as the ``data`` of a ``list``, with ``id`` and ``name``."""
    listed = [_voice(name, record) for name, record in voices.items()]
    listed += [
        {"id": name, "name": name, "object": "audio.voice", "alias_of": target}
        for name, target in aliases.items()
        if name not in voices
    ]
    return {"object": "list", "voices": listed, "data": listed}


def models_body(models: Sequence[str]) -> dict[str, Any]:
    """Return models as OpenAI lists them, and again under ``models``."""
    data = [{"id": name, "object": "model", "created": 0, "owned_by": "vtune"} for name in models]
    return {"object": "list", "data": data, "models": data}


def _voice(name: str, record: VoiceRecord) -> dict[str, Any]:
    return {
        "id": name,
        "name": name,
        "object": "audio.voice",
        "created_at": _seconds(record.created),
        "engine": record.engine,
        "method": record.method,
        "sample_rate": record.sample_rate,
        "licence": record.licence,
        "mixed": record.mix is not None,
        "consent_stated": record.consent is not None,
    }


def _seconds(created: str) -> int:
    try:
        return int(datetime.fromisoformat(created).timestamp())
    except (ValueError, OverflowError):
        return 0
