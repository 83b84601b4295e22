"""What engines and extensions say of themselves, checked before anything relies on it."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import pluggy

from vtune.errors import EngineError, listed, nearest, reason, shown
from vtune.types import EngineInfo, EngineOptions, ExtensionInfo, LoraSettings


def engine_information(manager: pluggy.PluginManager, what: str) -> EngineInfo:
    """Ask the engine what it is.

    :param what: how errors name the engine.
    :raises EngineError: it raises, or its answer is no whole ``EngineInfo``.
    """
    try:
        info = manager.hook.engine_info()
    except EngineError:
        raise
    except Exception as error:  # somebody else's code; `vtune engines` goes on with the next engine
        raise EngineError(f"{what}: engine_info failed: {reason(error)}") from error
    if not isinstance(info, EngineInfo):
        raise EngineError(f"{what}: engine_info returned {shown(info)}, no EngineInfo")
    for field, (kind, wanted) in _FIELDS.items():
        value = getattr(info, field)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise EngineError(f"{what}: engine_info gives {field} {shown(value)}, it must be {wanted}")
    if info.sample_rate <= 0:
        raise EngineError(f"{what}: engine_info gives sample_rate {info.sample_rate}, it must be Hz above 0")
    _check_options(info.options, f"{what}: engine_info gives options")
    for field in ("features_options", "speaking_options", "sampling_options", "base_options", "streaming_defaults"):
        strangers = sorted(set(getattr(info, field) or ()) - set(info.options.model_fields))
        if strangers:
            hint = nearest(str(strangers[0]), info.options.model_fields)
            named = listed(map(shown, strangers))
            raise EngineError(f"{what}: {field} names {named}, which the options do not have{hint}")
    if info.sampling_options and not any("sampling" in one.argnames for one in manager.hook.synthesize.get_hookimpls()):
        raise EngineError(f"{what}: engine_info gives sampling_options, but synthesize does not take 'sampling'")
    both = sorted(info.sampling_options & (info.base_options or frozenset()))
    if both:
        raise EngineError(
            f"{what}: engine_info names {both[0]!r} in sampling_options and in base_options; an option of one "
            "utterance cannot be what the base is made of"
        )
    return info


def extension_models(manager: pluggy.PluginManager) -> dict[str, type[EngineOptions]]:
    """Ask every extension for its section of the recipe.

    :raises EngineError: one raises, answers with something else, or two want the same section.
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
        _check_options(info.options, f"{what}: extension_info gives options")
        if info.name in models:
            raise EngineError(f"{what}: another extension has the section {info.name!r} too; uninstall one of them")
        models[info.name] = info.options
    return models


_FIELDS: dict[str, tuple[Any, str]] = {
    "sample_rate": (int, "a whole number of Hz"),
    "features_version": (str, "text"),
    "lora": (LoraSettings, "LoraSettings"),
    "lora_targets": (Mapping, "a mapping of names to tuples of module names"),
    "features_options": (Set, "a set of names of options"),
    "speaking_options": (Set, "a set of names of options"),
    "sampling_options": (Set, "a set of names of options"),
    "base_options": (Set | None, "a set of names of options, or None"),
    "streaming_defaults": (Mapping, "a mapping of names of options to values"),
    "paired_features": (Set, "a set of names of features"),
    "length_feature": (str, "the name of a feature"),
    "licence": (str, "text"),
    "licence_id": (str, "text"),
    "licence_name": (str, "text"),
    "licence_note": (str, "text"),
    "clips_as_recorded": (bool, "true or false"),
}


def _check_options(options: Any, what: str) -> None:
    if not (isinstance(options, type) and issubclass(options, EngineOptions)):
        raise EngineError(f"{what} {shown(options)}, it must be a subclass of vtune.EngineOptions")
