"""``vtune import``."""

from __future__ import annotations

from pathlib import Path

import click

from vtune_cli.arguments import base_options, engine_options, voices_option
from vtune_cli.output import echo


@click.command("import")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--engine", required=True, help="Name of the engine that the voice belongs to, such as indextts2.")
@click.option("--name", help="Name of the new voice; default: the name that the files suggest.")
@click.option(
    "--embeddings", type=click.Path(path_type=Path), metavar="FILE",
    help="The speaker as the other software keeps it, such as speaker_embeddings.pt; default: the file that lies "
    "where that software puts it.",
)  # fmt: skip
@click.option(
    "--reference", type=click.Path(path_type=Path), metavar="RECORDING",
    help="A recording of the speaker, for a voice without embeddings.",
)  # fmt: skip
@click.option("--person", help="Who speaks; the card of the voice says it. Goes with --statement.")
@click.option("--statement", help="What this person agreed to, or why no consent is needed.")
@base_options
@voices_option
def import_voice(
    path: Path, engine: str, name: str | None, embeddings: Path | None, reference: Path | None, person: str | None,
    statement: str | None, device: str, options: tuple[str, ...], folder: Path,
) -> None:  # fmt: skip
    """Make a voice of PATH, which other software trained: an adapter, a checkpoint, or a folder with both.

    The voice speaks before it is written, and its adapter is checked as after a training. What the files do not say,
    such as the consent of the person, is said on the card.
    """
    from vtune.contract.imports import VoiceToImport
    from vtune.export.imported_voice import ImportRequest
    from vtune.export.imported_voice import import_voice as write_voice

    if (person is None) != (statement is None):
        raise click.UsageError("--person and --statement go together")
    consent = None if person is None or statement is None else {"person": person, "statement": statement}
    source = VoiceToImport(path, embeddings, reference)
    record = write_voice(ImportRequest(source, engine, folder, name, consent, device, engine_options(options)))
    assert record.imported is not None
    for note in record.imported.notes:
        echo(f"note: {note}")
    stated = "consent stated" if record.consent else "no consent stated"
    echo(f"{folder / record.name}: {record.imported.layout}, {record.method}, {stated}")
