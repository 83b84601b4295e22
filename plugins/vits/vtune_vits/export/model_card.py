"""Write ``MODEL_CARD``, the short text that lies beside every Piper voice; the whole card is ``README.md``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vtune.voice_format.record import VoiceRecord


def model_card(record: VoiceRecord, config: Mapping[str, Any], base_licence: str, notes: list[str]) -> str:
    """Return the text.

    :param config: content of the voice's JSON file.
    :param base_licence: the licence that the base's files name, or an empty text.
    :param notes: sentences about this file.
    """
    if record.consent is not None:
        consent = f"{record.consent['person']}. {record.consent['statement']}"
    else:
        consent = "Not stated. Do not publish this voice before that is settled."
    facts = {
        "Language": config["language"]["code"],
        "Speakers": config["num_speakers"],
        "Quality": config["audio"]["quality"],
        "Samplerate": f"{config['audio']['sample_rate']:,} Hz",
    }
    sections = {
        f"Model card for {record.name} ({config['audio']['quality']})": _listed(facts),
        "Whose voice": consent,
        "Synthetic speech": "What this voice says, no person has said. Tell the hearers so.",
        "Licence": record.licence,
        "Base": f"{record.engine_options.get('base_model')}. Licence: {base_licence or 'its files name none'}",
        "Training": f"Tuned with vtune {record.vtune} on {record.created}. The file README.md is the whole model card.",
        "Notes": "\n".join(f"* {note}" for note in notes),
    }
    return "\n\n".join(
        f"{'##' if number else '#'} {title}\n\n{body}" for number, (title, body) in enumerate(sections.items()) if body
    ) + "\n"  # fmt: skip


def _listed(facts: Mapping[str, Any]) -> str:
    return "\n".join(f"* {name}: {value}" for name, value in facts.items())
