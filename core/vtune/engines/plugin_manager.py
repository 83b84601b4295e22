"""Build the plugin manager of a run from core's defaults, one engine and the extensions; check every hook.

pluggy itself accepts these mistakes: a hook that is missing (the call returns None), a parameter with a default or by
keyword only (it never gets the caller's value), a misspelt hook name (it is never called), an extension that
implements an engine's hook (it is asked before the engine).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pluggy

from vtune.contract import hookspecs
from vtune.engines import defaults
from vtune.engines.blocking import BLOCK_VARIABLE
from vtune.engines.discovery import Installed, active_extensions, import_plugin
from vtune.engines.tracing import trace
from vtune.errors import EngineError, choices, reason, shown
from vtune.runtime.version import VTUNE_VERSION

if TYPE_CHECKING:
    from vtune.types import Watermark

_SPEC, _IMPL = f"{hookspecs.PROJECT}_spec", f"{hookspecs.PROJECT}_impl"
HINT_TO_BLOCK = f", uninstall one, or leave one out with {BLOCK_VARIABLE}=NAME"

_SPECIFICATIONS = {name: thing for name, thing in vars(hookspecs).items() if hasattr(thing, _SPEC)}


ENGINE_LISTS = ("export_targets", "metrics", "trainer_callbacks")
"""Hooks of which every plugin's answer is collected, and that engines may have too; the others are of extensions."""


class Hooks:
    """The hooks of a plugin manager without those of some plugins."""

    def __init__(self, manager: pluggy.PluginManager, without: Sequence[object]) -> None:
        self._manager, self._without = manager, tuple(without)

    def __getattr__(self, name: str) -> pluggy.HookCaller:
        """Return one hook, ready to be called."""
        return self._manager.subset_hook_caller(name, self._without)


def new_manager(engine: ModuleType, title: str, needs: str = "") -> pluggy.PluginManager:
    """Build the plugin manager of one run.

    :param title: name of the engine in error texts.
    :param needs: the version of vtune that the engine's distribution asks for.
    :raises EngineError: the engine or an extension breaks the contract; the message names the hook and the mistake.
    """
    manager = engine_alone(engine, title, needs)
    manager.register(defaults, name="vtune defaults")
    trace(manager, defaults)
    for extension in active_extensions():
        _register_extension(manager, extension)
    return manager


def plugin_modules(manager: pluggy.PluginManager) -> list[tuple[str, ModuleType]]:
    """Return the modules of the engine and the extensions, each with its title in error texts."""
    plugins = [(name, plugin) for name, plugin in manager.list_name_plugin() if plugin is not defaults]
    return [(name, plugin) for name, plugin in plugins if isinstance(plugin, ModuleType)]


def extensions_alone() -> pluggy.PluginManager:
    """Build a plugin manager of the extensions without an engine. :raises EngineError: an extension is broken."""
    manager = _empty_manager()
    for extension in active_extensions():
        _register_extension(manager, extension)
    return manager


def extension_watermarks() -> Callable[[str, int], list[Watermark]]:
    """Import the extensions; return a function that makes their watermarks for one voice at one sample rate.

    :raises EngineError: an extension is broken, or returns something other than a watermark.
    """
    hook = extensions_alone().hook.watermark

    def ask(voice: str, sample_rate: int) -> list[Watermark]:
        marks: list[Watermark] = hook(voice=voice, sample_rate=sample_rate)
        strange = [mark for mark in marks if not callable(mark)]
        if strange:
            raise EngineError(f"an extension's watermark returned {shown(strange[0])}; it must return a function")
        return marks

    return ask


def _empty_manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


def extension_alone(extension: Installed) -> pluggy.PluginManager:
    """Build a plugin manager of one extension. :raises EngineError: the extension is broken."""
    manager = _empty_manager()
    _register_extension(manager, extension)
    return manager


