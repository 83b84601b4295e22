"""The options of extensions that a voice speaks with: those that it was made with."""

from __future__ import annotations

import logging
from typing import Any

from pydantic import ValidationError

from vtune.engines import Engine
from vtune.errors import first_problem, printable
from vtune.types import EngineOptions
from vtune.voice_format.record import ExtensionRecord, VoiceRecord

logger = logging.getLogger(__name__)


def extension_records(engine: Engine) -> dict[str, ExtensionRecord]:
    """Return what a voice keeps about the extensions that took part in its making."""
    records = {}
    for item in engine.active_extensions():
        options = engine.extensions.get(item.info.name) if item.info else None
        values = options.model_dump(mode="json") if options is not None else {}
        if item.info or item.wraps:
            records[item.key] = ExtensionRecord(origin=item.title, options=values, wraps=sorted(item.wraps))
    return records


def with_voice_extensions(engine: Engine, record: VoiceRecord) -> Engine:
    """Return the engine with the options that the extensions had when a voice was made.

    An extension that the voice does not know has its defaults, and takes no part if it is opt-in. A warning says what
    the voice was made with and now speaks without: an extension that is not there, or options that it no longer has.
    """
    extensions: dict[str, EngineOptions] = {}
    for item in engine.installed_extensions():
        if item.info is None:
            continue
        saved = record.extensions.get(item.key)
        if saved is not None or not item.info.opt_in:
            options = _options(record, item.title, item.info.options, saved.options if saved else {})
            if options is not None:
                extensions[item.info.name] = options
    installed = {item.key for item in engine.installed_extensions()}
    for name, saved in record.extensions.items():
        if saved.wraps and name not in installed:
            logger.warning(
                "voice %s was made with %s, which is not loaded here: it speaks without what this extension does in %s",
                record.name, saved.origin, ", ".join(saved.wraps),
            )  # fmt: skip
    return engine.with_extensions(extensions)


def _options(
    record: VoiceRecord, title: str, model: type[EngineOptions], values: dict[str, Any]
) -> EngineOptions | None:
    """Return the options with the values that fit; None if one without a default is left."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        bad = {str(problem["loc"][0]) for problem in error.errors() if problem["loc"]}
        logger.warning(
            "voice %s was made with other options of %s than it has now (%s); the voice speaks with %s",
            record.name, title, printable(first_problem(error)),
            "defaults instead" if bad & values.keys() else "the extension left out",
        )  # fmt: skip
        fitting = {name: value for name, value in values.items() if name not in bad}
        return _options(record, title, model, fitting) if len(fitting) < len(values) else None
