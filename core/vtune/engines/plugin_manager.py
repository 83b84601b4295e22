"""One PluginManager a run: core's defaults, the one engine, the extensions; every pluggy trap is an error here.

pluggy by itself lets these pass: a hook that is missing (the call returns None), a parameter with a default or by
keyword only (it never gets the caller's value), a misspelt hook name (it is never called), an extension that
implements an engine's hook (it is asked before the engine).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pluggy

from vtune.contract import hookspecs
from vtune.engines import defaults
from vtune.engines.discovery import import_plugin, installed_extensions
from vtune.errors import EngineError, choices, reason, shown

if TYPE_CHECKING:
    import click

    from vtune.types import Watermark

_SPEC, _IMPL = f"{hookspecs.PROJECT}_spec", f"{hookspecs.PROJECT}_impl"
_SPECIFICATIONS = {name: thing for name, thing in vars(hookspecs).items() if hasattr(thing, _SPEC)}


def new_manager(engine: ModuleType, what: str) -> pluggy.PluginManager:
    """Build the manager of one run.

    :param what: how errors name the engine.
    :raises EngineError: the engine or an extension breaks the contract; says which hook and how.
    """
    manager = _empty_manager()
    manager.register(defaults, name="vtune defaults")
    _register(manager, engine, what)
    _check_complete(manager, engine, what)
    _register_extensions(manager)
    return manager


def extensions_alone() -> pluggy.PluginManager:
    """Build a manager of the extensions without an engine. :raises EngineError: one of them is broken."""
    manager = _empty_manager()
    _register_extensions(manager)
    return manager


def extension_commands(cli: click.Group) -> None:
    """Let every extension add its verbs; a broken one is left out here, ``vtune run`` says what is wrong with it."""
    for extension in installed_extensions():
        manager = _empty_manager()
        try:
            _register_extension(manager, import_plugin(extension, "extension"), "extension")
            manager.hook.register_commands(cli=cli)
        except Exception:  # somebody else's code; every other verb must go on working
            continue


def extension_watermarks() -> Callable[[str, int], list[Watermark]]:
    """Return what asks every extension for its watermark of one voice at one rate; they are imported here.

    :raises EngineError: one of them is broken, or its answer is no watermark.
    """
    hook = extensions_alone().hook.watermark

    def ask(voice: str, sample_rate: int) -> list[Watermark]:
        marks: list[Watermark] = hook(voice=voice, sample_rate=sample_rate)
        strange = [mark for mark in marks if not callable(mark)]
        if strange:
            raise EngineError(f"an extension's watermark returned {shown(strange[0])}, it must return a function")
        return marks

    return ask


def _empty_manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


def _register_extensions(manager: pluggy.PluginManager) -> None:
    for extension in installed_extensions():
        what = f"extension {extension.name!r} ({extension.distribution})"
        _register_extension(manager, import_plugin(extension, "extension"), what)


def _register_extension(manager: pluggy.PluginManager, module: ModuleType, what: str) -> None:
    for hook, _, options in _hookimpls(module):
        specification = getattr(_SPECIFICATIONS.get(hook), _SPEC, None)
        is_wrapper = options.get("wrapper") or options.get("hookwrapper")
        if specification and specification["firstresult"] and not is_wrapper:
            raise EngineError(
                f"{what} implements the hook {hook!r}, which would take the place of every engine's; "
                "an engine has an entry point and a module of its own"
            )
    _register(manager, module, what)


def _register(manager: pluggy.PluginManager, module: ModuleType, what: str) -> None:
    if manager.is_registered(module):
        return
    for hook in _SPECIFICATIONS:
        # Importing my_engine.collate makes it an attribute of my_engine, in the place of a function of that name.
        if isinstance(vars(module).get(hook), ModuleType):
            raise EngineError(f"{what}: a module named {hook!r} hides the hook of that name; rename the module")
    for hook, function, options in _hookimpls(module):
        _check_hookimpl(hook, function, options, what)
    try:
        manager.register(module, name=what)
        manager.check_pending()
    except (pluggy.PluginValidationError, ValueError) as error:
        raise EngineError(f"{what} was written for another version of vtune's hooks: {reason(error)}") from error


def _hookimpls(module: ModuleType) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    for name, thing in vars(module).items():
        options = getattr(thing, _IMPL, None) if inspect.isroutine(thing) else None
        if isinstance(options, dict):
            yield options.get("specname") or name, thing, options


def _check_hookimpl(hook: str, function: Any, options: dict[str, Any], what: str) -> None:
    if hook not in _SPECIFICATIONS:
        if options.get("optionalhook"):
            return
        raise EngineError(
            f"{what} was written for another version of vtune's hooks: there is no hook {hook!r}"
            f"{choices(hook, _SPECIFICATIONS, 'hooks')}"
        )
    allowed = inspect.signature(_SPECIFICATIONS[hook]).parameters
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise EngineError(f"{what}: hook {hook!r} takes *{parameter.name}; name the arguments")
        if parameter.name not in allowed:
            raise EngineError(
                f"{what} was written for another version of vtune's hooks: {hook!r} has no argument "
                f"{parameter.name!r}{choices(parameter.name, allowed, 'it has')}"
            )
        if parameter.default is not parameter.empty:
            raise EngineError(
                f"{what}: hook {hook!r} gives {parameter.name!r} a default, so it would never get a value; "
                "remove the default"
            )
        if parameter.kind is parameter.KEYWORD_ONLY:
            raise EngineError(
                f"{what}: hook {hook!r} takes {parameter.name!r} by keyword only, so it would never get a value; "
                "remove the '*'"
            )


def _check_complete(manager: pluggy.PluginManager, engine: ModuleType, what: str) -> None:
    implemented = {caller.name for caller in manager.get_hookcallers(engine) or []}
    missing = [hook for hook in hookspecs.REQUIRED if hook not in implemented]
    if missing:
        raise EngineError(f"{what} lacks the hooks {', '.join(missing)}; every engine must implement them")
