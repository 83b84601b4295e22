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
    "--sample-rate",
    type=click.IntRange(8_000, 192_000),
    default=24_000,
    show_default=True,
    help="Sample rate of the clips, Hz.",
)
@click.option(
    "--min-duration",
    type=click.FloatRange(0),
    help="Length of the shortest clip, seconds. Default: 3, or 1 for a sentence that stands alone.",
)
@click.option(
    "--max-duration",
    type=click.FloatRange(1),
    default=13.0,
    show_default=True,
    help="Length of the longest clip, seconds.",
)
@click.option(
    "--silence-threshold", type=click.FloatRange(-100, -5),
    help="Level in dBFS below which sound is a pause. Default: it follows the noise of the recording.",
)  # fmt: skip
@click.option(
    "--silence-min-len",
    type=click.IntRange(1, 5_000),
    default=500,
    show_default=True,
    help="Length of the shortest pause to cut in, milliseconds.",
)
@click.option(
    "--target-loudness", type=click.FloatRange(-60, -3), default=-20.0, show_default=True,
    help="Level of the speech in the clips. A limiter holds peaks under -1 dBFS.",
)  # fmt: skip
@click.option(
    "--loudness",
    type=click.Choice(["rms", "lufs"]),
    default="rms",
    show_default=True,
    help="How loudness is measured: rms in dBFS, or lufs.",
)
@click.option(
    "--vad/--no-vad",
    default=None,
    help="Find speech with a neural network that tells it from music and noise (extra: vad). Default: only in "
    "recordings with noise or music, if the extra is installed.",
)
@click.option(
    "--processes", type=click.IntRange(1),
    help="Number of recordings to cut at once, in each process of a launch. Default: one for each core.",
)  # fmt: skip
def prepare(
    source: Path, out: Path, sample_rate: int, silence_min_len: int, processes: int | None,
    loudness: Literal["rms", "lufs"], **given: Any,
) -> None:  # fmt: skip
    """Cut the recordings of IN into clips in OUT.

    IN is a recording or a folder of them, in any format. A second run cuts only new and changed recordings.
    """
    from pydantic import ValidationError

    from vtune.dataset import dividing_folders, notes_on_words
    from vtune.errors import first_problem
    from vtune.ingest.prepare import CutSettings, PrepareReport, prepare_folder
    from vtune.recipe import PrepareRecipe
    from vtune.runtime.distributed.rank_pool import RankPool
    from vtune.runtime.distributed.ranks import lead

    try:
        recipe = PrepareRecipe(
            min_seconds=given["min_duration"], max_seconds=given["max_duration"], loudness=loudness,
            silence_threshold=given["silence_threshold"], silence_seconds=silence_min_len / 1000,
            target_loudness=given["target_loudness"], vad="auto" if given["vad"] is None else given["vad"],
        )  # fmt: skip
    except ValidationError as error:
        raise click.UsageError(first_problem(error)) from error
    cutting = CutSettings.from_recipe(recipe, sample_rate)

    def cut(pool: RankPool) -> PrepareReport:
        for note in notes_on_words(source):
            echo(note, err=True)
        if (folders := dividing_folders(source)) is not None:
            echo(f"the folders {folders} may be speakers: cut each speaker's folder into a folder of its own", err=True)
        return prepare_folder(source, out, cutting, processes, pool)

    report = lead(cut)
    if report is None:  # the main process of the launch reports
        return
    for line in report.lines():
        echo(line)
    if report.clips:
        echo(f"{out}: the next step is `vtune transcribe {out}`")
