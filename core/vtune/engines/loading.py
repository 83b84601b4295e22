"""One PluginManager a run: core's defaults, the one engine, the extensions; every pluggy trap is an error here.

pluggy by itself lets these pass: a hook that is missing (the call returns None), a parameter with a default (it
never gets the caller's value), a misspelt hook name (it is never called).
"""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import TYPE_CHECKING

import pluggy

from vtune import defaults, hookspecs
from vtune.engines.finding import import_plugin, installed_extensions
from vtune.errors import EngineError, nearest

if TYPE_CHECKING:
    import click


def new_manager(name: str, engine: ModuleType, origin: str) -> pluggy.PluginManager:
    """Build the manager of one run.

    :param origin: who ships the engine, as errors should name it.
    :raises EngineError: the engine or an extension breaks the contract; says which hook and how.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(defaults, name="vtune defaults")
    _register(manager, engine, name, f"engine {name!r} ({origin})")
    _check_complete(manager, engine, f"engine {name!r} ({origin})")
    for extension in installed_extensions():
        module = import_plugin(extension, "extension")
        what = f"extension {extension.name!r} ({extension.distribution})"
        _register(manager, module, extension.name, what)
    return manager


def extension_commands(cli: click.Group) -> None:
    """Let every extension add its verbs; a broken one is left out here, ``vtune run`` says what is wrong with it."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    for extension in installed_extensions():
        try:
            module = import_plugin(extension, "extension")
            _register(manager, module, extension.name, f"extension {extension.name!r} ({extension.distribution})")
        except EngineError:
            continue
    manager.hook.register_commands(cli=cli)


def _register(manager: pluggy.PluginManager, module: ModuleType, name: str, what: str) -> None:
    if manager.has_plugin(name):
        raise EngineError(f"{what} has the name of another plugin; uninstall one of them")
    for impl_name, function in _hookimpls(module):
        _check_hookimpl(impl_name, function, what)
    try:
        manager.register(module, name=name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        reason = " ".join(str(error).split())
        raise EngineError(f"{what} was written for another version of vtune's hooks: {reason}") from error


def _hookimpls(module: ModuleType) -> list[tuple[str, object]]:
    marker = f"{hookspecs.PROJECT}_impl"
    return [(name, thing) for name, thing in vars(module).items() if inspect.isroutine(thing) and marker in vars(thing)]


def _check_hookimpl(name: str, function: object, what: str) -> None:
    options = getattr(function, f"{hookspecs.PROJECT}_impl")
    hook = options.get("specname") or name
    specification = getattr(hookspecs, hook, None)
    known = [n for n, thing in vars(hookspecs).items() if hasattr(thing, f"{hookspecs.PROJECT}_spec")]
    if hook not in known:
        if options.get("optionalhook"):
            return
        raise EngineError(
            f"{what} was written for another version of vtune's hooks: "
            f"there is no hook {hook!r}{nearest(hook, known)} (hooks: {', '.join(known)})"
        )
    assert callable(function)
    assert callable(specification)
    allowed = inspect.signature(specification).parameters
    for parameter in inspect.signature(function).parameters.values():
        if parameter.default is not parameter.empty:
            raise EngineError(
                f"{what}: hook {hook!r} gives {parameter.name!r} a default, so it would never get a value; "
                "remove the default"
            )
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise EngineError(f"{what}: hook {hook!r} takes *{parameter.name}; name the arguments")
        if parameter.name not in allowed:
            raise EngineError(
                f"{what} was written for another version of vtune's hooks: {hook!r} has no argument "
                f"{parameter.name!r}{nearest(parameter.name, allowed)} (it has: {', '.join(allowed)})"
            )


def _check_complete(manager: pluggy.PluginManager, engine: ModuleType, what: str) -> None:
    implemented = {caller.name for caller in manager.get_hookcallers(engine) or []}
    missing = [hook for hook in hookspecs.REQUIRED if hook not in implemented]
    if missing:
        raise EngineError(f"{what} lacks the hooks {', '.join(missing)}; every engine must implement them")
