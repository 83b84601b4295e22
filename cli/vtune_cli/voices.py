"""``vtune voices``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from vtune_cli.arguments import voices_option
from vtune_cli.output import echo, echo_text


@click.command()
@voices_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def voices(folder: Path, as_json: bool) -> None:
    """List the voices in a folder: engine, method, clips, consent."""
    rows = voice_rows(folder)
    if as_json:
        echo_text(json.dumps(rows, indent=2))
        return
    for line in lines_of(rows, folder):
        echo(line)


def voice_rows(folder: Path) -> list[dict[str, Any]]:
    """Return the record of each voice of a folder as plain data, with its path, or with the error of its record."""
    from vtune.errors import VoiceError
    from vtune.voice_format.record import list_voices, read_record

    rows: list[dict[str, Any]] = []
    for voice in list_voices(folder):
        try:
            # The folder's name is what `vtune say` takes, whatever the voice was called when it was made.
            rows.append({**read_record(voice).model_dump(), "name": voice.name, "path": str(voice.path)})
        except VoiceError as error:
            rows.append({"name": voice.name, "path": str(voice.path), "error": str(error)})
    return rows


def lines_of(rows: Sequence[Mapping[str, Any]], folder: Path) -> Iterator[str]:
    """Yield a line for each voice."""
    if not rows:
        yield f"no voices in {folder}; 'vtune run RECIPE' makes one"
    for row in rows:
        if "error" in row:
            yield f"{row['name']:20} {row['error']}"
            continue
        consent = "consent stated" if row["consent"] else "no consent stated"
        yield f"{row['name']:20} {row['engine']:10} {row['method']:5} {_origin(row)}  {consent}"


def _origin(row: Mapping[str, Any]) -> str:
    """Say what a voice was made of: ``  120 clips``, ``    2 mixed`` or ``   imported``."""
    if row["imported"] is not None:
        return f"{'imported':>11}"
    if row["mix"] is not None:
        return f"{len(row['mix']['parts']):>5} mixed"
    clips = row["ledger"].get("clips")
    return f"{clips.get('train', 0) if isinstance(clips, dict) else '?'!s:>5} clips"
