"""``vtune doctor``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from vtune_cli.arguments import engine_options
from vtune_cli.output import echo, echo_text


@click.command()
@click.argument("data")
@click.option("--engine", metavar="NAME", help="Check against what this engine takes: its rate, its budget of a clip.")
@click.option("--set", "settings", multiple=True, metavar="option=value", help="An engine option, as in a recipe.")
@click.option("--json", "json_file", metavar="FILE", help="Write all findings for programs; - for stdout.")
@click.option("--html", "html_file", type=click.Path(dir_okay=False, path_type=Path), help="Write a page with players.")
@click.option("--fix", "out", type=click.Path(path_type=Path), metavar="OUT", help="Write a repaired copy to OUT.")
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings too, not for errors alone.")
@click.option(
    "--validation", type=click.FloatRange(0, 1, max_open=True), default=0.05, show_default=True,
    help="Share of the clips that the recipe holds for validation.",
)  # fmt: skip
@click.option(
    "--speakers/--no-speakers", default=True, show_default=True,
    help="Compare the speakers of the clips, which takes longest (extra: similarity).",
)  # fmt: skip
@click.option("--table", help="The table inside the folder, where several could be meant.")
@click.option("--audio-column", help="The column that names recordings; default: detected.")
@click.option("--text-column", help="The column that holds words; default: detected.")
@click.option("--speaker-column", help="The column that names speakers; default: detected.")
@click.option("--split", default="train", show_default=True, help="Which split of a data set.")
@click.option("--processes", type=click.IntRange(min=1), help="Recordings listened to at a time; default: one a core.")
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
    """Examine DATA and say what is wrong with it, where, how much, and what to do.

    DATA is anything that a recipe's `source:` may be, or a folder of recordings without words. Exit code 1: errors.
    """
    if settings and engine is None:
        raise click.UsageError("--set goes with --engine")
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
    from vtune.runtime.paths import make_parent, write_text

    here = Path.cwd()
    loaded = load_users_engine(engine) if engine is not None else None
    options = check_options(loaded, engine_options(settings)) if loaded else None
    source, has_words = open_data(recipe, here)
    if out is not None:
        check_new_folder(out, source_folders(recipe, here))
    found = examine(
        source, engine=loaded, options=options, processes=processes, validation=validation, has_words=has_words,
        speakers=speakers,
    )  # fmt: skip
    for line in lines(found):
        echo(line, err=json_file == "-")
    if json_file == "-":
        echo_text(json.dumps(as_data(found), indent=2))
    elif json_file is not None:
        make_parent(Path(json_file))
        write_text(Path(json_file), json.dumps(as_data(found), indent=2) + "\n")
    if html_file is not None:
        write_page(html_file, source, found, processes)
    if out is not None:
        fixed = write_repaired_copy(
            source, found, out, apart_from=source_folders(recipe, here), processes=processes, has_words=has_words
        )
        for line in fixed.lines():
            echo(line, err=json_file == "-")
    counts = found.counts
    if counts[Severity.ERROR] or (strict and counts[Severity.WARNING]):
        context.exit(1)
