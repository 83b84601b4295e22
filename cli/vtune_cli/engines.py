"""``vtune engines``."""

from __future__ import annotations

import click

from vtune_cli.output import echo


@click.command()
def engines() -> None:
    """List the installed engines with their options, and why an engine does not load; see also `vtune plugins`."""
    from vtune.engines import list_plugins

    plugins = list_plugins()
    for plugin in plugins:
        if plugin.kind == "engine" and plugin.state == "loaded":
            targets = ", ".join(plugin.details.lora_targets) or "module names"
            origin = f"{plugin.distribution} {plugin.version}" if plugin.distribution else plugin.origin
            lacking = ", ".join(plugin.details.lacks)
            cannot = f"; does not support {lacking}" if lacking else ""
            echo(f"{plugin.name} ({origin}): {plugin.details.sample_rate} Hz; LoRA targets: {targets}{cannot}")
            for option in plugin.details.options:
                affects = ", ".join(option.affects)
                echo(f"    {option.name} = {option.default} (affects {affects}): {option.description}")
        elif plugin.kind == "engine":
            echo(f"{plugin.name}: {plugin.problem}")
    for plugin in plugins:
        if plugin.kind == "extension" and plugin.state == "broken":
            echo(f"no engine can be used: {plugin.problem}", err=True)