def engine_alone(module: ModuleType, title: str, needs: str = "") -> pluggy.PluginManager:
    """Build a plugin manager of one engine without extensions. :raises EngineError: the engine is broken."""
    manager = _empty_manager()
    for hook, _, _ in _hookimpls(module):
        specification = getattr(_SPECIFICATIONS.get(hook), _SPEC, None)
        if specification and not specification["firstresult"] and hook not in ENGINE_LISTS:
            raise EngineError(
                f"{title} implements the hook {hook!r}, which is for extensions; put it into a module of its own, and "
                "declare that module under the entry point vtune.plugins"
            )
    _register(manager, module, title, needs)
    _check_complete(manager, module, title)
    return manager


def _register_extension(manager: pluggy.PluginManager, extension: Installed) -> None:
    module, title = import_plugin(extension, "extension"), extension.title("extension")
    for hook, _, options in _hookimpls(module):
        specification = getattr(_SPECIFICATIONS.get(hook), _SPEC, None)
        is_wrapper = options.get("wrapper") or options.get("hookwrapper")
        if specification and specification["firstresult"] and not is_wrapper:
            raise EngineError(
                f"{title} implements the hook {hook!r}, which would take the place of every engine's; "
                "an engine has an entry point and a module of its own"
            )
        if specification and not specification["firstresult"] and is_wrapper:
            raise EngineError(
                f"{title} wraps the hook {hook!r}, whose answers of all plugins are collected; only hooks of an engine "
                "can be wrapped"
            )
    _register(manager, module, title, extension.needs)


def _register(manager: pluggy.PluginManager, module: ModuleType, title: str, needs: str = "") -> None:
    if manager.is_registered(module):
        return
    for hook in _SPECIFICATIONS:
        # Importing my_engine.collate makes it an attribute of my_engine, in the place of a function of that name.
        if isinstance(vars(module).get(hook), ModuleType):
            raise EngineError(f"{title}: a module named {hook!r} hides the hook of that name; rename the module")
    versions = f"this is vtune {VTUNE_VERSION}{needs and f', and it asks for {needs}'}"
    for hook, function, options in _hookimpls(module):
        _check_hookimpl(hook, function, options, title, versions)
    try:
        manager.register(module, name=title)
        manager.check_pending()
    except (pluggy.PluginValidationError, ValueError) as error:
        raise EngineError(
            f"{title} was written for another version of vtune's hooks: {reason(error)}; {versions}"
        ) from error
    trace(manager, module)


def _hookimpls(module: ModuleType) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    for name, thing in vars(module).items():
        options = getattr(thing, _IMPL, None) if inspect.isroutine(thing) else None
        if isinstance(options, dict):
            yield options.get("specname") or name, thing, options


def _check_hookimpl(hook: str, function: Any, options: dict[str, Any], title: str, versions: str) -> None:
    if hook not in _SPECIFICATIONS:
        if options.get("optionalhook"):
            return
        raise EngineError(
            f"{title} was written for another version of vtune's hooks: there is no hook {hook!r}"
            f"{choices(hook, _SPECIFICATIONS, 'hooks')}; {versions}"
        )
    allowed = inspect.signature(_SPECIFICATIONS[hook]).parameters
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise EngineError(f"{title}: hook {hook!r} takes *{parameter.name}; name the arguments")
        if parameter.name not in allowed:
            raise EngineError(
                f"{title} was written for another version of vtune's hooks: {hook!r} has no argument "
                f"{parameter.name!r}{choices(parameter.name, allowed, 'it has')}; {versions}"
            )
        if parameter.default is not parameter.empty:
            raise EngineError(
                f"{title}: hook {hook!r} gives {parameter.name!r} a default, so it would never get a value; "
                "remove the default"
            )
        if parameter.kind is parameter.KEYWORD_ONLY:
            raise EngineError(
                f"{title}: hook {hook!r} takes {parameter.name!r} by keyword only, so it would never get a value; "
                "remove the '*'"
            )


def _check_complete(manager: pluggy.PluginManager, engine: ModuleType, title: str) -> None:
    implemented = {caller.name for caller in manager.get_hookcallers(engine) or []}
    # An engine that converts recordings need not speak texts.
    required = [hook for hook in hookspecs.REQUIRED_HOOKS if hook != "synthesize" or "convert" not in implemented]
    missing = [hook for hook in required if hook not in implemented]
    if missing:
        raise EngineError(f"{title} lacks the hooks {', '.join(missing)}; every engine must implement them")
