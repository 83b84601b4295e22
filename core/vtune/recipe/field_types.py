"""Types of recipe values that several sections share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PlainValidator,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from vtune.runtime.device import DEVICE_NAME, DEVICE_RULE, is_device_name

VOICE_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
"""A voice names a folder, a prompt prefix and a served model, so it is plain."""


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Names = Annotated[
    list[str],
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]}),
]


def _count_or_auto(value: Any) -> Any:
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value
    raise PydanticCustomError("count_or_auto", "must be a whole number above 0, or 'auto'")


def _yes_no_or_auto(value: Any) -> Any:
    if value == "auto":
        return value
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    raise PydanticCustomError("yes_no_or_auto", "must be true, false or 'auto'")


# One validator each, for pydantic's own unions tell of a wrong value once for each of their kinds.
CountOrAuto = Annotated[
    int | Literal["auto"],
    PlainValidator(_count_or_auto),
    WithJsonSchema({"anyOf": [{"type": "integer", "exclusiveMinimum": 0}, {"const": "auto"}]}),
]

YesNoOrAuto = Annotated[
    bool | Literal["auto"],
    PlainValidator(_yes_no_or_auto),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"const": "auto"}]}),
]


def _device(value: Any) -> Any:
    if isinstance(value, str) and is_device_name(value):
        return value
    raise PydanticCustomError("device", DEVICE_RULE)


Device = Annotated[str, PlainValidator(_device), WithJsonSchema({"type": "string", "pattern": DEVICE_NAME})]

VoiceName = Annotated[str, Field(pattern=VOICE_NAME)]

ColumnName = Annotated[
    str,
    BeforeValidator(lambda value: str(value) if type(value) is int else value),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer", "exclusiveMinimum": 0}]}),
]

Fraction = Annotated[float, Field(ge=0, lt=1)]
