"""Arguments that several verbs share."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

MAX_LINES_BYTES = 20_000_000
"""Largest text file whose lines are spoken, in bytes; a long novel has 3 MB."""


def read_lines(ctx: click.Context, parameter: click.Parameter, value: str | None) -> list[str] | None:
    """Read the lines of a text file, or of stdin (``-``). A FIFO or a device is refused: it might never end."""
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
    """Refuse an argument that is neither ``key=value`` nor ``~key``."""
    for value in values:
        if "=" not in value and not value.startswith("~"):
            raise click.BadParameter(f"{value!r} is neither key=value nor ~key")
    return values


def _use_engine_files(ctx: click.Context, parameter: click.Parameter, values: tuple[Path, ...]) -> None:
    if values:
        from vtune.engines import use_engine_files

        use_engine_files(values)


def engine_file_option(command: F) -> F:
    """Add ``--engine-file``: which engine files may run."""
    return click.option(
        "--engine-file", type=click.Path(path_type=Path), multiple=True, expose_value=False, callback=_use_engine_files,
        metavar="FILE",
        help="Let this Python file run as the engine of a recipe or a voice that names it. May be repeated.",
    )(command)  # fmt: skip


def recipe_argument(command: F) -> F:
    """Add RECIPE and its overrides."""
    command = engine_file_option(command)
    command = click.argument("overrides", nargs=-1, callback=check_overrides, metavar="[key=value | ~key]...")(command)
    return click.argument("recipe")(command)


def voices_option(command: F) -> F:
    """Add ``--voices``: the folder of voices."""
    return click.option(
        "--voices", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path("voices"),
        show_default=True, help="Folder that holds the voices.",
    )(command)  # fmt: skip


def seed_option(command: F) -> F:
    """Add ``--seed``: the seed of what is spoken."""
    return click.option(
        "--seed", type=click.IntRange(min=0), default=0, show_default=True,
        help="Random seed; the same seed gives the same sound.",
    )(command)  # fmt: skip


class DeviceName(click.ParamType):  # type: ignore[type-arg] # click before 8.4 takes no argument
    """The name of a device; whether there is one here is seen when it is used."""

    name = "device"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the name."""
        from vtune.runtime.device import DEVICE_RULE, is_device_name

        if not is_device_name(value):
            self.fail(f"{value!r}: it {DEVICE_RULE}", param, ctx)
        return value


def base_options(command: F) -> F:
    """Add ``--device`` and ``--set``: where and with which options the base is loaded."""
    command = engine_file_option(command)
    command = click.option(
        "--set", "options", multiple=True, metavar="option=value",
        help="Change an engine option of the voice, e.g. --set base_model=/models/orpheus. May be repeated.",
    )(command)  # fmt: skip
    return click.option(
        "--device", type=DeviceName(), default="auto", show_default=True,
        help="Where the network runs: cpu, cuda, cuda:1, mps or xpu; auto is a GPU if there is one.",
    )(command)  # fmt: skip


def launch_option(command: F) -> F:
    """Add ``--launch``: in how many processes to train."""
    return click.option(
        "--launch", "processes", type=click.IntRange(min=1), metavar="N",
        help="Train in N processes on this machine, one for each GPU.",
    )(command)  # fmt: skip


def launch_if_asked(verb: str, recipe: str, overrides: tuple[str, ...], processes: int | None) -> None:
    """Run ``vtune <verb>`` in several processes and exit as they did; do nothing where ``--launch`` is not given."""
    if processes is None:
        return
    from vtune import load_recipe
    from vtune.engines import engine_files
    from vtune.runtime.distributed.launch import launch

    load_recipe(recipe, overrides)  # its mistakes are reported once here, not by every process
    allowed = [f"--engine-file={file}" for file in engine_files()]
    launch([verb, *allowed, recipe, *overrides, f"train.world_size={processes}"], processes)


def engine_options(values: tuple[str, ...]) -> dict[str, Any]:
    """Return the texts of ``--set option=value`` as a mapping; values are YAML."""
    from vtune.recipe.parse import parse

    pairs = dict(value.partition("=")[::2] for value in values)
    if "" in pairs or any("=" not in value for value in values):
        raise click.UsageError("--set takes option=value")
    return {name: parse(text, f"--set {name}") for name, text in pairs.items()}
