"""``vtune transcribe``."""

from __future__ import annotations

from pathlib import Path

import click

from vtune_cli.arguments import DeviceName
from vtune_cli.output import echo


@click.command()
@click.argument("directory", metavar="DIR")
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path),
    help="Table to write. [default: DIR/transcript.csv; with --check DIR/check.csv]",
)  # fmt: skip
@click.option(
    "--backend", default="whisper", show_default=True, metavar="whisper|faster-whisper|transformers|NAME",
    help="Speech recogniser to use; NAME is one that an extension adds, see `vtune plugins`.",
)  # fmt: skip
@click.option(
    "--model", default="medium", show_default=True,
    help="Size (tiny, base, small, medium, large, turbo), path of a model, or Hub id.",
)  # fmt: skip
@click.option("--language", default="en", show_default=True, help="Language code of the recordings, or auto.")
@click.option(
    "--device",
    type=DeviceName(),
    default="auto",
    show_default=True,
    help="Where the recogniser runs.",
)
@click.option(
    "--numbers", type=click.Choice(["words", "digits"]), default="words", show_default=True,
    help="How to write numbers: in words, as they are spoken, or in digits.",
)  # fmt: skip
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    help="Transcribe at most N recordings now, and the rest in another run.",
    metavar="N",
)
@click.option(
    "--check",
    is_flag=True,
    help="Compare the transcripts that DIR has with what is heard. DIR may be any source of clips.",
)
def transcribe(
    directory: str, output: Path | None, backend: str, model: str, language: str, device: str, numbers: str,
    limit: int | None, check: bool,
) -> None:  # fmt: skip
    """Transcribe the recordings of DIR into a table, with red flags at doubtful transcripts.

    It can be stopped at any moment; the same command resumes it. Rows that you edited in the table stay as they are.
    """
    from pydantic import ValidationError

    from vtune.errors import first_problem
    from vtune.recipe.data_sections import SourceRecipe, TranscribeRecipe

    if not directory:
        raise click.UsageError("DIR is empty; name a folder that holds recordings")
    values = {"backend": backend, "model": model, "language": language, "device": device, "numbers": numbers}
    try:
        settings = TranscribeRecipe.model_validate(values)
        source = SourceRecipe(source=directory) if check else None
    except ValidationError as error:
        raise click.UsageError(first_problem(error)) from error
    from vtune.dataset import notes_on_words
    from vtune.ingest.transcribe import TranscribeReport, check_folder, find_backend, transcribe_folder
    from vtune.runtime.distributed.rank_pool import RankPool
    from vtune.runtime.distributed.ranks import lead

    find_backend(backend)  # refuse a wrong name before recordings are read

    def hear(pool: RankPool) -> TranscribeReport:
        for note in notes_on_words(Path(directory)):
            echo(note, err=True)
        return transcribe_folder(Path(directory), settings, output, limit=limit, pool=pool)

    if source is not None:
        check_result = lead(lambda pool: check_folder(source, settings, output, limit=limit))
        lines = [] if check_result is None else check_result[0].lines(check_result[1])
    else:
        report = lead(hear)
        lines = [] if report is None else report.lines()
    for line in lines:
        echo(line)
