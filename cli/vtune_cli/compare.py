"""``vtune compare``."""

from __future__ import annotations

from pathlib import Path

import click

from vtune_cli.arguments import base_options, engine_options, read_lines, voices_option


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--text", "texts", multiple=True, help="What they say; may be given again.")
@click.option("--texts", "lines", callback=read_lines, metavar="FILE", help="Say each line of a file ('-' for stdin).")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The same for everybody.")
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True, help="How often each is said.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("comparison"), show_default=True,
    help="Folder for sound, scores, summary and page.",
)  # fmt: skip
@base_options
@voices_option
def compare(
    names: tuple[str, ...], texts: tuple[str, ...], lines: list[str] | None, seed: int, seeds: int, out: Path,
    device: str, options: tuple[str, ...], folder: Path,
) -> None:  # fmt: skip
    """Hear voices beside each other. NAME is a voice, `base`, VOICE@STEP, VOICE@best, 0.7*A+0.3*B or
    prompt:RECORDING.

    One voice alone is compared with its base; without words, they say those of its held-out clips.
    """
    from vtune_cli.comparing import contest

    wanted = [*texts, *(line for line in lines or () if line.strip())]
    overrides = (f"evaluate.seed={seed}", f"evaluate.seeds={seeds}")
    contest(names, (), wanted, overrides, out, device, engine_options(options), folder)
