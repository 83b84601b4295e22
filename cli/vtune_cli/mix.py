"""``vtune mix``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vtune_cli.arguments import base_options, engine_options, voices_option
from vtune_cli.output import echo

if TYPE_CHECKING:
    from vtune.voice_format.record import VoiceRecord


@click.command()
@click.argument("mix")
@click.option("--name", required=True, help="Name of the new voice, and of its folder beside the others.")
@click.option(
    "--rank",
    type=click.IntRange(min=1),
    help="Compress the adapter to this rank; default: the sum of all ranks. Only for voices that are adapters.",
)
@base_options
@voices_option
def mix(mix: str, name: str, rank: int | None, device: str, options: tuple[str, ...], folder: Path) -> None:
    """Mix voices into a new voice. MIX is a weighted sum such as '0.7*anna+0.3*ben'."""
    from vtune.export.mixed_voice import write_mixed_voice

    record = write_mixed_voice(mix, name, folder, device, engine_options(options), rank)
    assert record.mix is not None
    consent = "consent stated" if record.consent else "no consent stated"
    count = len(record.mix.parts)
    echo(f"{folder / name}: {'1 voice' if count == 1 else f'{count} voices'}, {_shape(record)}, {consent}")


def _shape(record: VoiceRecord) -> str:
    assert record.mix is not None
    if record.mix.rank is None:
        return "every weight of the network"
    if record.lora["rank"] == record.mix.rank:
        return f"rank {record.mix.rank}"
    return f"rank {record.lora['rank']} of {record.mix.rank}, {record.mix.error:.1%} left out"
