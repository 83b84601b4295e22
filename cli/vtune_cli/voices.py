"""``vtune voices``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from vtune_cli.arguments import voices_option
from vtune_cli.output import echo, echo_text


@click.command()
@voices_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def voices(folder: Path, as_json: bool) -> None:
    """List the voices in a folder: engine, method, clips, consent."""
    from vtune.errors import VoiceError
    from vtune.voice_format.record import list_voices, read_record

    rows = []
    for voice in list_voices(folder):
        try:
            # The folder's name is what `vtune say` takes, whatever the voice was called when it was made.
            rows.append({**read_record(voice).model_dump(), "name": voice.name, "path": str(voice.path)})
        except VoiceError as error:
            rows.append({"name": voice.name, "path": str(voice.path), "error": str(error)})
    if as_json:
        echo_text(json.dumps(rows, indent=2))
    elif not rows:
        echo(f"no voices in {folder}; 'vtune run RECIPE' makes one")
    for row in rows if not as_json else ():
        if "error" in row:
            echo(f"{row['name']:20} {row['error']}")
            continue
        clips, consent = row["ledger"].get("clips"), "consent stated" if row["consent"] else "no consent stated"
        count = clips.get("train", 0) if isinstance(clips, dict) else "?"
        of = f"{count!s:>5} clips" if row["mix"] is None else f"{len(row['mix']['parts']):>5} mixed"
        echo(f"{row['name']:20} {row['engine']:10} {row['method']:5} {of}  {consent}")
