"""Run the steps of a recipe in order; a step that is done under the same settings is not repeated."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cache, partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from vtune import dataset
from vtune.curation.doctor.check_run import check_run
from vtune.engines import SPEECH_HOOKS, Engine, engine_of
from vtune.evaluation import (
    VOICE,
    Scores,
    TestSet,
    check_metrics,
    evaluate,
    held_out_test_set,
    load_checkpoint_metrics,
    tuned_and_base,
)
from vtune.export.existing_voice import CLIP_SAMPLE_KEY
from vtune.export.voice_folder import update_options, voice_record, write_voice
from vtune.ingest import raw_sources
from vtune.recipe import Recipe, as_yaml
from vtune.runtime.device import pick_device, release_memory, weights_dtype
from vtune.runtime.disk import writing
from vtune.runtime.distributed.rank_pool import RankPool
from vtune.runtime.distributed.ranks import joined
from vtune.runtime.distributed.shared_files import await_files
from vtune.runtime.paths import RunFolder, VoiceFolder, sweep, write_text
from vtune.runtime.untrusted import read_json_object
from vtune.training import TrainingJob, train
from vtune.training.losses import describe_losses
from vtune.training.memory_estimate import footprint_of, require
from vtune.types.options import speech_values
from vtune.voice_format.weights import ADAPTER_FILE
from vtune.voices import conditioning
from vtune.voices.speech import Speaker

if TYPE_CHECKING:
    from torch import nn


logger = logging.getLogger(__name__)


def run(
    recipe: Recipe, *, until_trained: bool = False, folder: RunFolder | None = None, callbacks: Sequence[Any] = ()
) -> list[VoiceFolder]:
    """Make every voice of a recipe: prepare and encode clips, train, write voice folders with samples and scores.

    Every process of a launch calls this. A run that was stopped or killed resumes where it was.

    :param until_trained: stop after the training, before any voice folder is written.
    :param folder: folder of the run; default: the folder of the recipe's voice among its runs.
    :param callbacks: callbacks of ``transformers.Trainer`` beside those of extensions; their exceptions end the run.
    :returns: the voice folders.
    :raises VtuneError: see each step.
    """
    with ExitStack() as stack:
        ranks = stack.enter_context(joined(recipe.train.device, recipe.train.world_size, recipe.train.sharding))
        state = ranks.state
        engine = engine_of(recipe)
        check_metrics(engine, recipe)
        device = pick_device("cpu" if state.device.type == "cpu" else recipe.train.device)
        # A run that does not fit into memory is refused now, not after hours of cutting and encoding.
        require(footprint_of(engine, recipe, device), recipe, device, processes=state.num_processes)
        folder = folder or RunFolder(recipe.folders.runs / recipe.voice)
        stack.enter_context(writing(folder.path))
        if state.is_main_process:
            stack.enter_context(folder.locked())
            sweep(folder.path)
            write_text(folder.recipe, as_yaml(recipe))
            _begin(1, "Preparing clips: cutting recordings, checking, encoding")
        pool = ranks.pool
        pool.lead(partial(_prepare_clips, recipe, engine, folder, pool))
        prepared_recipe, tables = pool.from_main(partial(raw_sources.prepared_data, recipe, folder))
        await_files(tables)
        dtype = weights_dtype(recipe.train.precision, device, recipe.train.method)
        base = engine.load_base(recipe.engine_options, device, dtype)
        data = dataset.build_training_data(prepared_recipe, engine, base, folder, pool)
        release_memory()  # of encoding
        if state.is_main_process:
            _begin(2, f"Training: the {_learner(recipe)} learns the voice")
        # Before the training: nobody waits for hours to learn that no test sentences exist.
        test_sets = {name: held_out_test_set(prepared_recipe, engine, folder, name) for name in data.voices}
        extract = cache(partial(conditioning.extract, engine, base, prepared_recipe, folder))
        if len(data.voices) > 1:
            pool.lead(partial(conditioning.require_different, engine, extract, data.voices))
        measure = partial(load_checkpoint_metrics, engine, base, recipe, test_sets, extract)
        job = TrainingJob(engine, base, data, prepared_recipe, folder, state, measure, callbacks)
        model, facts = train(job)
        voices = [VoiceFolder(recipe.folders.voices / name) for name in data.voices]
        if state.is_main_process and not until_trained:
            _begin(3, "Finishing the voice: storing what speech needs, speaking test sentences, scoring them")
            sweep(recipe.folders.voices)
            for voice in voices:
                _make_voice(job, model, facts, recipe, voice, test_sets[voice.name])
        pool.wait()
    return voices


def _prepare_clips(recipe: Recipe, engine: Engine, folder: RunFolder, pool: RankPool) -> None:
    raw_sources.prepare_clips(recipe, engine.info, folder, pool)
    if recipe.prepare.examine:
        check_run(raw_sources.prepared_recipe(recipe, folder), engine, folder, pool)


def _learner(recipe: Recipe) -> str:
    return "adapter" if recipe.train.method == "lora" else "whole network"


def _begin(step: int, description: str) -> None:
    logger.info("[%d/3] %s", step, description)


def _make_voice(
    job: TrainingJob, model: nn.Module, facts: dict[str, Any], recipe: Recipe, voice: VoiceFolder, test_set: TestSet
) -> None:
    """Write one voice of a finished training, unless it is there already.

    :param recipe: as the user wrote it; that of the job names the prepared clips.
    """
    engine, data = job.engine, job.data
    made_from = _made_from(engine, recipe, facts, voice.name)
    if _is_made(voice, made_from):
        logger.info("Voice %s is already finished: %s", voice.name, voice.path)
        update_options(voice, recipe)
        return
    extracted = conditioning.extract(engine, job.base, job.recipe, job.run, voice.name)
    speaker = Speaker(engine, job.base, model, extracted)
    sample = dataset.clip_fingerprint_sample(job.run.features / dataset.MANIFEST_NAME, voice.name)
    # How long the training took stays in the run's folder: the same recipe makes the same voice, byte for byte.
    facts = {name: fact for name, fact in facts.items() if name != "seconds"}
    facts |= {"made_from": made_from, "data": data.identity[:16], CLIP_SAMPLE_KEY: sample}
    record = voice_record(speaker, recipe, voice.name, data.fingerprint, facts, data.totals.settings())
    systems = tuned_and_base(speaker, adapter=recipe.train.method == "lora")
    evaluation = evaluate(engine, systems, test_set, recipe)
    write_voice(speaker, record, recipe, voice, evaluation)
    _log_results(voice, facts, evaluation.scores)


def _log_results(voice: VoiceFolder, facts: dict[str, Any], scores: Scores) -> None:
    logger.info("Learned: %s", describe_losses(facts))
    for score in scores.scores:
        if score.spec.headline:
            logger.info("%s", score.describe(VOICE))
    for name, reason in scores.skipped.items():
        logger.info("Not measured: %s: %s", name, reason)
    for line in scores.warnings():
        logger.warning("%s", line)
    logger.info("Voice %s is finished. To listen, open %s", voice.name, voice.page if scores.texts else voice.samples)


def _made_from(engine: Engine, recipe: Recipe, facts: dict[str, Any], name: str) -> str:
    parts = [
        facts["key"],
        name,
        recipe.evaluate.model_dump(),
        recipe.consent and recipe.consent.model_dump(),
        speech_values(recipe.engine_options),
        engine.extension_identity(recipe.extensions, speech_values, SPEECH_HOOKS),
    ]
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _is_made(voice: VoiceFolder, made_from: str) -> bool:
    try:
        record = read_json_object(voice.record)
        weights = voice.weights if record["method"] == "full" else voice.path / ADAPTER_FILE
        is_complete = all(path.is_file() for path in (weights, voice.conditioning, voice.card))
        return bool(record["training"]["made_from"] == made_from) and is_complete
    except (OSError, ValueError, KeyError, TypeError):
        return False
