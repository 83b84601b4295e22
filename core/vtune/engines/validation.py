"""Check what engines and extensions declare about themselves, before anything relies on it."""

from __future__ import annotations

from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

import pluggy

from vtune.errors import EngineError, choices, listed, nearest, reason, shown
from vtune.types import (
    CAPABILITIES,
    EFFECTS,
    Effect,
    EngineInfo,
    EngineOptions,
    ExtensionInfo,
    LoraSettings,
    effects_of,
)
from vtune.types.options import sampling_names, text_names


def engine_information(manager: pluggy.PluginManager, what: str) -> EngineInfo:
    """Return the engine's ``EngineInfo``, checked.

    :param what: how errors name the engine.
    :raises EngineError: ``engine_info`` raises, or returns something that is not a valid ``EngineInfo``.
    """
    try:
        info = manager.hook.engine_info()
    except EngineError:
        raise
    except Exception as error:  # somebody else's code; `vtune engines` goes on with the next engine
        raise EngineError(f"{what}: engine_info failed: {reason(error)}") from error
    if not isinstance(info, EngineInfo):
        raise EngineError(f"{what}: engine_info returned {shown(info)}, no EngineInfo")
    for field, (kind, expected) in _FIELDS.items():
        value = getattr(info, field)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise EngineError(f"{what}: engine_info gives {field} {shown(value)}, it must be {expected}")
    if info.sample_rate <= 0:
        raise EngineError(f"{what}: engine_info gives sample_rate {info.sample_rate}, it must be Hz above 0")
    _check_options(info.options, what, "engine_info")
    unknown = sorted(set(map(str, info.supports)) - CAPABILITIES)
    if unknown:
        hint = choices(unknown[0], CAPABILITIES, "capabilities")
        raise EngineError(f"{what}: engine_info says that it supports {shown(unknown[0])}{hint}")
    strangers = sorted(set(info.streaming_defaults) - set(info.options.model_fields))
    if strangers:
        hint = nearest(str(strangers[0]), info.options.model_fields)
        named = listed(map(shown, strangers))
        raise EngineError(f"{what}: streaming_defaults names {named}, which the options do not have{hint}")
    _require_reader(manager, what, sampling_names(info.options), "sampling", ("synthesize", "convert"), "sampling")
    _require_reader(manager, what, text_names(info.options), "text", ("prepare_text",), "options")
    return info


def _require_reader(
    manager: pluggy.PluginManager, what: str, names: list[str], effect: Effect, hooks: tuple[str, ...], argument: str
) -> None:
    """Check that a hook takes the argument in which the values of some options come."""
    implementations = [
        implementation for hook in hooks for implementation in getattr(manager.hook, hook).get_hookimpls()
    ]
    if names and not any(argument in implementation.argnames for implementation in implementations):
        raise EngineError(
            f"{what}: option {names[0]!r} affects {effect}, but {' or '.join(hooks)} does not take {argument!r}"
        )


def extension_models(manager: pluggy.PluginManager) -> dict[str, type[EngineOptions]]:
    """Return the option model of each extension by the name of its section in the recipe.

    :raises EngineError: an extension raises or returns something else, or two extensions have one section.
    """
    models: dict[str, type[EngineOptions]] = {}
    for implementation in manager.hook.extension_info.get_hookimpls():
        what = implementation.plugin_name
        try:
            info = implementation.function()
        except Exception as error:  # as above
            raise EngineError(f"{what}: extension_info failed: {reason(error)}") from error
        if not isinstance(info, ExtensionInfo) or not isinstance(info.name, str):
            raise EngineError(f"{what}: extension_info returned {shown(info)}, no ExtensionInfo")
        _check_options(info.options, what, "extension_info")
        sampling = sampling_names(info.options)
        if sampling:
            raise EngineError(
                f"{what}: option {sampling[0]!r} affects sampling, but no request can change an extension's option; "
                "write affects='speech'"
            )
        if info.name in models:
            raise EngineError(f"{what}: another extension has the section {info.name!r} too; uninstall one of them")
        models[info.name] = info.options
    return models


_FIELDS: dict[str, tuple[Any, str]] = {
    "sample_rate": (int, "a whole number of Hz"),
    "features_version": (str, "text"),
    "lora": (LoraSettings, "LoraSettings"),
    "lora_targets": (Mapping, "a mapping of names to tuples of module names"),
    "streaming_defaults": (Mapping, "a mapping of names of options to values"),
    "paired_features": (Set, "a set of names of features"),
    "length_feature": (str, "the name of a feature"),
    "licence": (str, "text"),
    "licence_id": (str, "text"),
    "licence_name": (str, "text"),
    "licence_note": (str, "text"),
    "clips_as_recorded": (bool, "true or false"),
    "supports": (Set, "a set of capabilities"),
    "recipes": (Path | None, "the path of a folder of recipes, or None"),
}


def _check_options(options: Any, what: str, hook: str) -> None:
    if not (isinstance(options, type) and issubclass(options, EngineOptions)):
        raise EngineError(
            f"{what}: {hook} gives options {shown(options)}, it must be a subclass of vtune.EngineOptions"
        )
    for name in options.model_fields:
        effects = effects_of(options, name)
        strange = next((effect for effect in effects if effect not in EFFECTS), None)
        if strange is not None:
            raise EngineError(f"{what}: option {name!r} affects {shown(strange)}{choices(strange, EFFECTS, 'effects')}")
        if not effects:
            raise EngineError(
                f"{what}: option {name!r} does not say what it affects; declare it as `{name}: ... = "
                f"vtune.option(..., affects='training')`, with one or several of {', '.join(EFFECTS)}"
            )
        if {"sampling", "runtime"} <= set(effects):
            raise EngineError(
                f"{what}: option {name!r} affects sampling and runtime; a value of one request cannot be what the base "
                "is loaded with, so keep one of the two"
            )
