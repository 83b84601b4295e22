"""``vtune export``."""

from __future__ import annotations

from pathlib import Path

import click

from vtune.export.targets import TARGETS
from vtune_cli.arguments import base_options, engine_options, voices_option
from vtune_cli.output import echo


@click.command()
@click.argument("voice")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--to", "target", required=True, metavar="TARGET",
    help="; ".join(f"{name}: {target.description}" for name, target in TARGETS.items()) + "; or a target of the "
    "voice's engine or of an extension, which `vtune plugins` lists.",
)  # fmt: skip
@click.option(
    "--dtype", type=click.Choice(sorted({dtype for target in TARGETS.values() for dtype in target.dtypes})),
    help="Format of the weights; default: the target's own, bf16 for a merged model that plain transformers loads.",
)  # fmt: skip
@click.option(
    "--without-consent", metavar="SENTENCE",
    help="Export a voice that states no consent, on your own responsibility; the error says which sentence to give.",
)  # fmt: skip
@base_options
@voices_option
def export(
    voice: str, directory: Path, target: str, dtype: str | None, without_consent: str | None, device: str,
    options: tuple[str, ...], folder: Path,
) -> None:  # fmt: skip
    """Write VOICE into DIRECTORY in a format of other software, with a model card.

    The files are read back and must answer as the voice does.
    """
    from vtune.export.export import export as export_voice
    from vtune.voice_format.record import find_voice

    exported = export_voice(
        find_voice(voice, folder), directory, target,
        dtype=dtype, without_consent=without_consent, device=device, options=engine_options(options),
    )  # fmt: skip
    for line in exported.lines():
        echo(line)
