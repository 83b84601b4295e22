"""``vtune plugins``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from vtune_cli.arguments import engine_file_option
from vtune_cli.output import echo, echo_text

if TYPE_CHECKING:
    from vtune.engines.plugin_list import Plugin


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print all details as JSON.")
@engine_file_option
def plugins(name: str | None, as_json: bool) -> None:
    """List the installed engines and extensions; of the plugin NAME, show its options, and its hooks with their lines.

    VTUNE_BLOCK_PLUGINS=name,name leaves plugins out, VTUNE_TRACE_HOOKS=1 writes a line for each call of a hook.
    """
    from vtune.engines import find_plugins, list_plugins, use_engine_file
    from vtune.engines.single_file import is_engine_file

    if name is not None and is_engine_file(name):
        use_engine_file(name)  # a person has typed it
        name = name.rpartition("/")[2]
    listed = list_plugins() if name is None else find_plugins(name)
    if as_json:
        echo_text(json.dumps([plugin.settings() for plugin in listed], indent=2))
        return
    if name is None:
        for line in _table(listed):
            echo(line)
        return
    for plugin in listed:
        for line in _details(plugin):
            echo(line)


def _table(plugins: list[Plugin]) -> list[str]:
    rows = [("name", "kind", "version", "state", "origin")]
    rows += [(plugin.name, plugin.kind, plugin.version, plugin.state, _origin(plugin)) for plugin in plugins]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = []
    for row, plugin in zip(rows, [None, *plugins], strict=True):
        lines.append("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]))
        if plugin is None:
            continue
        if plugin.problem:
            lines.append(f"    {plugin.problem}")
        if plugin.details.hooks:
            lines.append(f"    hooks: {', '.join(_hook_names(plugin))}")
        lines += [f"    {line}" for line in _added(plugin)]
    return lines


def _details(plugin: Plugin) -> list[str]:
    details = plugin.details
    lines = [f"{plugin.kind} {plugin.name}{plugin.version and f' {plugin.version}'}: {plugin.state}"]
    lines.append(f"    origin: {_origin(plugin)}")
    if plugin.problem:
        lines.append(f"    {plugin.problem}")
    if details.sample_rate is not None:
        targets = ", ".join(details.lora_targets) or "module names"
        lines.append(f"    {details.sample_rate} Hz; LoRA targets: {targets}")
    if plugin.kind == "extension" and details.hooks:
        active = f"only in runs whose recipe has {details.section}" if details.opt_in else "in every run"
        lines.append(f"    active: {active}")
    lines += [f"    {line}" for line in _added(plugin)]
    if details.options:
        lines.append(f"    options ({details.section}):")
        for option in details.options:
            affects = ", ".join(option.affects)
            lines.append(f"        {option.name} = {option.default} (affects {affects}): {option.description}")
    if details.hooks:
        lines.append("    hooks:")
        for hook in details.hooks:
            lines.append(f"        {'wrapper of ' if hook.wraps else ''}{hook.name}: {hook.file}:{hook.line}")
    return lines


def _hook_names(plugin: Plugin) -> list[str]:
    return [f"{'wrapper of ' if hook.wraps else ''}{hook.name}" for hook in plugin.details.hooks]


def _added(plugin: Plugin) -> list[str]:
    return [f"{hook}: {', '.join(names)}" for hook, names in plugin.details.added.items()]


def _origin(plugin: Plugin) -> str:
    return f"{plugin.distribution}, {plugin.origin}" if plugin.distribution else plugin.origin
