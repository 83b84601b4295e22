"""The command ``vtune``: each verb is imported when it is used, so ``vtune --help`` answers at once."""

from __future__ import annotations

import importlib
import os
from copy import copy
from typing import Any

import click

from vtune_cli.stopping import stoppable

# Verb to its line of help, in the order of work; each verb is in the module of its name, see MODULES.
VERBS = {
    "studio": "Make voices on one local page, from recordings to sharing.",
    "run": "Make the voices of RECIPE: prepare, encode, train, score.",
    "train": "Do the steps of RECIPE up to the trained adapter.",
    "tune": "Search the settings of RECIPE that give the best voice.",
    "plan": "Estimate what RECIPE needs: clips, steps, memory, time.",
    "prepare": "Cut recordings into clips.",
    "transcribe": "Transcribe clips, and flag doubtful transcripts.",
    "check": "Check this machine, and say what mends it.",
    "doctor": "Examine DATA and report what is wrong with it.",
    "review": "Listen to DATA in a browser, and correct it.",
    "say": "Speak TEXT with VOICE.",
    "convert": "Say with VOICE what RECORDING says.",
    "evaluate": "Score VOICE against its untuned base.",
    "compare": "Compare voices, bases and checkpoints on the same texts.",
    "serve": "Serve voices over HTTP with OpenAI's speech API.",
    "voices": "List the voices in a folder.",
    "merge": "Merge the adapter of VOICE into its base: one model folder.",
    "mix": "Mix voices into a new voice.",
    "import": "Make a voice of what other software trained.",
    "export": "Write VOICE in a format of other software, and check it.",
    "recipe": "List, copy, show and check recipes.",
    "engines": "List the installed engines with their options.",
    "engine": "Write an engine, and check it.",
    "plugins": "List the installed engines and extensions, and what is wrong with one.",
}

MODULES = {"import": "import_voice"}
"""Modules of verbs whose names are words of Python."""


class Verbs(click.Group):
    """Finds verbs by name and prints the user's mistakes as one line each; a bug keeps its traceback."""

    problems: tuple[str, ...] = ()
    """One line for each extension whose verbs are missing."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of vtune's verbs, then those of extensions."""
        _add_extensions(self)
        return [*VERBS, *sorted(self.commands.keys() - VERBS.keys())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one verb."""
        if cmd_name in VERBS:
            module = MODULES.get(cmd_name, cmd_name)
            command: click.Command = getattr(importlib.import_module(f"vtune_cli.{module}"), module)
            return command
        _add_extensions(self)
        return self.commands.get(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List verbs without importing them."""
        added = {name: self.commands[name] for name in self.list_commands(ctx) if name not in VERBS}
        rows = [*VERBS.items(), *((name, command.get_short_help_str()) for name, command in added.items())]
        with formatter.section("Verbs"):
            formatter.write_dl(rows)
        for problem in self.problems:
            formatter.write(f"\n{problem}\n")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest the nearest verb for a typo."""
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            import difflib

            close = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            # The verb may be that of an extension which does not load; its names are not known then.
            problems = "".join(f"\n{problem}" for problem in self.problems)
            ctx.fail(f"There is no verb {args[0]!r}.{hint}{problems}")
        name, command, rest = super().resolve_command(ctx, args)
        if name in VERBS and command is not None and (function := command.callback) is not None:
            command = copy(command)
            command.callback = stoppable(name, function)
        return name, command, rest

    def invoke(self, ctx: click.Context) -> Any:
        """Run a verb."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise  # --help ends in these errors of click: nothing is imported for them
        except Exception as error:
            lines = _mistake(error)
            if not lines:
                raise
            from vtune.runtime.distributed.ranks import lines_to_print
            from vtune_cli.output import echo

            for line in lines_to_print(lines, error):
                echo(f"Error: {line}", err=True)
            ctx.exit(1)


def _mistake(error: Exception) -> list[str]:
    """Return the lines of an error that the user can correct; none for a bug."""
    from vtune.errors import RecipeError, VtuneError, reason
    from vtune.runtime.device import is_out_of_memory, missing_operation
    from vtune.runtime.disk import disk_error_text

    if isinstance(error, VtuneError):
        # A recipe reports every problem at once. Any other error is one line, whatever it quotes.
        return list(error.problems) if isinstance(error, RecipeError) else [str(error)]
    if is_out_of_memory(error):
        return [
            f"out of memory ({reason(error)[:160]}): close other programs that use this memory, load the base in fewer "
            "bits where the engine can (--set quantization=4bit), or use --device cpu"
        ]
    line = missing_operation(error) or disk_error_text(error)
    if line is None and isinstance(error, OSError) and error.filename is not None:
        line = f"{os.fsdecode(error.filename)}: {error.strerror}"
    return [] if line is None else [line]


def _add_extensions(group: Verbs) -> None:
    """Let extensions register their verbs; without any installed, vtune itself is not even imported."""
    from importlib.metadata import entry_points

    if group.commands or group.problems or not entry_points(group="vtune.plugins"):
        return
    from vtune.errors import printable
    from vtune_cli.extension_commands import extension_commands

    added = extension_commands(VERBS)
    group.commands.update(added.commands)
    group.problems = tuple(map(printable, added.problems))


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vtune-tts", prog_name="vtune")
@click.option("-v", "--verbose", is_flag=True, help="Log every step in detail.")
@click.option("-q", "--quiet", is_flag=True, help="Print only results, warnings and errors.")
def main(verbose: bool, quiet: bool) -> None:
    """Turn recordings of a speaker into a text-to-speech voice, from one recipe."""
    from vtune_cli.logging_setup import configure

    configure(verbose=verbose, quiet=quiet)
