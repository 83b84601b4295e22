"""List every installed engine and extension: where it comes from, which hooks it has, and what is wrong with it."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Literal
from urllib.parse import urlparse

import pluggy

from vtune.contract.exports import ExportTarget
from vtune.contract.recognisers import RecogniserBackend
from vtune.contract.tables import TableReader
from vtune.engines.blocking import BLOCK_VARIABLE, is_blocked
from vtune.engines.contributions import contributions
from vtune.engines.discovery import Installed, import_file, import_plugin, installed_engines, installed_extensions
from vtune.engines.plugin_manager import engine_alone, extension_alone, plugin_modules
from vtune.engines.single_file import engine_files
from vtune.engines.validation import engine_information, loaded_extensions
from vtune.errors import EngineError, choices, shown
from vtune.types import CAPABILITIES, AudioFormat, EngineOptions, effects_of

ADDED: dict[str, type[Any]] = {
    "table_formats": TableReader,
    "audio_formats": AudioFormat,
    "recognisers": RecogniserBackend,
    "export_targets": ExportTarget,
}
"""Hooks that add entries to vtune's registries, each with the class of its entries."""

State = Literal["loaded", "blocked", "broken"]


@dataclass(frozen=True, slots=True)
class ImplementedHook:
    """One function of a plugin.

    :param wraps: the function is put around the hook of every engine.
    """

    name: str
    wraps: bool
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class PluginOption:
    """One option of a plugin; ``default`` is written as in Python, or is ``required``."""

    name: str
    default: str
    affects: Sequence[str]
    description: str


@dataclass(frozen=True, slots=True)
class PluginDetails:
    """What a plugin that loads says about itself.

    :param section: of the recipe, under which its options stand.
    :param lacks: what an engine does not support.
    :param added: names that the plugin adds to vtune's registries, by hook.
    """

    hooks: Sequence[ImplementedHook] = ()
    options: Sequence[PluginOption] = ()
    section: str = ""
    added: dict[str, Sequence[str]] = field(default_factory=dict)
    opt_in: bool = False
    sample_rate: int | None = None
    lora_targets: Sequence[str] = ()
    lacks: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Plugin:
    """One engine or extension.

    :param distribution: name of the distribution that declares it; empty for a file.
    :param origin: how it is installed: ``installed in ...``, ``editable at ...`` or ``file ...``.
    :param problem: why it is blocked or broken; empty for a plugin that loads.
    """

    name: str
    kind: Literal["engine", "extension"]
    version: str
    distribution: str
    origin: str
    state: State
    problem: str = ""
    details: PluginDetails = PluginDetails()

    def settings(self) -> dict[str, Any]:
        """Return the plugin as plain data, for JSON."""
        return asdict(self)


def list_plugins() -> list[Plugin]:
    """Load each plugin alone, so that none is blamed for another; engines first, by name."""
    engines = installed_engines()
    engine_plugins = [
        *(_plugin(item, "engine", engines[name]) for name in sorted(engines) for item in engines[name]),
        *(_engine_file(path) for path in engine_files()),
    ]
    extensions = sorted(installed_extensions(), key=lambda item: (item.name, item.distribution))
    same_name = {item.name: [namesake for namesake in extensions if namesake.name == item.name] for item in extensions}
    return [*engine_plugins, *(_plugin(item, "extension", same_name[item.name]) for item in extensions)]


def find_plugins(name: str) -> list[Plugin]:
    """Return the plugins of a name: usually one; an engine and an extension may share a name.

    :raises EngineError: there is none; suggests the nearest name.
    """
    plugins = list_plugins()
    named = [plugin for plugin in plugins if plugin.name == name]
    if not named:
        names = sorted({plugin.name for plugin in plugins})
        raise EngineError(f"no plugin {shown(name)} is installed{choices(name, names, 'installed')}")
    return named


