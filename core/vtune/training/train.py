"""Train a recipe on a data set: resume where it was stopped, and check the result."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from peft import PeftModel
from torch import nn
from transformers import EarlyStoppingCallback, set_seed
from transformers.integrations import TensorBoardCallback

from vtune.dataset import TrainingData
from vtune.engines import TRAINING_HOOKS, Engine
from vtune.errors import EngineError, TrainingError, in_a_line, listed
from vtune.recipe import Recipe, differences
from vtune.runtime import signals
from vtune.runtime.device import is_out_of_memory, pick_precision, release_memory
from vtune.runtime.distributed.ranks import from_main_process
from vtune.runtime.paths import RunFolder, make_parent, new_folder, sweep, write_json
from vtune.training import checkpoints, guards, out_of_memory, resume
from vtune.training.callbacks import MetricsFile, ThroughputMeter, TrainingProgress
from vtune.training.checkpoint_evaluation import CheckpointEvaluator, EvalFn
from vtune.training.frozen import freeze
from vtune.training.further_optimizers import held_tensors, require_whole_parts
from vtune.training.learning_rates import own_rates, part_rates
from vtune.training.memory_estimate import footprint_of, memory_for_training, require, resolve_auto
from vtune.training.moving_average import MovingAverage
from vtune.training.parts import TrainingParts, check_apart
from vtune.training.sharding import ShardedNetwork, require_shardable
from vtune.training.trained import Trained
from vtune.training.trainer import BatchFunctions, VoiceTrainer
from vtune.training.trainer_arguments import training_arguments
from vtune.types import Batch, Features, TrainingStep
from vtune.types.options import training_values
from vtune.types.training import MAIN_OPTIMIZER
from vtune.voice_format.weights import DEFAULT_ADAPTER, load_weights, save_weights

logger = logging.getLogger(__name__)

FACTS = "training.json"
MAX_IDENTITY_BYTES = 1 << 20

# Settings that change what is shown, not what is learned: a run may change them and still resume.
_NOT_IN_IDENTITY = frozenset({"save_limit", "log_every", "report_to", "world_size", "device"})


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """What one training is made of.

    :param base: the engine's state, from ``load_base``.
    :param run: folder of the run; checkpoints and logs go there.
    :param state: which of how many processes this is, and its device.
    :param checkpoint_metrics: makes what lets a checkpoint speak and measures it, called in the main process; if it
        returns one, the best checkpoint is kept, and not the last.
    :param callbacks: of ``transformers.Trainer``, after those of extensions.
    """

    engine: Engine
    base: Any
    data: TrainingData
    recipe: Recipe
    run: RunFolder
    state: PartialState
    checkpoint_metrics: Callable[[], EvalFn | None] = lambda: None
    callbacks: Sequence[Any] = ()


def train(job: TrainingJob) -> tuple[nn.Module, dict[str, Any]]:
    """Train, or load the finished training of the same job; every process calls this.

    :returns: the trained model in memory, and the facts about its training.
    :raises TrainingError: a guard failed, memory ran out, or the loss is not a number.
    """
    identity = _identity(job)
    key = sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:12]
    folder = job.run.checkpoints / key
    finished = folder / "final"
    state = job.state
    job = replace(job, recipe=_with_resolved_auto(job))
    recipe = job.recipe
    set_seed(recipe.train.seed)
    model = job.engine.build_model(job.base, recipe.lora.settings(), recipe.train.method)
    freeze(model, recipe.train.frozen)
    if state.is_main_process:  # even if the training is finished: a kill may have left the lock file of `final`
        sweep(folder)
        checkpoints.clean(folder)
    if from_main_process(state, lambda: _is_finished(finished)):
        logger.info("The training is already finished: %s", finished)
        load_weights(model, finished)
        facts: dict[str, Any] = json.loads((finished / FACTS).read_text(encoding="utf-8"))
        return _as_finished(model, recipe), facts
    if state.is_main_process:
        _announce(job.run, folder, identity, model)
    facts = _train_model(job, model, folder)
    model.zero_grad(set_to_none=True)
    release_memory()
    logger.info("Training is done; checking that it changed the network, and that the saved files answer the same")
    probe = _probe(job)
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


def _train_model(job: TrainingJob, model: nn.Module, folder: Path) -> dict[str, Any]:
    """Train a model from its newest checkpoint or anew, and return facts about its training.

    What only the training needs is freed when this function ends, before the checks after it need memory.

    :param folder: gets the checkpoints.
    """
    state = job.state
    sharded = _sharded(job, model)
    trained = replace(_trained(job, sharded.divided if sharded else model), sharded=sharded)
    guards.check_trainable(model, trained.parts, trained.frozen)
    if state.is_main_process:
        _announce_parts(trained)
    measure = job.checkpoint_metrics() if state.is_main_process else None
    specs = from_main_process(state, lambda: None if measure is None else list(measure.specs))
    evaluator = None if specs is None else CheckpointEvaluator(measure, specs, job.run.logs / folder.name)
    by_best = evaluator is not None or job.recipe.train.early_stopping is not None
    checkpoint = from_main_process(
        state, lambda: resume.newest_usable(folder, trained, state.num_processes, by_best=by_best)
    )
    facts = _run(_make_trainer(job, trained, folder, evaluator, checkpoint), job, checkpoint)
    if sharded is not None:
        release_memory()  # of the optimizer, before the network is whole again
        sharded.gather()
    return facts


def _sharded(job: TrainingJob, model: nn.Module) -> ShardedNetwork | None:
    """Divide the model over the processes, if the recipe asks for it and there are several.

    :raises TrainingError: something in the recipe or the engine does not go together with that.
    """
    engine, train, processes = job.engine, job.recipe.train, job.state.num_processes
    if train.sharding == "none" or processes == 1:
        return None
    hooks = {
        "training_parts": bool(engine.training_parts(job.base, model)),
        "training_step": engine.has_training_step,
    }
    require_shardable(
        precision=pick_precision(train.precision, job.state.device),
        optimizer=train.optimizer,
        quantised=guards.is_quantised(model),
        beside=" and ".join(name for name, is_there in hooks.items() if is_there) or None,
    )
    return ShardedNetwork(model, processes)


def _is_finished(finished: Path) -> bool:
    """Tell whether an undamaged finished training is there; warn of a damaged one."""
    if not finished.is_dir():
        return False
    reason = checkpoints.damage(finished)
    if reason is not None:
        logger.warning("training: %s cannot be used: %s; it is made again from its checkpoints", finished, reason)
    return reason is None


def _as_finished(model: nn.Module, recipe: Recipe) -> nn.Module:
    """Put the model and the random states into the same state, whether it was trained now or loaded."""
    set_seed(recipe.train.seed)
    return model.eval()


def _identity(job: TrainingJob) -> dict[str, Any]:
    """Return everything that the result depends on; two trainings with the same identity are the same."""
    engine, data, recipe = job.engine, job.data, job.recipe
    return {
        "engine": engine.name,
        "engine_options": training_values(recipe.engine_options),
        "extensions": engine.extension_identity(recipe.extensions, training_values, TRAINING_HOOKS),
        "base": data.fingerprint,
        "clips": data.identity,
        "lora": _lora_identity(recipe),
        "train": _train_identity(recipe),
        # Not which sentences: a user who wants to hear others does not want to train again.
        "checkpoint_sentences": recipe.evaluate.checkpoint_sentences,
        "selection": recipe.evaluate.selection if recipe.evaluate.checkpoint_sentences else None,
        "processes": job.state.num_processes,
    }


def _train_identity(recipe: Recipe) -> dict[str, Any]:
    train = recipe.train.model_dump(mode="json", exclude=set(_NOT_IN_IDENTITY))
    for key, default in (("sharding", "none"), ("frozen", [])):
        if train[key] == default:
            del train[key]  # a run from before this key existed is still the same training
    return train


def _lora_identity(recipe: Recipe) -> dict[str, Any]:
    lora = recipe.lora.model_dump(mode="json")
    if not lora["arguments"]:
        del lora["arguments"]  # a run from before this key existed is still the same training
    return lora


def _with_resolved_auto(job: TrainingJob) -> Recipe:
    """Return the recipe with values for every `auto`, chosen by the memory; they do not change the result.

    :raises TrainingError: the training does not fit into memory.
    """
    recipe, device, processes = job.recipe, job.state.device, job.state.num_processes
    footprint = footprint_of(job.engine, recipe, device)
    longest = max(job.data.lengths)
    have = from_main_process(
        job.state, lambda: memory_for_training(footprint, device, processes)
    )  # the same in all processes
    resolved = resolve_auto(recipe, footprint, longest, have, processes)
    require(footprint, resolved, device, longest=longest, processes=processes)
    train = resolved.train
    if recipe.train.batch_size == "auto" or (train.gradient_checkpointing and recipe.train != train):
        checkpointing = "with" if train.gradient_checkpointing else "without"
        logger.info("By the memory estimate: batches of %s, %s gradient checkpointing", train.batch_size, checkpointing)
    return resolved


def _announce(run: RunFolder, folder: Path, identity: dict[str, Any], model: nn.Module) -> None:
    """Log how much is trained and why earlier trainings are not resumed, and write the identity."""
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    total = sum(p.numel() for p in model.parameters())
    logger.info("Trainable parameters: %s of %s (%.4f %%)", f"{trainable:,}", f"{total:,}", 100 * trainable / total)
    if isinstance(model, PeftModel):
        kinds = Counter(map(_layer_name, guards.adapter_parameters(model)))
        each = ", ".join(f"{kind} {count}" for kind, count in kinds.items())
        logger.info("Adapter: %d tensors (%s)", kinds.total(), each)
    for identity_path in sorted(run.checkpoints.glob("*/identity.json")):
        if identity_path.parent != folder:
            logger.info("not resuming %s: %s", identity_path.parent, _what_differs(identity_path, identity))
    make_parent(folder / "identity.json")
    write_json(folder / "identity.json", identity)


def _layer_name(tensor: str) -> str:
    """Return the name of the layer that a tensor of an adapter belongs to; layers of a list have that of the list.

    ``encoder.0.q_proj.lora_A.weight`` is of ``q_proj``, ``flow.in_layers.3.lora_A.weight`` of ``in_layers``.
    """
    parts = tensor.rsplit(".lora_", 1)[0].split(".")
    return next((part for part in reversed(parts) if not part.isdigit()), parts[-1])


def _what_differs(file: Path, identity: dict[str, Any]) -> str:
    """Return in which settings another training differs, from its identity file, which may be damaged."""
    try:
        if not file.is_file() or file.stat().st_size > MAX_IDENTITY_BYTES:
            raise ValueError
        before = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(before, dict):
            raise ValueError
        changed = sorted(entry.key for entry in differences(before, json.loads(json.dumps(identity, default=str))))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return "its identity.json cannot be read"
    return f"these settings have changed: {', '.join(changed)[:300]}"


def _trained(job: TrainingJob, model: nn.Module) -> Trained:
    """Collect what is trained: the adapter, the engine's parts and further optimizers, and the average.

    :raises EngineError: the parts and optimizers of the engine do not fit together.
    :raises TrainingError: ``train.learning_rates`` or ``train.ema`` does not fit what is trained.
    """
    engine, settings = job.engine, job.recipe.train
    declared = engine.training_parts(job.base, model)
    modules = {name: part.module for name, part in declared.items()}
    parts = TrainingParts(model, modules, job.state.device, engine.title("training_parts"))
    if isinstance(model, PeftModel):
        check_apart(parts, guards.adapter_parameters(model), engine.title("training_parts"))
    own = {name: part.learning_rate for name, part in declared.items()}
    of_parts = part_rates(settings.learning_rates, own, settings.learning_rate)
    optimizers = engine.optimizers(job.base, model, parts.modules, of_parts)
    require_whole_parts(optimizers, parts, engine.title("optimizers"))
    if optimizers and not engine.has_training_step:
        raise EngineError(
            f"{engine.title('optimizers')} returned {listed(optimizers)}, but the engine has no hook training_step, "
            "which would call step.optimize for it"
        )
    trained = Trained(model, parts, None, optimizers)
    main, names = trained.main_parameters(), {_readable(name): name for name in trained.parameters()}
    rates = own_rates(
        settings.learning_rates,
        {name: full_name in main for name, full_name in names.items()},
        of_parts,
        settings.learning_rate,
    )
    rates = {names[name]: rate for name, rate in rates.items()}
    return _frozen(replace(trained, rates=rates), settings.ema)


def _frozen(trained: Trained, ema: float | None) -> Trained:
    """Freeze the tensors whose learning rate is 0, and begin the average of the others, if there is to be one.

    :param ema: ``train.ema``.
    :raises TrainingError: nothing of the adapter or network is left to learn, or it cannot be averaged.
    """
    adapter = guards.adapter_parameters(trained.model, trained.parts)
    frozen = frozenset(name for name in adapter if trained.rates.get(name) == 0)
    if frozen == adapter.keys():
        raise TrainingError(f"train.learning_rates: 0 freezes all tensors of the {guards.trained_part(trained.model)}")
    for name in frozen:
        adapter[name].requires_grad_(False)
    learning = {name: parameter for name, parameter in adapter.items() if name not in frozen}
    rates = {name: rate for name, rate in trained.rates.items() if name not in frozen}
    average = MovingAverage(learning, ema) if ema else None
    return replace(trained, average=average, rates=rates, frozen=frozen)


def _readable(name: str) -> str:
    """Return the name of a trained tensor without what PEFT adds: ``h.0.mlp.lora_A.weight``."""
    return name.removeprefix("base_model.model.").replace(f".{DEFAULT_ADAPTER}", "")


def _announce_parts(trained: Trained) -> None:
    """Log what is trained beside the adapter, and by which optimizer."""
    owners = {id(tensor): name for name, optimizer in trained.optimizers.items() for tensor in held_tensors(optimizer)}
    for name, module in trained.parts.modules.items():
        parameters = list(module.parameters())
        size = sum(parameter.numel() for parameter in parameters)
        owner = owners.get(id(parameters[0]), MAIN_OPTIMIZER)
        logger.info("Beside the adapter: %s, %s parameters (optimizer %s)", name, f"{size:,}", owner)


def _make_trainer(
    job: TrainingJob, trained: Trained, folder: Path, evaluator: CheckpointEvaluator | None, checkpoint: Path | None
) -> VoiceTrainer:
    """Set up the trainer with its callbacks.

    :param folder: gets the checkpoints.
    :param checkpoint: that the training resumes from.
    """
    engine, data, recipe, state = job.engine, job.data, job.recipe, job.state
    use_cpu = state.device.type == "cpu"
    precision = pick_precision(recipe.train.precision, state.device)
    arguments = training_arguments(recipe, folder, precision, use_cpu, data.validation is not None, evaluator)
    if arguments.world_size != state.num_processes:
        raise TrainingError(
            f"transformers sees {arguments.world_size} processes, but {state.num_processes} run; each would train alone"
        )
    meter = ThroughputMeter()
    logs = job.run.logs / folder.name
    checks = [guards.GradientGuard(trained.main_parameters), guards.BufferGuard(trained.model, trained.parts)]
    callbacks = [*checks, TrainingProgress(meter), MetricsFile(logs / "metrics.jsonl")]
    if recipe.train.early_stopping is not None:
        callbacks.append(EarlyStoppingCallback(early_stopping_patience=recipe.train.early_stopping))
    if "tensorboard" in recipe.train.report_to and state.is_main_process:
        from torch.utils.tensorboard import SummaryWriter

        # Steps that a killed run made after its checkpoint are repeated; the curves of the first time are hidden.
        first_repeated_step = checkpoints.step_of(checkpoint) + 1 if checkpoint else 0
        writer = SummaryWriter(log_dir=str(logs), purge_step=first_repeated_step)
        callbacks.append(TensorBoardCallback(writer))
        if evaluator is not None:
            evaluator.writer = writer
    callbacks += [*engine.trainer_callbacks(recipe), *job.callbacks]

    def collate(rows: Sequence[Features]) -> Batch:
        return engine.collate(job.base, rows)

    def training_step(batch: Batch, step: TrainingStep) -> Mapping[str, torch.Tensor]:
        return engine.training_step(job.base, trained.model, batch, step)

    return VoiceTrainer(
        data=data,
        meter=meter,
        evaluator=evaluator,
        trained=trained,
        batches=BatchFunctions(
            collate,
            engine.info.length_feature,
            engine.title("training_step"),
            training_step if engine.has_training_step else None,
        ),
        args=arguments,
        callbacks=callbacks,
    )


def _run(trainer: VoiceTrainer, job: TrainingJob, checkpoint: Path | None) -> dict[str, Any]:
    """Train or resume, and return facts that are the same whether the training was stopped or not."""
    data = job.data
    if checkpoint is not None:
        logger.info("training: resuming from %s", checkpoint)
    try:
        # The trainer stops between two steps.
        with signals.deferred(), job.engine.named_errors("training the model"):
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except ImportError as error:  # the optimizer or kernel of the recipe is not installed
        raise TrainingError(f"train: {in_a_line(error)}") from error
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise out_of_memory.advice(job.recipe, data.lengths) from error
    # Accelerate leaves its autocast around the model; without it the model computes as a loaded one does.
    trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    trainer.become_voice()
    history = [entry for entry in trainer.state.log_history if any(name.startswith("eval_") for name in entry)]
    chosen = trainer.args.load_best_model_at_end
    return {
        "steps": trainer.state.global_step,
        "epochs": trainer.state.epoch,
        "clips": len(data.train),
        "tokens": sum(data.lengths),
        "loss": trainer.mean_loss,
        "eval_loss": next((entry["eval_loss"] for entry in reversed(history) if "eval_loss" in entry), None),
        "best_step": (chosen and trainer.state.best_global_step) or trainer.state.global_step,
        "chosen_by": _chosen_by(trainer.evaluator) if chosen else None,
        "curve": [_checkpoint_row(entry, trainer.evaluator) for entry in history],
        "seconds": round(trainer.meter.seconds, 2),
        "processes": trainer.args.world_size,
        "precision": "bf16" if trainer.args.bf16 else "fp16" if trainer.args.fp16 else "fp32",
    }


def _chosen_by(evaluator: CheckpointEvaluator | None) -> str:
    """Return what the best checkpoint was chosen by, in words."""
    return "validation loss, lower is better" if evaluator is None else evaluator.specs[0].title


def _checkpoint_row(entry: Mapping[str, Any], evaluator: CheckpointEvaluator | None) -> dict[str, Any]:
    """Return what a checkpoint reached: its step, its validation loss, and what it was measured by."""
    names = ["step", "eval_loss", *(f"eval_{spec.name}" for spec in (evaluator.specs if evaluator else ()))]
    return {name: entry[name] for name in names if name in entry}


def _probe(job: TrainingJob) -> Batch:
    """Make a batch of the shortest training clip alone, for comparing logits.

    One clip passes through every weight that two clips do: a second clip proves nothing more, and at 3B on a CPU it
    doubles the time.
    """
    lengths = job.data.lengths
    shortest = min(range(len(lengths)), key=lambda row: (lengths[row], row))
    return job.engine.collate(job.base, [job.data.train[shortest]])
