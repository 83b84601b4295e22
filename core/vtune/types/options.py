"""The options of an engine or an extension: each field says what it affects, and every key is derived from that."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError, PydanticUndefined

Effect = Literal["text", "features", "training", "speech", "sampling", "runtime"]
EFFECTS: tuple[Effect, ...] = get_args(Effect)


class Settings(BaseModel):
    """Keys and values that a user writes: unknown keys are refused, values are frozen, numbers are finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        # pydantic takes true for 1, so `early_stopping: true` would mean one validation.
        if isinstance(value, bool) and _is_number(cls.model_fields[str(info.field_name)].annotation):
            raise PydanticCustomError("number_type", "must be a number")
        return value


def _is_number(annotation: Any) -> bool:
    return annotation in (int, float) or any(map(_is_number, get_args(annotation)))


class EngineOptions(Settings):
    """Base of an engine's ``engine_options`` and of an extension's section; each field is an ``option``."""


def option(
    default: Any = PydanticUndefined,
    *,
    affects: Effect | tuple[Effect, ...],
    description: str | None = None,
    **constraints: Any,
) -> Any:
    """Declare a field of ``EngineOptions``, with what a change of its value affects.

    Example: ``beams: int = vtune.option(1, affects="sampling", description="Rows of beam search.", ge=1, le=10)``.

    :param default: the value when a recipe does not have the option; leave it out to require the option.
    :param affects: one effect, or a tuple of several.

        - ``"text"``: ``prepare_text`` returns another text. Its clips are encoded and trained on again, and the voice
          keeps the value, with which ``prepare_text`` is called whenever the voice speaks.
        - ``"features"``: ``prepare_sample`` returns other arrays, so all clips are encoded and trained on again.
        - ``"training"``: the adapter becomes another one, so it is trained again, with the features that exist.
        - ``"speech"``: what the voice keeps changes, so the voice folder is written and spoken again, without training.
        - ``"sampling"``: ``synthesize`` takes the option as ``sampling``, so each request may have another value. The
          voice gets the new value; nothing is spoken again.
        - ``"runtime"``: the files, devices and kernels that the base is loaded with. Nothing is made again, but
          ``vtune serve`` loads another base. The content of files counts through the ``fingerprint`` hooks.
    :param description: one sentence for ``vtune engines``, the reference and the recipe's JSON schema.
    :param constraints: further arguments of ``pydantic.Field``, such as ``ge`` and ``le``.
    """
    effects: list[Any] = list(affects) if isinstance(affects, tuple | list) else [affects]
    return Field(default, description=description, json_schema_extra={"affects": effects}, **constraints)


def effects_of(model: type[EngineOptions], name: str) -> list[str]:
    """Return what an option declares that it affects; an empty list for a field without a declaration."""
    extra = model.model_fields[name].json_schema_extra
    effects = extra.get("affects") if isinstance(extra, dict) else None
    return [str(effect) for effect in effects] if isinstance(effects, list) else []


def features_values(options: EngineOptions) -> dict[str, Any]:
    """Return the values that features depend on; clips are encoded again when one of them changes."""
    return _values(options, "text", "features")


def training_values(options: EngineOptions) -> dict[str, Any]:
    """Return the values that an adapter depends on, those of its features included."""
    return _values(options, "text", "features", "training")


def text_values(options: EngineOptions) -> dict[str, Any]:
    """Return the values that ``prepare_text`` depends on; a voice keeps them."""
    return _values(options, "text")


def speech_values(options: EngineOptions) -> dict[str, Any]:
    """Return the further values that a voice folder depends on; it is written again when one of them changes."""
    return _values(options, "speech")


def runtime_values(options: EngineOptions) -> dict[str, Any]:
    """Return the values that a loaded base depends on; voices that differ in other options can share one base."""
    return _values(options, "runtime")


def text_names(model: type[EngineOptions]) -> list[str]:
    """Return the names of the options that ``prepare_text`` depends on."""
    return _names(model, "text")


def text_defaults(model: type[EngineOptions]) -> dict[str, Any]:
    """Return the defaults of the options that ``prepare_text`` depends on; options that are required have none."""
    fields = {name: model.model_fields[name] for name in text_names(model)}
    return {
        name: field.get_default(call_default_factory=True) for name, field in fields.items() if not field.is_required()
    }


def sampling_names(model: type[EngineOptions]) -> list[str]:
    """Return the names of the options that each request may change."""
    return _names(model, "sampling")


def _values(options: EngineOptions, *effects: Effect) -> dict[str, Any]:
    return options.model_dump(mode="json", include=set(_names(type(options), *effects)))


def _names(model: type[EngineOptions], *effects: Effect) -> list[str]:
    return [name for name in model.model_fields if not set(effects).isdisjoint(effects_of(model, name))]
