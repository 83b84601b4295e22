"""Arguments that several verbs share."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

MAX_LINES_BYTES = 20_000_000
"""Bytes of a file of lines to speak; a long novel has 3 MB."""


class NearestChoice(click.Choice[str]):
    """One of several names; a typo is told the nearest one."""

    def get_invalid_choice_message(self, value: str, ctx: click.Context | None) -> str:
        """Name what was found, every name, and the nearest."""
        from vtune.errors import nearest, shown

        names = [str(name) for name in self.choices]
        return f"{shown(value)} is not one of {', '.join(names)}{nearest(value, names)}"


def read_lines(ctx: click.Context, parameter: click.Parameter, value: str | None) -> list[str] | None:
    """Read the lines of a text file, or of stdin (``-``); a FIFO or a device, which might never end, is refused."""
    from vtune.runtime.untrusted import read_text, why

    if value is None:
        return None
    if value == "-":
        with click.open_file(value, encoding="utf-8") as file:
            return list(file)
    try:
        text = read_text(Path(value), MAX_LINES_BYTES)
    except OSError as error:
        raise click.BadParameter(f"{value!r}: {why(error)}") from error
    return list(io.StringIO(text, newline=None))


def check_overrides(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse what is no override of a recipe."""
    for value in values:
        if "=" not in value and not value.startswith("~"):
            raise click.BadParameter(f"{value!r} is neither key=value nor ~key")
    return values


def _use_engine_files(ctx: click.Context, parameter: click.Parameter, values: tuple[Path, ...]) -> None:
    if values:
        from vtune.engines import use_engine_files

        use_engine_files(values)


def engine_file_option(command: F) -> F:
    """Which engine files may run."""
    return click.option(
        "--engine-file", type=click.Path(path_type=Path), multiple=True, expose_value=False, callback=_use_engine_files,
        metavar="FILE", help="A Python file that is your engine: it runs where a voice or recipe names a file like it.",
    )(command)  # fmt: skip


def recipe_argument(command: F) -> F:
    """RECIPE and its overrides."""
    command = engine_file_option(command)
    command = click.argument("overrides", nargs=-1, callback=check_overrides, metavar="[key=value | ~key]...")(command)
    return click.argument("recipe")(command)


def voices_option(command: F) -> F:
    """Where the voices are."""
    return click.option(
        "--voices", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path("voices"),
        show_default=True, help="The folder of voices.",
    )(command)  # fmt: skip


def base_options(command: F) -> F:
    """Where and how the base is loaded."""
    command = engine_file_option(command)
    command = click.option(
        "--set", "options", multiple=True, metavar="option=value",
        help="An engine option that differs from training, e.g. --set base_model=/models/orpheus.",
    )(command)  # fmt: skip
    return click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)(
        command
    )


def engine_options(values: tuple[str, ...]) -> dict[str, Any]:
    """Turn ``--set option=value`` into a mapping; values are YAML."""
    from vtune.recipe.parse import parse

    pairs = dict(value.partition("=")[::2] for value in values)
    if "" in pairs or any("=" not in value for value in values):
        raise click.UsageError("--set takes option=value")
    return {name: parse(text, f"--set {name}") for name, text in pairs.items()}
