"""``vtune merge``."""

from __future__ import annotations

from pathlib import Path

import click

from vtune_cli.arguments import base_options, engine_options, voices_option
from vtune_cli.output import echo


@click.command()
@click.argument("voice")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@base_options
@voices_option
def merge(voice: str, directory: Path, device: str, options: tuple[str, ...], folder: Path) -> None:
    """Merge the adapter of VOICE into its base and write DIRECTORY, one model without an adapter.

    The network of a fully fine-tuned voice is written as it is. The written model is read back, and its answers are
    compared with those of the voice.
    """
    from vtune.export.merge import merge_voice
    from vtune.voice_format.record import find_voice

    difference = merge_voice(find_voice(voice, folder), directory, device, engine_options(options))
    echo(f"{directory}: one model; its logits differ from the voice's by at most {difference:.1e} of the largest")