def _plugin(installed: Installed, kind: Literal["engine", "extension"], same_name: Sequence[Installed]) -> Plugin:
    distribution = installed.entry.dist
    state: State = "loaded"
    problem, details = "", PluginDetails()
    if is_blocked(installed.name):
        state, problem = "blocked", f"{installed.title(kind)} is blocked by {BLOCK_VARIABLE}"
    elif len(same_name) > 1:
        others = " and by ".join(item.distribution for item in same_name)
        state, problem = "broken", f"{kind} {installed.name!r} is offered by {others}; uninstall all but one"
    else:
        try:
            details = (_engine_details if kind == "engine" else _extension_details)(installed)
        except EngineError as error:
            state, problem = "broken", str(error)
    version = (distribution.version if distribution and distribution.metadata["Name"] else "") or "unknown"
    return Plugin(
        installed.name, kind, version, distribution.name if distribution and version != "unknown" else "unknown",
        _origin(installed), state, problem, details,
    )  # fmt: skip


def _engine_file(path: Path) -> Plugin:
    state: State = "loaded"
    problem, details = "", PluginDetails()
    try:
        title = f"engine {path.name!r} ({path})"
        details = _details_of_engine(engine_alone(import_file(path), title), title)
    except EngineError as error:
        state, problem = "broken", str(error)
    return Plugin(path.name, "engine", "", "", f"file {path}", state, problem, details)


def _engine_details(installed: Installed) -> PluginDetails:
    title = installed.title("engine")
    return _details_of_engine(engine_alone(import_plugin(installed, "engine"), title, installed.needs), title)


def _details_of_engine(manager: pluggy.PluginManager, title: str) -> PluginDetails:
    info = engine_information(manager, title)
    return PluginDetails(
        _hooks(manager), _options(info.options), "engine_options", _added(manager), False, info.sample_rate,
        list(info.lora_targets), sorted(CAPABILITIES - info.supports),
    )  # fmt: skip


def _extension_details(installed: Installed) -> PluginDetails:
    manager = extension_alone(installed)
    info = next((item.info for item in loaded_extensions(manager)), None)
    if info is None:
        return PluginDetails(_hooks(manager), added=_added(manager))
    section = f"extensions.{info.name}"
    return PluginDetails(_hooks(manager), _options(info.options), section, _added(manager), info.opt_in)


def _added(manager: pluggy.PluginManager) -> dict[str, Sequence[str]]:
    names = {
        hook: [item.entry.name for item in contributions(manager.hook, hook, kind)] for hook, kind in ADDED.items()
    }
    return {hook: added for hook, added in names.items() if added}


def _hooks(manager: pluggy.PluginManager) -> list[ImplementedHook]:
    hooks = []
    for _, module in plugin_modules(manager):
        for caller in manager.get_hookcallers(module) or []:
            for implementation in caller.get_hookimpls():
                if implementation.plugin is module:
                    wraps = bool(implementation.wrapper or implementation.hookwrapper)
                    hooks.append(ImplementedHook(caller.name, wraps, *_place(implementation.function, module)))
    return sorted(hooks, key=lambda hook: (hook.file, hook.line))


def _place(function: Callable[..., Any], module: ModuleType) -> tuple[str, int]:
    plain = inspect.unwrap(function)
    code = getattr(plain, "__code__", None)
    return (code.co_filename, code.co_firstlineno) if code else (str(getattr(module, "__file__", "")), 0)


def _options(model: type[EngineOptions]) -> list[PluginOption]:
    options = []
    for name, described in model.model_fields.items():
        default = "required" if described.is_required() else repr(described.get_default(call_default_factory=True))
        options.append(PluginOption(name, default, effects_of(model, name), described.description or ""))
    return options


def _origin(installed: Installed) -> str:
    """Say where the distribution lies: the folder of an editable one, else that of its metadata."""
    distribution = installed.entry.dist
    if distribution is None:
        return "unknown"
    try:
        facts = json.loads(distribution.read_text("direct_url.json") or "{}")
        if facts.get("dir_info", {}).get("editable"):
            from urllib.request import (
                url2pathname,
            )  # imports ssl

            return f"editable at {url2pathname(urlparse(facts['url']).path)}"
    except (OSError, ValueError, KeyError, AttributeError):  # a damaged note costs only itself
        pass
    return f"installed in {os.path.dirname(str(distribution.locate_file('x')))}"
