"""The recipe's ``train:`` section as ``transformers.TrainingArguments``."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from transformers import SchedulerType, TrainingArguments
from transformers.integrations import get_available_reporting_integrations
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

from vtune.errors import RecipeError, TrainingError, in_a_line, listed, nearest
from vtune.recipe import Recipe
from vtune.runtime.device import pick_device
from vtune.training.checkpoint_evaluation import CheckpointEvaluator

# Arguments that core sets itself; a recipe that set them would break resuming, the guards or the folders.
_RESERVED_ARGUMENTS = frozenset(
    {
        "output_dir", "remove_unused_columns", "disable_tqdm", "use_cpu", "train_sampling_strategy",
        "save_only_model", "ignore_data_skip", "resume_from_checkpoint", "auto_find_batch_size", "push_to_hub",
        "restore_callback_states_from_checkpoint",
    }
)  # fmt: skip

# Arguments by which transformers divides the network over the processes; vtune divides it itself.
_SHARDING_ARGUMENTS = frozenset({"fsdp", "fsdp_config", "deepspeed", "parallelism_config"})


def training_arguments(
    recipe: Recipe,
    folder: Path,
    precision: str,
    use_cpu: bool,
    validated: bool,
    evaluator: CheckpointEvaluator | None = None,
) -> Any:
    """Translate the section ``train`` of a recipe; ``TrainRecipe`` says what each key means.

    :param validated: whether there are validation clips.
    :param evaluator: scores each checkpoint, or None. With an evaluator, the best checkpoint is kept, and each
        validation saves a checkpoint.
    :raises RecipeError: an unknown scheduler, optimizer, tracker or argument.
    """
    train = recipe.train
    schedulers = [kind.value for kind in SchedulerType]
    if train.scheduler not in schedulers:
        hint = nearest(train.scheduler, schedulers) or f" (known: {listed(schedulers, train.scheduler)})"
        raise RecipeError([f"train.scheduler: there is no {train.scheduler!r}{hint}"])
    _require_trackers(train.report_to)
    has_evaluator = evaluator is not None
    evaluate, keeps_best = validated or has_evaluator, has_evaluator or train.early_stopping is not None
    if train.early_stopping is not None and not evaluate:
        raise RecipeError(["train.early_stopping needs validation clips, and there are none; raise train.validation"])
    eval_steps = train.evaluate_every or (train.save_every if has_evaluator else None)
    save_steps = eval_steps if keeps_best else train.save_every
    settings: dict[str, Any] = {
        "output_dir": str(folder),
        "num_train_epochs": train.epochs,
        "max_steps": train.max_steps or -1,
        "per_device_train_batch_size": train.batch_size,
        "per_device_eval_batch_size": train.batch_size,
        "gradient_accumulation_steps": train.gradient_accumulation,
        "learning_rate": train.learning_rate,
        "lr_scheduler_type": train.scheduler,
        "warmup_steps": train.warmup,
        "weight_decay": train.weight_decay,
        "max_grad_norm": train.max_grad_norm,
        "optim": train.optimizer,
        "bf16": precision == "bf16",
        "fp16": precision == "fp16",
        "activation_checkpointing": train.gradient_checkpointing,
        # A reentrant checkpoint drops gradients of a frozen base's blocks.
        "activation_checkpointing_kwargs": {"use_reentrant": False} if train.gradient_checkpointing else None,
        "use_cpu": use_cpu,
        "seed": train.seed,
        "data_seed": train.seed,
        "logging_steps": train.log_every,
        "logging_first_step": True,
        # The default replaces a NaN loss by the average in what is logged, and hides it.
        "logging_nan_inf_filter": False,
        "eval_strategy": ("steps" if eval_steps else "epoch") if evaluate else "no",
        "eval_steps": eval_steps,
        "save_strategy": "steps" if save_steps else "epoch",
        "save_steps": save_steps or 500,
        "save_total_limit": train.save_limit,
        "load_best_model_at_end": keeps_best,
        "metric_for_best_model": (f"eval_{evaluator.specs[0].name}" if evaluator else "eval_loss")
        if evaluate
        else None,
        "greater_is_better": has_evaluator if evaluate else None,
        "prediction_loss_only": True,
        "label_names": ["labels"],
        "report_to": [tracker for tracker in train.report_to if tracker not in {"tensorboard", "none"}],
        "remove_unused_columns": False,
        "disable_tqdm": True,
        "dataloader_pin_memory": not use_cpu,
        "ddp_find_unused_parameters": False,
        "ddp_timeout": 24 * 3600,
        "logging_strategy": "steps",
    }
    settings.update(_extra_arguments(train.arguments))
    try:
        arguments = TrainingArguments(**settings)
    except (ValueError, TypeError, ImportError) as error:
        raise TrainingError(f"train: {in_a_line(error)}") from error
    use_one_gpu(arguments, train.device)
    return arguments


def use_one_gpu(arguments: TrainingArguments, device: str) -> None:
    """Let a process train on one GPU, and on the one that a recipe names by its number.

    Transformers takes the first GPU. With several GPUs it would divide each batch over threads (nn.DataParallel), which
    knows nothing of packed clips or of an engine's own step; several GPUs are used by several processes.
    """
    arguments._n_gpu = min(arguments.n_gpu, 1)
    if ":" in device:
        vars(arguments)["_setup_devices"] = pick_device(device)  # a cached property


def _require_trackers(names: list[str]) -> None:
    """Refuse a tracker that is unknown or not installed: Trainer itself would fail late, with a traceback."""
    for name in names:
        if name not in {*INTEGRATION_TO_CALLBACK, "none"}:
            hint = nearest(name, INTEGRATION_TO_CALLBACK) or f" (known: {listed(INTEGRATION_TO_CALLBACK, name)})"
            raise RecipeError([f"train.report_to: there is no tracker {name!r}{hint}"])
        if name != "none" and name not in get_available_reporting_integrations():
            raise RecipeError([f"train.report_to: {name!r} is not installed; install it or take it out"])


def _extra_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    names = list(inspect.signature(TrainingArguments).parameters)
    problems = [
        f"train.arguments: TrainingArguments has no {name!r}{nearest(name, names)}"
        for name in arguments
        if name not in names
    ]
    problems += [
        f"train.arguments: {name!r} is set by vtune; take it out" for name in arguments if name in _RESERVED_ARGUMENTS
    ]
    problems += [
        f"train.arguments: {name!r} divides the network over the processes, which vtune does by itself; take it out, "
        "and set train.sharding to fsdp2"
        for name in arguments
        if name in _SHARDING_ARGUMENTS
    ]
    if problems:
        raise RecipeError(problems)
    return arguments
