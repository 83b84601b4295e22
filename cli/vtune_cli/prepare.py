"""``vtune prepare``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from vtune_cli.output import echo


@click.command()
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--sample-rate", type=click.IntRange(8_000, 192_000), default=24_000, show_default=True, help="Hz of the clips."
)
@click.option(
    "--min-duration", type=click.FloatRange(0), default=3.0, show_default=True, help="Shortest clip, seconds."
)
@click.option(
    "--max-duration", type=click.FloatRange(1), default=13.0, show_default=True, help="Longest clip, seconds."
)
@click.option(
    "--silence-threshold", type=click.FloatRange(-100, -5),
    help="A fixed threshold in dBFS, of the recording at the target loudness. Default: follows its own noise.",
)  # fmt: skip
@click.option(
    "--silence-min-len", type=click.IntRange(1, 5_000), default=500, show_default=True, help="A pause to cut in, ms."
)
@click.option(
    "--target-loudness", type=click.FloatRange(-60, -3), default=-20.0, show_default=True,
    help="Level of the speech; peaks are held under -1 dBFS by a limiter.",
)  # fmt: skip
@click.option(
    "--loudness", type=click.Choice(["rms", "lufs"]), default="rms", show_default=True, help="What the target means."
)
@click.option("--vad", is_flag=True, help="Find speech by a network that knows music and noise (extra: vad).")
@click.option("--processes", type=click.IntRange(1), help="Recordings at a time. Default: one a core.")
def prepare(
    source: Path, out: Path, sample_rate: int, silence_min_len: int, processes: int | None,
    loudness: Literal["rms", "lufs"], **given: Any,
) -> None:  # fmt: skip
    """Cut the recordings of IN into clips in OUT.

    IN is a recording or a folder of them, in any format. Run again, it cuts only what is new or changed.
    """
    from pydantic import ValidationError

    from vtune.errors import first_problem
    from vtune.ingest.prepare import CutSettings, prepare_folder
    from vtune.recipe import PrepareRecipe

    try:
        recipe = PrepareRecipe(
            min_seconds=given["min_duration"], max_seconds=given["max_duration"], loudness=loudness,
            silence_threshold=given["silence_threshold"], silence_seconds=silence_min_len / 1000,
            target_loudness=given["target_loudness"], vad=given["vad"],
        )  # fmt: skip
    except ValidationError as error:
        raise click.UsageError(first_problem(error)) from error
    report = prepare_folder(source, out, CutSettings.from_recipe(recipe, sample_rate), processes)
    for line in report.lines():
        echo(line)
    if report.clips:
        echo(f"{out}: next, vtune transcribe {out}")
