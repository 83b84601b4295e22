"""Collect what plugins add to vtune's registries: table formats, audio formats, recognisers, export targets, metrics.

A registry of vtune's own has one module for each entry. Each registry has one function that joins its entries with
those of plugins by ``joined``, so every clash of names is found in the same way.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Generic, TypeVar

import pluggy
from pydantic import ValidationError

from vtune.contract.exports import ExportTarget
from vtune.contract.recognisers import RecogniserBackend
from vtune.contract.tables import TableReader
from vtune.engines.hook_errors import HookErrors
from vtune.engines.plugin_manager import HINT_TO_BLOCK, Hooks, extensions_alone
from vtune.errors import EngineError, shown
from vtune.recipe.explain import explain
from vtune.runtime.registry import Named
from vtune.types import AudioFormat

Answer = TypeVar("Answer")
Entry = TypeVar("Entry")
NamedEntry = TypeVar("NamedEntry", bound=Named)


@dataclass(frozen=True, slots=True)
class Contribution(Generic[Entry]):
    """One entry of a plugin.

    :param owner: the plugin as errors name it: ``extension 'x' (x-tts 1.0)``.
    """

    owner: str
    entry: Entry


def plugin_answers(
    hooks: Hooks | pluggy.HookRelay, hook: str, kind: type[Answer], **arguments: Any
) -> list[tuple[str, Answer]]:
    """Call one hook of every plugin; return each plugin as errors name it, with its answer. None is no answer.

    :param kind: the class of each answer; a list may be a tuple.
    :param arguments: of the hook; an implementation takes those that it names.
    :raises EngineError: a hook raises, or returns something of another kind.
    """
    answers: list[tuple[str, Answer]] = []
    for implementation in getattr(hooks, hook).get_hookimpls():
        owner = implementation.plugin_name
        with HookErrors(owner, [(owner, implementation.plugin)]).named(hook):
            try:
                answer = implementation.function(*(arguments[name] for name in implementation.argnames))
            except ValidationError as error:
                raise EngineError(f"{owner}: {hook} lists a wrong {_problem(error)}") from error
        answer = list(answer) if isinstance(answer, tuple) else answer
        if answer is not None and not isinstance(answer, kind):
            raise EngineError(f"{owner}: {hook} returned {shown(answer)}; it must return a {kind.__name__}")
        if answer is not None:
            answers.append((owner, answer))
    return answers


def contributions(
    hooks: Hooks | pluggy.HookRelay, hook: str, kind: type[Entry], **arguments: Any
) -> list[Contribution[Entry]]:
    """Call one hook of every plugin, and return the entries that the plugins list.

    :param kind: the class of each entry.
    :param arguments: of the hook.
    :raises EngineError: a hook raises, returns something other than a list, or lists something of another kind.
    """
    added: list[Contribution[Entry]] = []
    for owner, entries in plugin_answers(hooks, hook, list, **arguments):
        for entry in entries:
            if not isinstance(entry, kind):
                raise EngineError(f"{owner}: {hook} lists {shown(entry)}, each entry must be a {kind.__name__}")
            added.append(Contribution(owner, entry))
    return added


def extension_entries(hook: str, kind: type[NamedEntry], own: Mapping[str, NamedEntry]) -> dict[str, NamedEntry]:
    """Return vtune's own entries of a registry and those of every installed extension, by name.

    :raises EngineError: an extension is broken, or two entries have one name.
    """
    return joined(own, extension_contributions(hook, kind), hook)


@cache  # formats are asked for at each file of a folder, and to find what is installed takes 10 ms
def extension_contributions(hook: str, kind: type[Entry]) -> list[Contribution[Entry]]:
    """Return what the installed extensions add to one registry; found once in a process.

    :raises EngineError: an extension is broken.
    """
    return contributions(extensions_alone().hook, hook, kind)


def joined(
    own: Mapping[str, NamedEntry], added: Iterable[Contribution[NamedEntry]], hook: str
) -> dict[str, NamedEntry]:
    """Return all entries by name, vtune's own first. :raises EngineError: two have one name; names both owners."""
    entries, owners = dict(own), dict.fromkeys(own, "vtune")
    for contribution in added:
        name = contribution.entry.name
        if name in entries:
            raise EngineError(
                f"{contribution.owner}: {hook} lists {name!r}, which {owners[name]} has already; rename one of them"
                f"{HINT_TO_BLOCK if owners[name] != 'vtune' else ''}"
            )
        entries[name], owners[name] = contribution.entry, contribution.owner
    return entries


def errors_of(title: str, *functions: Callable[..., Any] | None) -> HookErrors:
    """Return what names the functions of a plugin in errors.

    :param title: the plugin and its entry as errors name them.
    """
    modules = [inspect.getmodule(function) for function in functions if function is not None]
    return HookErrors(title, [(title, module) for module in modules if module is not None])


def _problem(error: ValidationError) -> str:
    """Say which field of an entry is wrong; pydantic counts the fields that were given by position."""
    first = error.errors(include_url=False)[0]
    kind = next((kind for kind in _CHECKED if kind.__name__ == error.title), None)
    path = list(first["loc"])
    if kind is not None and path and isinstance(path[0], int):
        path[0] = fields(kind)[path[0]].name
    is_missing = first["type"] in ("missing", "missing_argument")
    problem = f" is missing; write {path[0]}=..." if is_missing else explain(first)
    return f"{error.title}: {'.'.join(map(str, path))!r}{problem}"


_CHECKED: tuple[type[Any], ...] = (TableReader, AudioFormat, RecogniserBackend, ExportTarget)
