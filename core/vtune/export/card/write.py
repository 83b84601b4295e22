"""Writing the card: head and sections in one file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from vtune.evaluation import Scores
from vtune.export.card import sections
from vtune.export.card.checkpoints import checkpoints
from vtune.export.card.form import CardFiles, Form, find_card_files, voice_form
from vtune.export.card.front_matter import base_of, head, space_head
from vtune.runtime.paths import write_text
from vtune.voice_format.record import VoiceRecord


def write_card(
    path: Path, record: VoiceRecord, settings: Mapping[str, Any], scores: Scores, form: Form | None = None
) -> None:
    """Write ``README.md`` into a folder that holds all other files already; default: a voice's own folder."""
    form = form or voice_form(record)
    write_text(path, card_text(record, settings, scores, form, find_card_files(path.parent, form)))


def card_text(
    record: VoiceRecord, settings: Mapping[str, Any], scores: Scores, form: Form, files: CardFiles | None = None
) -> str:
    """Return the card in Markdown with the Hub's YAML head.

    :param settings: the recipe as plain data, as ``recipe.yaml`` has it; empty for a mix, which has none.
    :param files: files beside the card.
    """
    base, files = base_of(record), files or CardFiles()
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
        "Licence": sections.licence(record, note=files.note),
        "Where the numbers come from": sections.origins(record, form),
    }
    fields = space_head(record, files) if form.space else head(record, settings, scores, form, files)
    top = yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)
    parts = [
        f"---\n{top}---",
        f"# {record.name}",
        f"{form.what}, of the engine `{record.engine}`{f' (base `{base}`)' if base else ''}. {made}; speaks at "
        f"{record.sample_rate} Hz.",
        *(f"## {title}\n\n{text}" for title, text in texts.items() if text),
    ]
    return "\n\n".join(parts) + "\n"
