"""A voice as files that other software takes: the folder that is shipped, and one merged model."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vtune
from vtune.audio import write_wav
from vtune.card import write_card
from vtune.engines import Engine
from vtune.errors import VoiceError
from vtune.evaluate import Evaluation
from vtune.folders import LICENCE_NOTE, VoiceFolder, new_folder, write_json, write_text
from vtune.recipe import Recipe, as_yaml
from vtune.speak import open_voice, speak
from vtune.types import Conditioning
from vtune.voices import VoiceRecord

if TYPE_CHECKING:
    from torch import nn

logger = logging.getLogger(__name__)


def voice_record(
    engine: Engine,
    recipe: Recipe,
    name: str,
    fingerprint: dict[str, str],
    facts: dict[str, Any],
    totals: dict[str, Any],
) -> VoiceRecord:
    """Gather what ``voice.json`` says."""
    return VoiceRecord(
        name=name,
        engine=engine.name,
        engine_origin=engine.origin,
        engine_options=recipe.engine_options.model_dump(mode="json"),
        method=recipe.train.method,
        sample_rate=engine.info.sample_rate,
        fingerprint=fingerprint,
        servable=recipe.train.method == "lora" and not recipe.lora.modules_to_save,
        lora=recipe.lora.model_dump(mode="json"),
        training=facts,
        ledger=totals,
        consent=recipe.consent.model_dump() if recipe.consent else None,
        licence=engine.info.licence,
        vtune=vtune.__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def write_voice(
    engine: Engine,
    base: Any,
    model: nn.Module,
    conditioning: Conditioning,
    record: VoiceRecord,
    recipe: Recipe,
    folder: VoiceFolder,
    evaluation: Evaluation,
) -> None:
    """Write a voice folder, whole or not at all, and speak the evaluation sentences into its samples.

    :raises VoiceError: a folder of that name is there and is no voice.
    """
    if folder.path.exists() and not folder.record.is_file() and any(folder.path.iterdir()):
        raise VoiceError(f"{folder.path} is there and is no voice of vtune's; move it, or name the voice differently")
    with new_folder(folder.path) as aside:
        new = VoiceFolder(aside)
        engine.export_voice(base, model, conditioning, aside)
        write_licence_note(engine, aside)
        write_text(new.recipe, as_yaml(recipe))
        for number, sentence in enumerate(recipe.evaluate.sentences, 1):
            for suffix, untuned in (("", False), ("_base", True)):
                if untuned and record.method == "full":
                    continue  # there is no adapter to switch off; `vtune say --base` loads the base alone
                pieces = speak(engine, base, model, sentence, conditioning, recipe.evaluate.seed, untuned=untuned)
                write_wav(new.samples / f"{number:02d}{suffix}.wav", pieces, record.sample_rate)
        evaluation.write(new.scores, new.page, record.name)
        write_json(new.record, record.model_dump())
        write_card(new.card, record, recipe.evaluate.sentences, evaluation.scores)


def merge_voice(
    folder: VoiceFolder, directory: Path, device: str = "auto", options: Mapping[str, Any] | None = None
) -> float:
    """Fold a voice's adapter into its base and write one model folder, checked against the adapter.

    :returns: the largest difference of the logits, as a share of the largest logit.
    :raises VoiceError: the folder is there already, the voice has no adapter, or its base is quantised.
    :raises TrainingError: merged and unmerged answer differently.
    """
    from peft import PeftModel

    from vtune.train import guards

    if directory.exists() and any(directory.iterdir()):
        raise VoiceError(f"{directory} is not empty; name a new folder")
    voice = open_voice(folder, device, "fp32", options)
    if not isinstance(voice.model, PeftModel):
        raise VoiceError(f"{folder.path} was fully fine-tuned: there is no adapter to merge")
    if any(hasattr(parameter, "quant_state") for parameter in voice.model.parameters()):
        raise VoiceError(f"{folder.path}: its base is quantised; merge into whole weights (--set quantization=none)")
    probe = _probe(voice)
    beside = guards.answer(voice.model, probe)
    network = voice.model.merge_and_unload()
    merged = guards.answer(network, probe)
    difference = guards.compare_answers(beside, merged, 1e-3)
    with new_folder(directory) as aside:
        voice.engine.save_merged(voice.base, network, aside)
        write_licence_note(voice.engine, aside)
    return difference


def write_licence_note(engine: Engine, directory: Path) -> None:
    """Write what must go with a voice or a merged model of this engine; nothing where nothing must."""
    if engine.info.licence_note:
        write_text(directory / LICENCE_NOTE, engine.info.licence_note)


def _probe(voice: Any) -> Any:
    """A batch to ask both models: one second of quiet noise with a few words, through the engine's own encoding."""
    import numpy as np

    from vtune.types import Clip

    rate = voice.sample_rate
    noise = np.random.default_rng(0).normal(0, 0.05, rate).astype(np.float32)
    clip = Clip("probe", voice.record.name, "one two three", noise, rate)
    return voice.engine.collate(voice.base, [voice.engine.prepare_sample(voice.base, clip)])
