"""``vtune evaluate``."""

from __future__ import annotations

from pathlib import Path

import click

from vtune_cli.arguments import base_options, check_overrides, engine_options, read_lines, voices_option


@click.command()
@click.argument("voice")
@click.argument("overrides", nargs=-1, callback=check_overrides, metavar="[key=value | ~key]...")
@click.option(
    "--texts",
    callback=read_lines,
    metavar="FILE",
    help="Speak each line of a file ('-' for stdin) instead of the held-out texts.",
)
@click.option(
    "--against", multiple=True, metavar="NAME",
    help="Evaluate this as well: a voice, VOICE@STEP, VOICE@best, 0.7*A+0.3*B or prompt:RECORDING. May be repeated.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the sound files, scores and page; default: evaluation/ in the voice's folder.",
)  # fmt: skip
@base_options
@voices_option
def evaluate(
    voice: str, overrides: tuple[str, ...], texts: list[str] | None, against: tuple[str, ...], out: Path | None,
    device: str, options: tuple[str, ...], folder: Path,
) -> None:  # fmt: skip
    """Score VOICE against its untuned base on texts that it was not trained on.

    VOICE and its base speak the texts of the held-out clips. Overrides change the `evaluate` section of the voice's
    recipe, e.g. evaluate.clips=20.
    """
    from vtune_cli.compare import compare_voices

    lines = [line for line in texts or () if line.strip()]
    compare_voices([voice], against, lines, overrides, out, device, engine_options(options), folder)
