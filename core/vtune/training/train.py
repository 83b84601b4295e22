"""A data set and a recipe to a finished adapter: resumed where it was stopped, guarded at both ends."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar, cast

from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from peft import PeftModel
from torch import nn
from transformers import EarlyStoppingCallback, set_seed
from transformers.integrations import TensorBoardCallback

from vtune.dataset import TrainingData
from vtune.engines import Engine
from vtune.errors import TrainingError, in_a_line
from vtune.recipe import Recipe, differences
from vtune.runtime import signals
from vtune.runtime.device import pick_precision, release_memory
from vtune.runtime.paths import RunFolder, make_parent, new_folder, sweep, write_json
from vtune.training import checkpoints, guards
from vtune.training import out_of_memory as memory
from vtune.training import resume as resuming
from vtune.training.checkpoint_evaluation import CheckpointEvaluator, EvalFn
from vtune.training.memory_estimate import footprint_of, memory_for_training, require, resolve_auto
from vtune.training.progress import Meter, MetricsFile, Progress
from vtune.training.trainer import VoiceTrainer
from vtune.training.trainer_arguments import training_arguments
from vtune.types import Batch
from vtune.types.options import training_values
from vtune.voice_format.weights import load_weights, save_weights

logger = logging.getLogger(__name__)

T = TypeVar("T")
FACTS = "training.json"
MAX_IDENTITY_BYTES = 1 << 20

# Settings that change what is seen, not what is learned: a run may change them and still go on.
_ASIDE = frozenset({"save_limit", "log_every", "report_to", "world_size", "device"})


def train(
    engine: Engine,
    base: Any,
    data: TrainingData,
    recipe: Recipe,
    run: RunFolder,
    state: PartialState,
    checkpoint_metrics: Callable[[], EvalFn | None] = lambda: None,
    callbacks: Sequence[Any] = (),
) -> tuple[nn.Module, dict[str, Any]]:
    """Train, or find that this very training is finished; every rank calls this.

    :param checkpoint_metrics: makes what lets a checkpoint speak and measures it, called on the first rank; then the
        best checkpoint is kept, and not the last.
    :param callbacks: of transformers' Trainer, beside those of extensions and behind them.
    :returns: the tuned model in memory, and the facts about its training.
    :raises TrainingError: a guard failed, memory ran out, or the loss is no number.
    """
    parts = _identity(engine, data, recipe, state.num_processes)
    key = sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:12]
    folder = run.checkpoints / key
    finished = folder / "final"
    recipe = _settled(engine, data, recipe, state)
    set_seed(recipe.train.seed)
    model = engine.build_model(base, recipe.lora.settings(), recipe.train.method)
    if _decided(state, lambda: _is_finished(finished)):
        logger.info("training: done before (%s)", finished)
        load_weights(model, finished)
        facts: dict[str, Any] = json.loads((finished / FACTS).read_text(encoding="utf-8"))
        return _as_finished(model, recipe), facts
    if state.is_main_process:
        sweep(folder)
        checkpoints.clean(folder)
        _announce(run, folder, parts, model)
    guards.check_trainable(model)
    measure = checkpoint_metrics() if state.is_main_process else None
    specs = _decided(state, lambda: None if measure is None else list(measure.specs))
    evaluator = None if specs is None else CheckpointEvaluator(measure, specs, run.logs / folder.name)
    by_best = evaluator is not None or recipe.train.early_stopping is not None
    checkpoint = _decided(state, lambda: resuming.newest_usable(folder, model, state.num_processes, by_best=by_best))
    # Nothing here keeps the loop: its optimizer and gradients are gone before anything else is asked of the memory.
    facts = _run(
        _loop(engine, base, model, data, recipe, run, folder, state, evaluator, callbacks, checkpoint),
        recipe, data, checkpoint,
    )  # fmt: skip
    model.zero_grad(set_to_none=True)
    release_memory()
    logger.info("Training is done; checking that it changed the network, and that the saved files answer the same")
    probe = _probe(engine, base, data)
    tuned = guards.probe_logits(model, probe)
    facts["key"] = key
    facts["adapter_effect"] = guards.check_adapter_speaks(model, probe, tuned)
    if state.is_main_process:
        with new_folder(finished) as aside:
            save_weights(model, aside)
            guards.check_reloads(model, aside, probe, tuned)
            facts["merge_difference"] = guards.check_merge(model, probe, tuned)
            write_json(aside / FACTS, facts)
            checkpoints.seal(aside)
    state.wait_for_everyone()
    return _as_finished(model, recipe), facts


def _decided(state: PartialState, decide: Callable[[], T]) -> T:
    """Return what the first rank decides; every rank calls this."""
    decision = [decide() if state.is_main_process else None]
    if state.num_processes > 1:
        broadcast_object_list(decision)
    (found,) = decision
    return cast(T, found)


def _is_finished(finished: Path) -> bool:
    """Whether a finished adapter is there, undamaged; warns of a damaged one."""
    if not finished.is_dir():
        return False
    reason = checkpoints.damage(finished)
    if reason is not None:
        logger.warning("training: %s cannot be used: %s; it is made again from its checkpoints", finished, reason)
    return reason is None


def _as_finished(model: nn.Module, recipe: Recipe) -> nn.Module:
    """Return the model as whoever speaks with it finds it, trained just now or loaded: random states included."""
    set_seed(recipe.train.seed)
    return model.eval()


def _identity(engine: Engine, data: TrainingData, recipe: Recipe, world_size: int) -> dict[str, Any]:
    """Everything that the finished adapter depends on; two trainings with the same identity are one."""
    return {
        "engine": engine.name,
        "engine_options": training_values(recipe.engine_options),
        "extensions": {name: training_values(options) for name, options in recipe.extensions.items()},
        "base": data.fingerprint,
        "clips": data.identity,
        "lora": _named_lora(recipe),
        "train": recipe.train.model_dump(mode="json", exclude=set(_ASIDE)),
        # Not which sentences: a user who wants to hear others does not want to train again.
        "checkpoint_sentences": recipe.evaluate.checkpoint_sentences,
        "selection": recipe.evaluate.selection if recipe.evaluate.checkpoint_sentences else None,
        "processes": world_size,
    }


def _named_lora(recipe: Recipe) -> dict[str, Any]:
    lora = recipe.lora.model_dump(mode="json")
    if not lora["arguments"]:
        del lora["arguments"]  # a run from before there was this key is still the same training
    return lora


def _settled(engine: Engine, data: TrainingData, recipe: Recipe, state: PartialState) -> Recipe:
    """The recipe with numbers for what it leaves to the machine, which do not change the adapter.

    :raises TrainingError: the machine cannot hold it.
    """
    footprint = footprint_of(engine, recipe, state.device)
    longest, processes = max(data.lengths), state.num_processes
    have = _decided(state, lambda: memory_for_training(footprint, state.device, processes))  # all ranks decide alike
    settled = resolve_auto(recipe, footprint, longest, have)
    require(footprint, settled, state.device, longest=longest, processes=processes)
    train = settled.train
    if recipe.train.batch_size == "auto" or (train.gradient_checkpointing and recipe.train != train):
        with_it = "with" if train.gradient_checkpointing else "without"
        logger.info("training: %s clips a pass, %s gradient checkpointing, by the memory", train.batch_size, with_it)
    return settled


def _announce(run: RunFolder, folder: Path, parts: dict[str, Any], model: nn.Module) -> None:
    """Say how much is trained, and why an earlier training is not gone on with."""
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    everything = sum(p.numel() for p in model.parameters())
    logger.info(
        "trainable params: %s || all params: %s || trainable%%: %.4f",
        f"{trainable:,}", f"{everything:,}", 100 * trainable / everything,
    )  # fmt: skip
    if isinstance(model, PeftModel):
        kinds = Counter(name.rsplit(".lora_", 1)[0].rsplit(".", 1)[-1] for name in guards.adapter_parameters(model))
        each = ", ".join(f"{kind} {count}" for kind, count in kinds.items())
        logger.info("adapter: %d tensors (%s)", kinds.total(), each)
    for other in sorted(run.checkpoints.glob("*/identity.json")):
        if other.parent != folder:
            logger.info("not resuming %s: %s", other.parent, _what_differs(other, parts))
    make_parent(folder / "identity.json")
    write_json(folder / "identity.json", parts)


def _what_differs(identity: Path, parts: dict[str, Any]) -> str:
    """Return what another training depends on that this one does not; its damage is no matter of this one."""
    try:
        if not identity.is_file() or identity.stat().st_size > MAX_IDENTITY_BYTES:
            raise ValueError
        before = json.loads(identity.read_text(encoding="utf-8"))
        if not isinstance(before, dict):
            raise ValueError
        changed = sorted(one.key for one in differences(before, json.loads(json.dumps(parts, default=str))))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return "its identity.json cannot be read"
    return f"changed since: {', '.join(changed)[:300]}"


def _loop(
    engine: Engine, base: Any, model: nn.Module, data: TrainingData, recipe: Recipe, run: RunFolder, folder: Path,
    state: PartialState, evaluator: CheckpointEvaluator | None, further: Sequence[Any], checkpoint: Path | None,
) -> VoiceTrainer:  # fmt: skip
    use_cpu = state.device.type == "cpu"
    precision = pick_precision(recipe.train.precision, state.device)
    arguments = training_arguments(recipe, folder, precision, use_cpu, data.validation is not None, evaluator)
    if arguments.world_size != state.num_processes:
        raise TrainingError(
            f"transformers sees {arguments.world_size} processes where {state.num_processes} run; each trains alone"
        )
    meter = Meter()
    logs = run.logs / folder.name
    callbacks = [guards.GradientGuard(), Progress(meter), MetricsFile(logs / "metrics.jsonl")]
    if recipe.train.early_stopping is not None:
        callbacks.append(EarlyStoppingCallback(early_stopping_patience=recipe.train.early_stopping))
    if "tensorboard" in recipe.train.report_to and state.is_main_process:
        from torch.utils.tensorboard import SummaryWriter

        # Steps that a killed run made after its checkpoint are made again; their first curves are hidden.
        redone = checkpoints.step_of(checkpoint) + 1 if checkpoint else 0
        writer = SummaryWriter(log_dir=str(logs), purge_step=redone)
        callbacks.append(TensorBoardCallback(writer))
        if evaluator is not None:
            evaluator.writer = writer
    callbacks += [*engine.trainer_callbacks(recipe), *further]

    def collate(rows: list[Any]) -> Batch:
        return engine.collate(base, rows)

    return VoiceTrainer(
        data=data,
        meter=meter,
        length_feature=engine.info.length_feature,
        evaluator=evaluator,
        model=model,
        args=arguments,
        data_collator=collate,
        callbacks=callbacks,
    )


def _run(loop: VoiceTrainer, recipe: Recipe, data: TrainingData, checkpoint: Path | None) -> dict[str, Any]:
    """Train, or go on, and return facts that are the same whether the training was stopped or not."""
    if checkpoint is not None:
        logger.info("training: going on from %s", checkpoint)
    try:
        with signals.deferred():  # the loop stops between two steps
            loop.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except ImportError as error:  # an optimizer or a kernel that was asked for and is not installed
        raise TrainingError(f"train: {in_a_line(error)}") from error
    except (RuntimeError, MemoryError) as error:
        if not memory.is_out_of_memory(error):
            raise
        raise memory.advice(recipe, data.lengths) from error
    # Accelerate left its autocast around the model, which from now on answers as one that was loaded.
    loop.accelerator.unwrap_model(loop.model, keep_fp32_wrapper=False)
    history = [entry for entry in loop.state.log_history if any(name.startswith("eval_") for name in entry)]
    chosen = loop.args.load_best_model_at_end
    return {
        "steps": loop.state.global_step,
        "epochs": loop.state.epoch,
        "clips": len(data.train),
        "tokens": sum(data.lengths),
        "loss": loop.mean_loss,
        "eval_loss": next((entry["eval_loss"] for entry in reversed(history) if "eval_loss" in entry), None),
        "best_step": (chosen and loop.state.best_global_step) or loop.state.global_step,
        "chosen_by": _chosen_by(loop.evaluator) if chosen else None,
        "curve": [_checkpoint_row(entry, loop.evaluator) for entry in history],
        "seconds": round(loop.meter.seconds, 2),
        "processes": loop.args.world_size,
        "precision": "bf16" if loop.args.bf16 else "fp16" if loop.args.fp16 else "fp32",
    }


def _chosen_by(evaluator: CheckpointEvaluator | None) -> str:
    """Return what the best checkpoint was chosen by, in words."""
    return "validation loss, lower is better" if evaluator is None else evaluator.specs[0].title


def _checkpoint_row(entry: Mapping[str, Any], evaluator: CheckpointEvaluator | None) -> dict[str, Any]:
    """Return what a checkpoint reached: its step, its validation loss, and what it was measured by."""
    names = ["step", "eval_loss", *(f"eval_{spec.name}" for spec in (evaluator.specs if evaluator else ()))]
    return {name: entry[name] for name in names if name in entry}


def _probe(engine: Engine, base: Any, data: TrainingData) -> Batch:
    """Make a batch of the shortest training clip alone, for asking the model questions.

    All checks compare weights through answers, and one clip passes through every weight that two do: a second one
    proves nothing more, and at 3B on a CPU it doubles the time.
    """
    shortest = min(range(len(data.lengths)), key=lambda row: (data.lengths[row], row))
    return engine.collate(base, [data.train[shortest]])
