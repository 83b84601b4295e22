"""``vtune mix``."""

from __future__ import annotations

from pathlib import Path

import click

from vtune_cli.arguments import base_options, engine_options, voices_option
from vtune_cli.output import echo


@click.command()
@click.argument("mix")
@click.option("--name", required=True, help="Name of the new voice, and of its folder beside the others.")
@click.option(
    "--rank",
    type=click.IntRange(min=1),
    help="Compress the adapter to this rank; default: the sum of all ranks.",
)
@base_options
@voices_option
def mix(mix: str, name: str, rank: int | None, device: str, options: tuple[str, ...], folder: Path) -> None:
    """Mix voices into a new voice. MIX is a weighted sum such as '0.7*anna+0.3*ben'."""
    from vtune.export.mixed_voice import write_mixed_voice

    record = write_mixed_voice(mix, name, folder, device, engine_options(options), rank)
    assert record.mix is not None
    squeezed = (
        f" of {record.mix.rank}, {record.mix.error:.1%} left out" if record.lora["rank"] < record.mix.rank else ""
    )
    consent = "consent stated" if record.consent else "no consent stated"
    echo(f"{folder / name}: {len(record.mix.parts)} voices, rank {record.lora['rank']}{squeezed}, {consent}")
