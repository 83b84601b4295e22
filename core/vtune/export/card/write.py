"""Writing the card: head and sections in one file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from vtune.evaluation import Scores
from vtune.export.card import sections
from vtune.export.card.checkpoints import checkpoints
from vtune.export.card.form import Form, voice_form
from vtune.export.card.front_matter import base_of, head
from vtune.runtime.paths import LICENCE_NOTE, write_text
from vtune.voice_format.record import VoiceRecord


def write_card(
    path: Path, record: VoiceRecord, settings: Mapping[str, Any], scores: Scores, form: Form | None = None
) -> None:
    """Write ``README.md`` into a folder that holds all other files already; default: a voice's own folder."""
    note = (path.parent / LICENCE_NOTE).is_file()
    write_text(path, card_text(record, settings, scores, form or voice_form(record), note=note))


def card_text(
    record: VoiceRecord, settings: Mapping[str, Any], scores: Scores, form: Form, *, note: bool = False
) -> str:
    """Return the card in Markdown with the Hub's YAML head.

    :param settings: the recipe as plain data, as ``recipe.yaml`` has it; empty for a mix, which has none.
    :param note: whether a licence note lies beside the card.
    """
    base = base_of(record)
    made = f"Made by vtune {record.vtune} ({record.created[:10]})"
    texts = {
        "Whose voice": sections.whose(record, form),
        "What it is for": sections.purpose(record),
        "Use": form.use,
        "Checked": "\n".join(f"- {line}" for line in form.checked),
        "How it was made": sections.making(record, settings, form),
        "Checkpoints": checkpoints(record.training),
        "Data": sections.data(record),
        "Scores": sections.measured(scores, form) if scores.texts else "",
        "Samples": sections.samples(settings, form),
        "Licence": sections.licence(record, note=note),
        "Where the numbers come from": sections.origins(record, form),
    }
    top = yaml.safe_dump(head(record, settings, scores, form, note=note), sort_keys=False, allow_unicode=True)
    parts = [
        f"---\n{top}---",
        f"# {record.name}",
        f"{form.what}, of the engine `{record.engine}`{f' (base `{base}`)' if base else ''}. {made}; speaks at "
        f"{record.sample_rate} Hz.",
        *(f"## {title}\n\n{text}" for title, text in texts.items() if text),
    ]
    return "\n\n".join(parts) + "\n"
