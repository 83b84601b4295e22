"""``vtune engine``: the group of commands for authors of engines; each is imported when it is used."""

from __future__ import annotations

import importlib

import click

# Name to its line of help; the command NAME is the function of that name in the module engine_NAME.
COMMANDS = {
    "new": "Write a new engine NAME that installs, passes its tests and trains.",
    "check": "Check that the engine NAME keeps the contract.",
}


class EngineCommands(click.Group):
    """Finds the commands by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"vtune_cli.engine_{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=EngineCommands)
def engine() -> None:
    """Write an engine, and check it."""
