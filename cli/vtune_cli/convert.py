"""``vtune convert``."""

from __future__ import annotations

from pathlib import Path

import click

from vtune_cli.arguments import base_options, engine_options, seed_option, voices_option


@click.command()
@click.argument("voice")
@click.argument("recording", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("out.wav"), show_default=True,
    help="Sound file in the format of its ending (.wav, .mp3, .ogg).",
)  # fmt: skip
@seed_option
@click.option("--base", "untuned", is_flag=True, help="Convert with the untuned base instead of the voice.")
@base_options
@voices_option
def convert(
    voice: str,
    recording: Path,
    out: Path,
    seed: int,
    untuned: bool,
    device: str,
    options: tuple[str, ...],
    folder: Path,
) -> None:
    """Say with VOICE what RECORDING says, without a text. The engine of the voice must offer voice conversion."""
    from vtune.engines import audio_format_of
    from vtune.voices.mixing import open_named
    from vtune_cli.speech_output import write_sound

    audio_format_of(out)  # refuse a wrong ending before the voice is loaded
    opened = open_named(voice, folder, device, options=engine_options(options), untuned=untuned)
    opened.engine.require_convert()
    write_sound(opened, opened.convert_file(recording, seed, untuned=untuned), out)
