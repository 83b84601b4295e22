"""``vtune say``."""

from __future__ import annotations

from pathlib import Path

import click

from vtune_cli.arguments import base_options, engine_options, read_lines, seed_option, voices_option


@click.command()
@click.argument("voice")
@click.argument("text", required=False)
@click.option("--file", "lines", callback=read_lines, metavar="FILE", help="Speak each line of a file ('-' for stdin).")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("out.wav"), show_default=True,
    help="Sound file in the format of its ending (.wav, .mp3, .ogg); with --file a folder of 001.wav, 002.wav, ...; "
    "'-' for a pipe.",
)  # fmt: skip
@click.option("--raw", is_flag=True, help="With --stream: write 16-bit little-endian samples without a WAV header.")
@click.option("--stream", is_flag=True, help="Write sound to stdout as soon as it is made; the same as --out -.")
@seed_option
@click.option(
    "--word-times", is_flag=True,
    help="Write when each word is spoken to a JSON file beside the sound file, if the engine knows it.",
)  # fmt: skip
@click.option("--base", "untuned", is_flag=True, help="Speak with the untuned base instead of the voice.")
@base_options
@voices_option
def say(
    voice: str, text: str | None, lines: list[str] | None, out: Path, raw: bool, stream: bool, seed: int,
    word_times: bool, untuned: bool, device: str, options: tuple[str, ...], folder: Path,
) -> None:  # fmt: skip
    """Speak TEXT with VOICE: a name in the folder of voices, a path, or a mix such as '0.7*anna+0.3*ben'."""
    if (text is None) == (lines is None):
        raise click.UsageError("give either TEXT or --file")
    to_pipe = stream or str(out) == "-"
    if raw and not to_pipe:
        raise click.UsageError("--raw needs --stream or --out -")
    if word_times and to_pipe:
        raise click.UsageError("--word-times needs a sound file; leave out --stream or --out -")
    texts = [text] if text is not None else [line.strip() for line in lines or () if line.strip()]
    from vtune.engines import audio_format_of
    from vtune.errors import VoiceError, shown
    from vtune.toolkit.pauses import is_speakable
    from vtune.voices.mixing import open_named
    from vtune_cli.speech_output import FileRequest, to_files, to_stdout

    if not any(map(is_speakable, texts)):
        content = shown(text) if text is not None else "the file"
        raise VoiceError(f"there is nothing to speak in {content}: it has no letter and no digit")
    if not to_pipe and lines is None:
        audio_format_of(out)  # refuse a wrong ending before the voice is loaded
    opened = open_named(voice, folder, device, options=engine_options(options), untuned=untuned)
    if to_pipe:
        to_stdout(opened, [t for t in texts if t is not None], seed, untuned=untuned, raw=raw)
    else:
        request = FileRequest([t for t in texts if t is not None], out, seed, untuned, lines is not None, word_times)
        to_files(opened, request)
