"""Collect the commands that extensions add to the command line; a broken extension costs only its own commands."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import click

from vtune.engines.blocking import is_blocked
from vtune.engines.discovery import installed_extensions
from vtune.engines.hook_errors import HookErrors
from vtune.engines.plugin_manager import extension_alone, plugin_modules
from vtune.errors import EngineError


@dataclass(slots=True)
class ExtensionCommands:
    """The commands of all extensions by name, and one line for each extension whose commands are missing."""

    commands: dict[str, click.Command] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def extension_commands(own: Collection[str]) -> ExtensionCommands:
    """Let every extension add its commands.

    :param own: names of vtune's own commands, which no extension may take.
    """
    result, owners = ExtensionCommands(), dict.fromkeys(own, "vtune")
    for extension in installed_extensions():
        if is_blocked(extension.name):
            continue
        title, group = extension.title("extension"), click.Group()
        try:
            manager = extension_alone(extension)
            with HookErrors(title, plugin_modules(manager)).named("register_commands"):
                manager.hook.register_commands(cli=group)
        except (EngineError, OSError, MemoryError) as error:
            result.problems.append(str(error))
            continue
        for name, command in group.commands.items():
            if name in owners:
                result.problems.append(f"{title} adds the command {name!r}, which {owners[name]} has already")
                continue
            result.commands[name], owners[name] = command, title
    return result
