"""``vtune compare``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from vtune_cli.arguments import base_options, engine_options, read_lines, voices_option
from vtune_cli.output import echo


@click.command()
@click.argument("names", nargs=-1, metavar="NAME...")
@click.option("--text", "texts", multiple=True, help="Text that every voice speaks. May be repeated.")
@click.option(
    "--texts", "lines", callback=read_lines, metavar="FILE", help="Speak each line of a file ('-' for stdin)."
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Random seed, the same for every voice."
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many times each text is spoken, each time with another seed.",
)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("comparison"), show_default=True,
    help="Folder for the sound files, scores, summary and page.",
)  # fmt: skip
@click.option("--list-speakers", "lists", is_flag=True, help="List what can be compared: voices and checkpoints.")
@base_options
@voices_option
def compare(
    names: tuple[str, ...], texts: tuple[str, ...], lines: list[str] | None, seed: int, seeds: int, out: Path,
    lists: bool, device: str, options: tuple[str, ...], folder: Path,
) -> None:  # fmt: skip
    """Let several voices speak the same texts, score them, and write a page to listen to them side by side.

    NAME is a voice, `base` (the untuned base), VOICE@STEP or VOICE@best (a checkpoint), 0.7*A+0.3*B (a mix) or
    prompt:RECORDING (the base with a recording as its prompt). A single voice is compared with its base. Without texts,
    the voices speak the texts of the first voice's held-out clips.
    """
    if lists:
        _list_speakers(folder)
        return
    if not names:
        raise click.UsageError("Missing argument 'NAME...'; --list-speakers lists what can be compared")
    several = [*texts, *(line for line in lines or () if line.strip())]
    overrides = (f"evaluate.seed={seed}", f"evaluate.seeds={seeds}")
    compare_voices(names, (), several, overrides, out, device, engine_options(options), folder)


def compare_voices(
    names: Sequence[str], against: Sequence[str], texts: Sequence[str], overrides: Sequence[str], out: Path | None,
    device: str, options: Mapping[str, Any], voices: Path,
) -> None:  # fmt: skip
    """Compare voices, write what they said with scores and page, and print the table.

    :param against: further names; with any of them, or with one name alone, the base is compared too.
    :param out: folder to write; None is ``evaluation/`` in the folder of the first voice.
    :param voices: folder in which names are looked up.
    """
    from vtune.errors import VoiceError
    from vtune.evaluation import BASE
    from vtune.evaluation import compare as comparing
    from vtune.runtime.paths import replacement_lock

    several = [*names, *against]
    if BASE not in several and (against or len(several) == 1):
        several.insert(0, BASE)
    first = comparing.first_voice(several, voices)
    recipe = comparing.recipe_of(first, overrides)
    contestants = comparing.contestants(several, voices, recipe.folders.runs)
    test_set = comparing.gather_test_set(first, recipe, texts)
    evaluated = first.path.stat()
    comparison = comparing.compare(
        first.name, contestants, test_set, recipe, several[0], device=device, options=options
    )
    directory = out or first.path / "evaluation"
    with replacement_lock(first.path) if out is None else nullcontext():
        if out is None and not os.path.samestat(evaluated, first.path.stat()):
            raise VoiceError(f"{first.path}: the voice was replaced during the evaluation; evaluate it again")
        comparison.write(directory)
    for line in comparison.table():
        echo(line)
    echo(f"to listen, open {directory / 'listen.html'}")


def _list_speakers(folder: Path) -> None:
    """Print the voices of a folder, each with its checkpoints that are still there."""
    from vtune.evaluation.compare import checkpoint_names
    from vtune_cli.voices import lines_of, voice_rows

    rows = voice_rows(folder)
    for row, line in zip(rows or [{}], lines_of(rows, folder), strict=True):
        names = checkpoint_names(row, Path("runs")) if "training" in row else []
        echo(f"{line}  {' '.join(names)}".rstrip())
