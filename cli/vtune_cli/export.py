"""``vtune export``."""

from __future__ import annotations

from pathlib import Path

import click

from vtune_cli.arguments import base_options, engine_options, voices_option
from vtune_cli.talking import echo

TARGETS = ("peft", "merged", "gguf-ready", "vllm")


@click.command()
@click.argument("voice")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--to", "target", type=click.Choice(TARGETS), required=True,
    help="An adapter for plain PEFT, one merged model, one for llama.cpp's converter, or an adapter for vLLM.",
)  # fmt: skip
@click.option(
    "--dtype", type=click.Choice(["bf16", "fp16", "fp32"]),
    help="Of a merged model's weights; default: bf16 where plain transformers loads it.",
)  # fmt: skip
@click.option(
    "--without-consent", metavar="SENTENCE",
    help="Answer yourself for a voice that states no consent; the error says with which words.",
)  # fmt: skip
@base_options
@voices_option
def export(
    voice: str, directory: Path, target: str, dtype: str | None, without_consent: str | None, device: str,
    options: tuple[str, ...], folder: Path,
) -> None:  # fmt: skip
    """Write VOICE into DIRECTORY as other software takes it, read it back and compare, with its card."""
    from vtune.export import export as export_voice
    from vtune.voice_format.record import find_voice

    exported = export_voice(
        find_voice(voice, folder), directory, target,
        dtype=dtype, without_consent=without_consent, device=device, options=engine_options(options),
    )  # fmt: skip
    for line in exported.lines():
        echo(line)
