"""``vtune doctor``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from vtune_cli.arguments import engine_options
from vtune_cli.output import echo, echo_text


@click.command()
@click.argument("data")
@click.option(
    "--engine", metavar="NAME", help="Check the data for this engine too: its sample rate and its longest clip."
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="option=value",
    help="Change an option of the engine, as in a recipe. May be repeated.",
)
@click.option("--json", "json_file", metavar="FILE", help="Write all findings as JSON; '-' for stdout.")
@click.option(
    "--html",
    "html_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a web page with the findings and players.",
)
@click.option("--fix", "out", type=click.Path(path_type=Path), metavar="OUT", help="Write a repaired copy to OUT.")
@click.option("--strict", is_flag=True, help="Exit with code 1 after warnings too, not only after errors.")
@click.option(
    "--validation", type=click.FloatRange(0, 1, max_open=True), default=0.05, show_default=True,
    help="Share of the clips that the recipe holds out for validation.",
)  # fmt: skip
@click.option(
    "--speakers/--no-speakers", default=True, show_default=True,
    help="Check whether all clips have one speaker. This is the slowest check.",
)  # fmt: skip
@click.option("--table", help="File name of the table, for a folder with several tables.")
@click.option("--audio-column", help="Column with the names of the recordings. Default: detected.")
@click.option("--text-column", help="Column with the words. Default: detected.")
@click.option("--speaker-column", help="Column with the names of the speakers. Default: detected.")
@click.option("--split", default="train", show_default=True, help="Split of a Hugging Face data set.")
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    help="Number of recordings to examine at once. Default: one for each core.",
)
@click.pass_context
def doctor(
    context: click.Context,
    data: str,
    engine: str | None,
    settings: tuple[str, ...],
    json_file: str | None,
    html_file: Path | None,
    out: Path | None,
    strict: bool,
    validation: float,
    speakers: bool,
    table: str | None,
    audio_column: str | None,
    text_column: str | None,
    speaker_column: str | None,
    split: str,
    processes: int | None,
) -> None:
    """Examine DATA and report each problem: what it is, which clips have it, and what to do.

    DATA is anything that a recipe's `source:` may be, or a folder of recordings without words. The exit code is 1 if
    there are errors.
    """
    if settings and engine is None:
        raise click.UsageError("--set needs --engine")
    from pydantic import ValidationError

    from vtune.errors import first_problem
    from vtune.recipe import SourceRecipe

    try:
        recipe = SourceRecipe(
            source=data, table=table, audio_column=audio_column, text_column=text_column,
            speaker_column=speaker_column, split=split,
        )  # fmt: skip
    except ValidationError as error:
        raise click.UsageError(first_problem(error)) from error
    from vtune.curation.doctor import (
        Severity,
        as_data,
        check_new_folder,
        check_options,
        examine,
        lines,
        open_data,
        source_folders,
        write_page,
        write_repaired_copy,
    )
    from vtune.engines import load_users_engine
    from vtune.runtime.distributed.ranks import lead
    from vtune.runtime.paths import make_parent, write_text

    here = Path.cwd()
    loaded = load_users_engine(engine) if engine is not None else None
    options = check_options(loaded, engine_options(settings)) if loaded else None
    source, has_words = open_data(recipe, here)
    if out is not None:
        check_new_folder(out, source_folders(recipe, here))
    report = lead(
        lambda pool: examine(
            source, engine=loaded, options=options, processes=processes, validation=validation, has_words=has_words,
            speakers=speakers, pool=pool,
        )
    )  # fmt: skip
    if report is None:  # the main process of the launch reports
        return
    for line in lines(report):
        echo(line, err=json_file == "-")
    if json_file == "-":
        echo_text(json.dumps(as_data(report), indent=2))
    elif json_file is not None:
        make_parent(Path(json_file))
        write_text(Path(json_file), json.dumps(as_data(report), indent=2) + "\n")
    if html_file is not None:
        write_page(html_file, source, report, processes)
    if out is not None:
        fixed = write_repaired_copy(
            source, report, out, apart_from=source_folders(recipe, here), processes=processes, has_words=has_words
        )
        for line in fixed.lines():
            echo(line, err=json_file == "-")
    counts = report.counts
    if counts[Severity.ERROR] or (strict and counts[Severity.WARNING]):
        context.exit(1)
