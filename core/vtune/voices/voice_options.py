"""The engine options of a voice, with some of them changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from vtune.engines import Engine
from vtune.errors import EngineError, nearest, shown
from vtune.recipe.explain import explain
from vtune.types import EngineOptions
from vtune.voice_format.record import VoiceRecord


def options_of(engine: Engine, record: VoiceRecord, changes: Mapping[str, Any]) -> EngineOptions:
    """Return the options of a voice with some of them changed. :raises EngineError: an option is not valid."""
    try:
        return engine.info.options.model_validate({**record.engine_options, **changes})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            hint = nearest(name, engine.info.options.model_fields)
            raise EngineError(f"engine {engine.name!r} has no option {shown(name)}{hint}") from error
        raise EngineError(f"engine option {shown(name)}{explain(first)}") from error
