"""``vtune voices``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from vtune_cli.arguments import voices_option


@click.command()
@voices_option
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def voices(folder: Path, as_json: bool) -> None:
    """List the voices that are there."""
    from vtune.errors import VoiceError
    from vtune.voices import list_voices, read_record

    rows = []
    for voice in list_voices(folder):
        try:
            rows.append({"path": str(voice.path), **read_record(voice).model_dump()})
        except VoiceError as error:
            rows.append({"name": voice.name, "path": str(voice.path), "error": str(error)})
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    elif not rows:
        click.echo(f"no voices in {folder}; 'vtune run RECIPE' makes one")
    for row in rows if not as_json else ():
        if "error" in row:
            click.echo(f"{row['name']:20} {row['error']}")
            continue
        clips, consent = row["ledger"]["clips"], "consent stated" if row["consent"] else "no consent stated"
        click.echo(f"{row['name']:20} {row['engine']:10} {row['method']:5} {clips.get('train', 0):5} clips  {consent}")
