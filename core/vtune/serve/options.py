"""Engine options as a server has them, whatever a voice was trained with."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from typing import Any

from vtune.engines import Engine
from vtune.serve.registry import RequestedVoice
from vtune.types.options import runtime_values, sampling_names
from vtune.voice_format.record import VoiceRecord
from vtune.voices.voice_options import options_of


def streaming_defaults(chosen: RequestedVoice, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that a voice has here: what its engine advises, and over it what the server was told."""
    return {**chosen.engine.info.streaming_defaults, **options}


def sampling_of(engine: Engine, record: VoiceRecord, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sampling options of a voice with its ``streaming_defaults``.

    :raises EngineError: the engine has no such option.
    """
    there = options_of(engine, record, options)
    return {name: getattr(there, name) for name in sampling_names(engine.info.options)}


def base_key(chosen: RequestedVoice, options: Mapping[str, Any]) -> Hashable:
    """Return what voices on one base have in common: the options that affect the runtime, those of extensions, and the
    base's files.

    Other options may differ. Whole modules beside an adapter, and voices without one, take a base of their own.

    :raises EngineError: an option is none of the engine's.
    """
    record = chosen.record
    loaded_with = runtime_values(options_of(chosen.engine, record, streaming_defaults(chosen, options)))
    full_modules = record.lora.get("modules_to_save") or []
    alone = chosen.key if record.method != "lora" else None
    extensions = {name: [extension.options, extension.wraps] for name, extension in record.extensions.items()}
    return record.engine, json.dumps([loaded_with, extensions, record.fingerprint, full_modules], sort_keys=True), alone
