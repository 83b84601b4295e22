"""The card's YAML head, which the Hub reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vtune.evaluation import VOICE, Scores
from vtune.export.card.form import CardFiles, Form
from vtune.runtime.paths import LICENCE_NOTE
from vtune.voice_format.record import VoiceRecord

TASK = "text-to-speech"


def head(
    record: VoiceRecord, settings: Mapping[str, Any], scores: Scores, form: Form, files: CardFiles
) -> dict[str, object]:
    """Return the head as plain data; names follow the Hub's specification of model cards.

    :param settings: the recipe as plain data.
    :param files: files beside the card.
    """
    language = str(settings.get("transcribe", {}).get("language", ""))
    fields: dict[str, object] = {
        **({"language": language} if re.fullmatch("[a-z]{2,3}", language) else {}),
        **_licence(record, files.note),
        "library_name": form.library,
        "pipeline_tag": TASK,
        "tags": [TASK, "vtune", record.engine, *(["lora"] if record.method == "lora" else [])],
    }
    base = base_of(record)
    if _on_the_hub(base):
        fields |= {"base_model": base, "base_model_relation": form.relation}
    if datasets := _datasets(settings):
        fields["datasets"] = datasets
    if widget := _widget(settings, files):
        fields["widget"] = widget
    results = _results(scores)
    if results:
        fields["model-index"] = [{"name": record.name, "results": results}]
    return fields


def space_head(record: VoiceRecord, files: CardFiles) -> dict[str, object]:
    """Return the head of a Space's card as plain data; names follow the Hub's reference of Space settings."""
    base = base_of(record)
    return {
        "title": record.name,
        "colorFrom": "indigo",
        "colorTo": "gray",
        "sdk": "gradio",
        "app_file": "app.py",
        "pinned": False,
        "short_description": "Speaks with a synthetic voice",
        **_licence(record, files.note),
        "tags": [TASK, "vtune", record.engine],
        **({"models": [base]} if _on_the_hub(base) else {}),
    }


def _datasets(settings: Mapping[str, Any]) -> list[str]:
    """Return the data sets of the Hub that a recipe names, each once."""
    sources = [str(source.get("source", "")) for source in settings.get("data") or () if isinstance(source, Mapping)]
    names = [source.removeprefix("hub:") for source in sources if source.startswith("hub:")]
    return list(dict.fromkeys(name for name in names if _on_the_hub(name)))


def _widget(settings: Mapping[str, Any], files: CardFiles) -> list[dict[str, object]]:
    """Return the samples as the Hub plays them: each sentence with the file of its sound."""
    sentences = (settings.get("evaluate") or {}).get("sentences") or ()
    return [
        {"text": str(sentences[number - 1]), "output": {"url": path}}
        for number, path in files.samples
        if 0 < number <= len(sentences)
    ]


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
