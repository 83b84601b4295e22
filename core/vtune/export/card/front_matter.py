"""The card's YAML head, which the Hub reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vtune.evaluation import VOICE, Scores
from vtune.export.card.form import Form
from vtune.runtime.paths import LICENCE_NOTE
from vtune.voice_format.record import VoiceRecord

TASK = "text-to-speech"


def head(
    record: VoiceRecord, settings: Mapping[str, Any], scores: Scores, form: Form, *, note: bool
) -> dict[str, object]:
    """Return the head as plain data; names follow the Hub's specification of model cards.

    :param settings: the recipe as plain data.
    :param note: whether a licence note lies beside the card.
    """
    language = str(settings.get("transcribe", {}).get("language", ""))
    fields: dict[str, object] = {
        **({"language": language} if re.fullmatch("[a-z]{2,3}", language) else {}),
        **_licence(record, note),
        "library_name": form.library,
        "pipeline_tag": TASK,
        "tags": [TASK, "vtune", record.engine, *(["lora"] if record.method == "lora" else [])],
    }
    base = base_of(record)
    if _on_the_hub(base):
        fields |= {"base_model": base, "base_model_relation": form.relation}
    results = _results(scores)
    if results:
        fields["model-index"] = [{"name": record.name, "results": results}]
    return fields


def base_of(record: VoiceRecord) -> str:
    """Return the base that the recipe names by the option ``base_model``; empty if there is none."""
    return str(record.engine_options.get("base_model") or "")


def _licence(record: VoiceRecord, note: bool) -> dict[str, object]:
    if record.licence_id != "other":
        return {"license": record.licence_id}
    name = record.licence_name or f"licence-of-{Path(record.engine).stem}"
    return {"license": "other", "license_name": name, **({"license_link": LICENCE_NOTE} if note else {})}


def _on_the_hub(base: str) -> bool:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined] # it is exported, but not declared

    try:
        validate_repo_id(base)
    except HFValidationError:
        return False
    return base.count("/") == 1 and not Path(base).exists()


def _results(scores: Scores) -> list[dict[str, object]]:
    """Return the headline metrics of the voice as the Hub lists evaluations, numbers as in ``scores.json``."""
    metrics = [
        {"type": score.spec.name, "name": score.spec.title, "value": round(score.means[VOICE], 4)}
        for score in scores.scores
        if score.spec.headline and VOICE in score.means
    ]
    held_out = {"type": "held-out", "name": "sentences of the speaker that the voice was not trained on"}
    return [{"task": {"type": TASK}, "dataset": held_out, "metrics": metrics}] if metrics else []
