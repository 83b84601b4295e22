"""Write the folder that vtune keeps of a voice: adapter, conditioning, card, samples and scores."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from vtune.errors import VoiceError
from vtune.evaluation import Evaluation, read_scores
from vtune.export.card import write_card
from vtune.export.existing_voice import is_of_other_clips
from vtune.export.voice_files import licence_entries, sample_count, write_licence_note, write_samples
from vtune.recipe import Recipe, as_yaml
from vtune.runtime.paths import VoiceFolder, new_folder, write_json, write_text
from vtune.runtime.progress import ProgressBar
from vtune.runtime.version import VTUNE_VERSION
from vtune.voice_format.record import VoiceRecord, read_record
from vtune.voice_format.vllm_rules import is_servable
from vtune.voices.extension_options import extension_records
from vtune.voices.speech import Speaker

logger = logging.getLogger(__name__)


def voice_record(
    speaker: Speaker,
    recipe: Recipe,
    name: str,
    fingerprint: dict[str, str],
    facts: dict[str, Any],
    totals: dict[str, Any],
) -> VoiceRecord:
    """Gather what ``voice.json`` says; ``servable`` is known when the adapter is written."""
    engine = speaker.engine
    return VoiceRecord(
        name=name,
        engine=engine.name,
        engine_origin=engine.origin,
        engine_options=recipe.engine_options.model_dump(mode="json"),
        extensions=extension_records(engine.with_extensions(recipe.extensions)),
        method=recipe.train.method,
        sample_rate=engine.info.sample_rate,
        fingerprint=fingerprint,
        lora=recipe.lora.model_dump(mode="json"),
        training=facts,
        ledger=totals,
        consent=recipe.consent.model_dump() if recipe.consent else None,
        **licence_entries(engine.licence(speaker.base)),
        vtune=VTUNE_VERSION,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def write_voice(
    speaker: Speaker, record: VoiceRecord, recipe: Recipe, folder: VoiceFolder, evaluation: Evaluation
) -> None:
    """Write a voice folder, whole or not at all, and speak the evaluation sentences into its samples.

    It replaces an earlier voice of the same recordings; a voice of other recordings is kept under another name.

    :raises VoiceError: the folder exists and is not a voice.
    """
    if folder.path.exists() and not folder.record.is_file() and any(folder.path.iterdir()):
        raise VoiceError(f"{folder.path} exists and is not a voice of vtune's; move it, or name the voice differently")
    with new_folder(folder.path, keep=lambda: is_of_other_clips(folder, record)) as aside:
        new = VoiceFolder(aside)
        speaker.engine.export_voice(speaker.base, speaker.model, speaker.conditioning, aside)
        record = record.model_copy(update={"servable": is_servable(new)})
        write_licence_note(speaker.engine.licence(speaker.base), aside)
        write_text(new.recipe, as_yaml(recipe))
        count = sample_count(record, recipe.evaluate)
        with ProgressBar("speaking samples", count, "sentences") as bar:
            write_samples(speaker, record, recipe.evaluate, new.samples, bar.advance)
        evaluation.write(new.scores, new.page, record.name)
        write_json(new.record, record.model_dump())
        write_card(new.card, record, recipe.settings(), evaluation.scores)


def update_options(folder: VoiceFolder, recipe: Recipe) -> None:
    """Give a finished voice the options of its recipe, engine's and extensions', without speaking again.

    For options that affect only sampling or the runtime: the voice uses the new values from now on, its samples and
    scores stay those of the earlier values.
    """
    record, options = read_record(folder), recipe.engine_options.model_dump(mode="json")
    changed = {name: value for name, value in options.items() if record.engine_options.get(name) != value}
    extensions = dict(record.extensions)
    for name in record.extensions.keys() & recipe.extensions.keys():
        values = recipe.extensions[name].model_dump(mode="json")
        extensions[name] = record.extensions[name].model_copy(update={"options": values})
        earlier = record.extensions[name].options
        changed |= {f"{name}.{key}": value for key, value in values.items() if earlier.get(key) != value}
    if not changed:
        return
    record = record.model_copy(update={"engine_options": options, "extensions": extensions})
    write_text(folder.recipe, as_yaml(recipe))
    write_card(folder.card, record, recipe.settings(), read_scores(folder.scores))
    write_json(folder.record, record.model_dump())  # last: a stopped update is repeated
    values = ", ".join(f"{name}={value}" for name, value in sorted(changed.items()))
    logger.info(
        "voice %s: uses %s from now on; its samples and scores were made with the earlier values",
        record.name, values,
    )  # fmt: skip
