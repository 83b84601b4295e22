"""``vtune transcribe``."""

from __future__ import annotations

from pathlib import Path

import click

from vtune_cli.talking import echo


@click.command()
@click.argument("directory", metavar="DIR")
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path),
    help="The table to write. [default: DIR/transcript.csv; with --check DIR/check.csv]",
)  # fmt: skip
@click.option(
    "--backend", type=click.Choice(["whisper", "faster-whisper", "transformers"]), default="whisper", show_default=True,
    help="What listens.",
)  # fmt: skip
@click.option(
    "--model", default="medium", show_default=True,
    help="A size (tiny, base, small, medium, large, turbo), the path of a model, or a Hub id.",
)  # fmt: skip
@click.option("--language", default="en", show_default=True, help="Code of the language spoken, or auto.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option(
    "--limit", type=click.IntRange(min=1), help="Hear so many recordings, and leave the rest for another run."
)
@click.option("--check", is_flag=True, help="Compare the words that DIR has with what is heard; DIR may be any source.")
def transcribe(
    directory: str, output: Path | None, backend: str, model: str, language: str, device: str, limit: int | None,
    check: bool,
) -> None:  # fmt: skip
    """Write down what is said in the recordings of DIR, with red flags where the words are doubtful.

    Stopped at any moment and run again, it goes on; rows that you changed in the table stay as they are.
    """
    from pydantic import ValidationError

    from vtune.errors import first_problem
    from vtune.recipe.model import SourceRecipe, TranscribeRecipe

    if not directory:
        raise click.UsageError("DIR is empty; name a folder that holds recordings")
    values = {"backend": backend, "model": model, "language": language, "device": device}
    try:
        settings = TranscribeRecipe.model_validate(values)
        source = SourceRecipe(source=directory) if check else None
    except ValidationError as error:
        raise click.UsageError(first_problem(error)) from error
    from vtune.ingest.transcribe import check_folder, transcribe_folder

    if source is not None:
        checked, table = check_folder(source, settings, output, limit=limit)
        lines = checked.lines(table)
    else:
        lines = transcribe_folder(Path(directory), settings, output, limit=limit).lines()
    for line in lines:
        echo(line)
