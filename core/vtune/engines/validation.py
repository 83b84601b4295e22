"""Check what engines and extensions declare about themselves, before anything relies on it."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pluggy

from vtune.engines.plugin_manager import HINT_TO_BLOCK
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
        raise EngineError(f"{what}: engine_info returned {shown(info)}; it must return a vtune.EngineInfo")
    for field, (kind, expected) in _FIELDS.items():
        value = getattr(info, field)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise EngineError(f"{what}: engine_info gives {field} {shown(value)}; it must be {expected}")
    if info.sample_rate <= 0:
        raise EngineError(f"{what}: engine_info gives sample_rate {info.sample_rate}; it must be Hz above 0")
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


@dataclass(frozen=True, slots=True)
class LoadedExtension:
    """One extension of a plugin manager.

    :param title: how errors name it: ``extension 'x' (x-tts 1.0)``.
    :param info: None for an extension without ``extension_info``.
    :param wraps: the hooks of engines that it wraps.
    """

    title: str
    plugin: object
    info: ExtensionInfo | None
    wraps: frozenset[str]

    @property
    def key(self) -> str:
        """Name for what is made with it: that of its section, or its title without the version."""
        return self.info.name if self.info is not None else self.title.rpartition(" (")[0]


def loaded_extensions(manager: pluggy.PluginManager) -> list[LoadedExtension]:
    """Return the extensions of a plugin manager, what each declares checked.

    :raises EngineError: an extension raises or declares something wrong, or two extensions have one section.
    """
    extensions = [
        LoadedExtension(title, plugin, _extension_info(manager, plugin, title), _wrapped(manager, plugin))
        for title, plugin in manager.list_name_plugin()
        if title.startswith("extension ") and plugin is not None
    ]
    owners: dict[str, str] = {}
    for extension in extensions:
        if extension.info is None:
            continue
        if extension.info.name in owners:
            raise EngineError(
                f"{extension.title}: {owners[extension.info.name]} has the section {extension.info.name!r} too"
                f"{HINT_TO_BLOCK}"
            )
        owners[extension.info.name] = extension.title
    return extensions


def _wrapped(manager: pluggy.PluginManager, plugin: object) -> frozenset[str]:
    callers = manager.get_hookcallers(plugin) or []
    return frozenset(
        caller.name
        for caller in callers
        for implementation in caller.get_hookimpls()
        if implementation.plugin is plugin and (implementation.wrapper or implementation.hookwrapper)
    )


def _extension_info(manager: pluggy.PluginManager, plugin: object, what: str) -> ExtensionInfo | None:
    for implementation in manager.hook.extension_info.get_hookimpls():
        if implementation.plugin is plugin:
            try:
                info = implementation.function()
            except Exception as error:  # as above
                raise EngineError(f"{what}: extension_info failed: {reason(error)}") from error
            return _checked_extension(info, what)
    return None


def _checked_extension(info: Any, what: str) -> ExtensionInfo:
    if not isinstance(info, ExtensionInfo) or not isinstance(info.name, str):
        raise EngineError(f"{what}: extension_info returned {shown(info)}; it must return a vtune.ExtensionInfo")
    _check_options(info.options, what, "extension_info")
    sampling = sampling_names(info.options)
    if sampling:
        raise EngineError(
            f"{what}: option {sampling[0]!r} affects sampling, but no request can change an extension's option; "
            "write affects='speech'"
        )
    required = [name for name, field in info.options.model_fields.items() if field.is_required()]
    if required and not info.opt_in:
        raise EngineError(
            f"{what}: option {required[0]!r} has no default, so no recipe without it could be used; give it one, or "
            "declare ExtensionInfo(..., opt_in=True)"
        )
    return info


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
    "features_by_network": (bool, "true or false"),
    "supports": (Set, "a set of capabilities"),
    "recipes": (Path | None, "the path of a folder of recipes, or None"),
}


def _check_options(options: Any, what: str, hook: str) -> None:
    if not (isinstance(options, type) and issubclass(options, EngineOptions)):
        raise EngineError(
            f"{what}: {hook} gives options {shown(options)}; it must be a subclass of vtune.EngineOptions"
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
