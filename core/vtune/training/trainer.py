"""The training loop of every engine: transformers' Trainer with its own sampler, evaluation and checkpoints."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from peft.helpers import disable_input_dtype_casting
from torch import nn
from transformers import (
    DefaultFlowCallback,
    PrinterCallback,
    ProgressCallback,
    SchedulerType,
    Trainer,
    get_scheduler,
)
from transformers.trainer_callback import ExportableState
from transformers.trainer_utils import EvalLoopOutput

from vtune.dataset import TrainingData
from vtune.errors import TrainingError
from vtune.runtime import signals
from vtune.runtime.distributed.ranks import max_over_ranks
from vtune.runtime.paths import write_json
from vtune.training import checkpoints
from vtune.training.callbacks import ThroughputMeter
from vtune.training.checkpoint_evaluation import CheckpointEvaluator
from vtune.training.divided_tensors import whole
from vtune.training.further_optimizers import FurtherOptimizer, held_tensors, load_optimizers, save_optimizers
from vtune.training.guards import trained_part
from vtune.training.loss_watch import LossWatch
from vtune.training.mean_metrics import MeanMetrics
from vtune.training.resume import OPTIMIZER_STATE, SCHEDULER_STATE, TRAINER_STATE, loop_state_of, read_json
from vtune.training.sampler import EpochSampler
from vtune.training.sharding import keep_state_whole
from vtune.training.trained import Trained
from vtune.training.training_step import Learner, OneBatch
from vtune.training.weight_casting import cast_weights_per_product
from vtune.types import Batch, Features

CLIP_LENGTHS = "vtune.clip_lengths"
"""Key that vtune adds to each batch and takes out before the model is called: int64 ``[B]``, the length of each clip.

It is the first key, because transformers takes the number of clips from the first tensor of a batch.
"""


_SCHEDULERS_BY_LOSS = (SchedulerType.REDUCE_ON_PLATEAU, SchedulerType.GREEDY)


@dataclass(frozen=True, slots=True)
class BatchFunctions:
    """What an engine does with the rows of a batch.

    :param collate: makes a batch of some rows.
    :param length_feature: the feature of a row that has the length of its clip.
    :param title: how errors name the engine and its hook ``training_step``.
    :param training_step: learns from a batch; None for an engine with one loss.
    """

    collate: Callable[[Sequence[Features]], Batch]
    length_feature: str
    title: str = ""
    training_step: Callable[[Batch, OneBatch], Mapping[str, torch.Tensor]] | None = None

    def __call__(self, rows: Sequence[Features]) -> Batch:
        """Make a batch that also has the length of each clip."""
        lengths = torch.tensor([len(row[self.length_feature]) for row in rows])
        return {CLIP_LENGTHS: lengths, **self.collate(rows)}


class VoiceTrainer(Trainer):  # type: ignore[misc] # transformers is not typed for us
    """Trainer with its own sampler, checkpoints and evaluation, with a throughput meter, and with several optimizers.

    :param trained: what is trained; ``model`` of transformers' Trainer is made of it.
    """

    def __init__(
        self,
        *,
        data: TrainingData,
        meter: ThroughputMeter,
        evaluator: CheckpointEvaluator | None,
        trained: Trained,
        batches: BatchFunctions,
        **settings: Any,
    ) -> None:
        self.trained = trained  # before transformers' own part, which moves the model
        # Trainer requires an eval_dataset, even if the evaluator alone measures a checkpoint.
        validation: Any = data.validation if data.validation is not None or evaluator is None else []
        super().__init__(
            model=trained.module(), train_dataset=data.train, eval_dataset=validation, data_collator=batches, **settings
        )
        self.model_accepts_loss_kwargs = _accepts_item_count(trained.model)
        # A divided model averages its own gradients. Transformers has this path for models that it divides itself, and
        # says there that it cannot resume them; here the optimizer's state is gathered, so it can.
        self.is_distributed_loading_by_transformers = trained.sharded is not None
        self._batches = batches
        self._learner: Learner | None = None
        self._further: dict[str, FurtherOptimizer] = {}
        self._epoch = 0
        self._has_best = False
        self._require_schedule()
        self._data = data
        self.evaluator = evaluator
        self.meter = meter
        self._losses = LossWatch()
        self._means = MeanMetrics()
        self._eval_means = MeanMetrics()
        self._resumed: dict[str, Any] = {}
        self._ended = False
        self._saved_step = -1
        for callback in (PrinterCallback, ProgressCallback, DefaultFlowCallback):
            self.remove_callback(callback)
        self.callback_handler.callbacks.insert(0, _Flow(self.restore, self._after_step))

    @property
    def mean_loss(self) -> float:
        """Mean loss of all logged steps, those before a resume included."""
        return float(self._total_loss_scalar / max(self.state.global_step, 1))

    def _get_train_sampler(self, train_dataset: Any = None) -> EpochSampler:
        self._sampler = EpochSampler(self._data.weights, self.args.seed)
        return self._sampler

    def _require_schedule(self) -> None:
        """Check that the schedule of the recipe can drive several optimizers."""
        if self.trained.optimizers and self.args.lr_scheduler_type in _SCHEDULERS_BY_LOSS:
            raise TrainingError(
                f"train.scheduler: {self.args.lr_scheduler_type.value} follows one loss, and this engine has several "
                "optimizers; take another scheduler, such as cosine"
            )

    def create_optimizer(self, model: Any = None) -> Any:
        """Make the recipe's optimizer of the tensors that no further optimizer steps, in groups by learning rate."""
        if self.optimizer is None:
            further = [tensor for optimizer in self.trained.optimizers.values() for tensor in held_tensors(optimizer)]
            for tensor in further:
                tensor.requires_grad_(False)
            super().create_optimizer(model)
            for tensor in further:
                tensor.requires_grad_(True)
            parameters = self.trained.main_parameters()
            _split_groups(self.optimizer, {id(parameters[name]): rate for name, rate in self.trained.rates.items()})
            if self.trained.sharded is not None:
                keep_state_whole(self.optimizer, main=self.args.should_save)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Make the schedules of all optimizers.

        The warm-up ends before the last step; otherwise a run of one step would have the learning rate 0 only.
        """
        if self.args.get_warmup_steps(num_training_steps) >= num_training_steps:
            self.args.warmup_steps = num_training_steps - 1
        scheduler = super().create_scheduler(num_training_steps, optimizer)
        names = {id(parameter): name for name, parameter in self.trained.parts.parameters().items()}
        for name, further in self.trained.optimizers.items():
            schedule = get_scheduler(
                self.args.lr_scheduler_type,
                further,
                self.args.get_warmup_steps(num_training_steps),
                num_training_steps,
                self.args.lr_scheduler_kwargs,
            )
            scaler = torch.amp.GradScaler(self.args.device.type, enabled=self.args.fp16)
            parameters: dict[str, Any] = {names[id(tensor)]: tensor for tensor in held_tensors(further)}
            self._further[name] = FurtherOptimizer(further, parameters, schedule, scaler, self.args.max_grad_norm)
        if self._batches.training_step is not None:
            main = list(self.trained.main_parameters().values())
            self._learner = Learner(main, self._further, self.accelerator.scaler, self.accelerator, self._batches.title)
        return scheduler

    def _move_model_to_device(self, model: nn.Module, device: torch.device) -> None:
        if self.trained.sharded is None:  # a divided model lies where its mesh is
            super()._move_model_to_device(model, device)

    def _defer_fsdp_gradient_reduction(self) -> AbstractContextManager[None]:
        # Not deferred: gradients of one batch would wait whole in each process, and the memory for them is not there.
        return nullcontext()

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        return whole(super()._get_grad_norm(model, grad_norm))

    def training_step(self, model: nn.Module, inputs: Batch, num_items_in_batch: Any = None) -> torch.Tensor:
        """Count the clips and tokens of a batch, and learn from it.

        :raises TrainingError: the loss depends on no trainable tensor.
        """
        lengths = inputs.pop(CLIP_LENGTHS)
        self.meter.add(len(lengths), int(lengths.sum()))
        narrow = self.args.bf16 or self.args.fp16
        try:
            # PEFT would widen what adapters are given to float32, and autocast narrow it again: the same numbers, in a
            # copy for each adapter that stays until backward.
            with disable_input_dtype_casting(model, active=narrow), cast_weights_per_product(model, active=narrow):
                if self._learner is not None:
                    return self._engine_step(self._learner, model, inputs)
                loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
                self._losses.add(loss, self.state.global_step + 1)
        except RuntimeError as error:
            if "does not require grad" not in str(error):
                raise
            raise TrainingError(
                "the loss does not depend on any trainable tensor: "
                f"the {trained_part(model)} is detached or switched off; "
                "look at build_lora_model and at the model's forward"
            ) from error
        return loss

    def _engine_step(self, learner: Learner, model: nn.Module, inputs: Batch) -> torch.Tensor:
        """Let the engine learn from a batch, and return its loss as a share of that of the optimizer step."""
        assert self._batches.training_step is not None
        model.train()
        if callable(getattr(self.optimizer, "train", None)):  # one without a schedule keeps other weights to evaluate
            self.optimizer.train()
        share = 1 / self.current_gradient_accumulation_steps
        position = (self.state.global_step, self._epoch, self.state.max_steps)
        parts = self.trained.parts.modules
        batch = OneBatch(learner, parts, share, self.accelerator.sync_gradients, position)
        with self._autocast():
            numbers = self._batches.training_step(self._prepare_inputs(inputs), batch)
        batch.finish(numbers)
        values = {name: value.to(self.args.device) for name, value in numbers.items()}
        loss: torch.Tensor = values.pop("loss") * share
        self._means.add({name: torch.stack([value, torch.ones_like(value)]) for name, value in values.items()})
        return loss

    def _autocast(self) -> AbstractContextManager[Any]:
        """Compute in the precision of the training.

        Without autocast's cache: a further optimizer moves weights within a step, and the cache would keep the old
        ones; what was cached without gradients would have none later.
        """
        if not (self.args.bf16 or self.args.fp16):
            return nullcontext()
        dtype = torch.bfloat16 if self.args.bf16 else torch.float16
        return torch.autocast(self.args.device.type, dtype=dtype, cache_enabled=False)

    def _after_step(self) -> None:
        """Do what each step needs before anything is logged, measured or saved."""
        self._losses.check()
        if self.trained.average is not None:
            self.trained.average.update(self.state.global_step)
        for optimizer in self._further.values():
            optimizer.follow()
        # As DistributedDataParallel does, which is called neither where the engine makes the step nor for a model in
        # pieces.
        buffers: list[torch.Tensor] = []
        if self._learner is not None and self.accelerator.num_processes > 1:
            buffers = self.trained.parts.buffers()
        elif self.trained.sharded is not None:
            buffers = list(self.trained.model.buffers())
        for buffer in buffers:
            torch.distributed.broadcast(buffer, 0)

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Compute the loss, and collect the metrics that the model returns beside the loss."""
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        self._means.add(outputs.get("metrics"))
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the mean metrics since the last log line; every rank calls this."""
        for loss_name, prefix, means in (("loss", "", self._means), ("eval_loss", "eval_", self._eval_means)):
            if loss_name in logs:
                metrics = means.take(self.accelerator)
                logs.update({f"{prefix}{name}": value for name, value in metrics.items()})
                logs.update(self.meter.rates(self.args.world_size))
        if "train_loss" in logs:  # the training has ended
            self._losses.check(wait=True)
            logs["train_loss"] = self.mean_loss  # transformers divides by the steps of this process
        super().log(logs, start_time)

    def evaluation_loop(self, *args: Any, **settings: Any) -> EvalLoopOutput:
        """Compute the validation loss, then let the checkpoint speak and score the speech."""
        if self._data.validation is None:
            output = EvalLoopOutput(predictions=None, label_ids=None, metrics={}, num_samples=0)
        else:
            with self.trained.as_averaged():
                output = super().evaluation_loop(*args, **settings)
        if self.evaluator is not None:
            with self.trained.as_voice(here=self.accelerator.is_main_process) as model:
                output.metrics.update(self.evaluator.evaluate(model, self.state.global_step, self.accelerator))
        return output

    def prediction_step(
        self, model: nn.Module, inputs: Batch, prediction_loss_only: bool, ignore_keys: Any = None
    ) -> tuple[torch.Tensor, None, None]:
        """Return the validation loss of a batch, without predictions."""
        given = {name: tensor for name, tensor in inputs.items() if name != CLIP_LENGTHS}
        with torch.no_grad(), self.compute_loss_context_manager():
            outputs = model(**self._prepare_inputs(given))
        self._eval_means.add(outputs.get("metrics"))
        return outputs["loss"].detach().mean(), None, None

    def _get_num_items_in_batch(self, batch_samples: list[Batch], device: torch.device) -> Any:
        """Count the targets of an optimizer step over all processes: by kind, if there are several kinds of labels."""
        first = (batch_samples or [{}])[0]
        names = [name for name in first if name == "labels" or name.endswith("_labels")]
        if names == ["labels"] or not self.model_accepts_loss_kwargs or not (names or "items" in first):
            return super()._get_num_items_in_batch(batch_samples, device)
        counts = {
            name: torch.stack([batch[name].ne(-100).sum() for batch in batch_samples]).sum().to(device)
            for name in names
        } or {"items": torch.stack([batch["items"].sum() for batch in batch_samples]).sum().to(device)}
        if self.args.average_tokens_across_devices and self.args.world_size > 1:
            counts = {name: self.accelerator.gather(count).sum() for name, count in counts.items()}
        return counts if names else counts["items"]

    def _load_scaler(self, checkpoint: str | None) -> None:
        """Take the scale of fp16's losses, unless this process trains in another precision than the one before it."""
        if self.accelerator.scaler is not None:
            super()._load_scaler(checkpoint)

    def _init_training_state(self, max_steps: int, *others: Any) -> tuple[int, int]:
        """Begin, or take what a checkpoint keeps, wherever it lies now and however often the recipe logs now."""
        trained: tuple[int, int] = super()._init_training_state(max_steps, *others)
        self.state.compute_steps(self.args, max_steps)
        checkpoint = next((given for given in others if isinstance(given, str)), None)
        if checkpoint is not None:
            self._resumed = read_json(loop_state_of(Path(checkpoint), self.args.process_index))
            self._ended = self._resumed["ended"]
            best = self._resumed["best_checkpoint"]
            self.state.best_model_checkpoint = str(Path(self.args.output_dir) / best) if best else None
            self._rotate()  # which a kill may have kept from happening
        return trained

    def restore(self) -> None:
        """Restore the counts that transformers starts at 0 in each process; called when the training begins."""
        if self._resumed:
            self._tr_loss += self._resumed["unlogged_loss"]
            self._total_loss_scalar = self._resumed["logged_loss"]
            self._globalstep_last_logged = self._resumed["logged_step"]
            self._means.restore(self._resumed["means"], self.args.device)
            self.meter.restore(self._resumed["meter"])

    def _load_callback_state(self) -> None:
        # As transformers would, but each callback stays the object that others know, and stays in its place.
        for name, states in self.state.stateful_callbacks.items():
            for callback, state in zip(self._stateful(name), states, strict=False):
                vars(callback).update(vars(type(callback).from_state(state)))

    def _stateful(self, name: str) -> list[Any]:
        """Return the callbacks of a class whose state a checkpoint keeps."""
        kept = [callback for callback in self.callback_handler.callbacks if isinstance(callback, ExportableState)]
        return [callback for callback in kept if type(callback).__name__ == name]

    def _run_epoch(self, **settings: Any) -> None:
        if self._ended:  # a training that was killed after its last step makes no further one
            self.control.should_training_stop = True
        else:
            # accelerate does not reach it through the shard of a rank when batches are skipped, as after a stop.
            self._epoch = settings["epoch"]
            self._sampler.set_epoch(self._epoch)
            super()._run_epoch(**settings)

    def _evaluate(self, trial: Any, ignore_keys: Any, skip_scheduler: bool = False) -> dict[str, float]:
        if skip_scheduler and self._resumed:  # ``eval_on_start``: the start was another process's
            return {}
        metrics: dict[str, float] = super()._evaluate(trial, ignore_keys, skip_scheduler)
        return metrics

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        # Not as transformers does, which adds a pickle of the arguments that nobody reads.
        folder = Path(output_dir or self.args.output_dir)
        if self.args.should_save:
            folder.mkdir(parents=True, exist_ok=True)
        self.trained.save(folder, writes=self.args.should_save)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        self.trained.load(Path(resume_from_checkpoint))

    def _load_best_model(self) -> None:
        self.trained.load_voice(Path(self.state.best_model_checkpoint))
        self._has_best = True

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if self.trained.sharded is not None and not self.args.should_save:
            self.optimizer.state_dict()  # takes part in gathering what the main process writes
        super()._save_optimizer_and_scheduler(output_dir)
        if self.args.should_save:
            save_optimizers(self._further, Path(output_dir))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None and self.trained.sharded is not None:
            # Transformers would read the state of all processes into the memory of each GPU.
            for file, target in ((OPTIMIZER_STATE, self.optimizer), (SCHEDULER_STATE, self.lr_scheduler)):
                state = torch.load(Path(checkpoint) / file, map_location="cpu", mmap=True, weights_only=True)
                target.load_state_dict(state)
        else:
            super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            load_optimizers(self._further, Path(checkpoint))

    def become_voice(self) -> None:
        """Let the model be what the voice will be, after the training.

        :raises EngineError: a further optimizer has never moved.
        """
        if self._learner is not None:
            self._learner.require_all()
        if self.trained.average is not None and not self._has_best:
            self.trained.average.exchange()
        self.trained.parts.leave_out()

    def _maybe_log_save_evaluate(self, *due: Any, **settings: Any) -> None:
        """Do what is due after a step; then stop there if a signal has asked any rank to.

        The checkpoint that is written only for that changes nothing: it is not evaluated, pushes no other out by
        ``save_limit``, and is removed when the next one is complete.
        """
        super()._maybe_log_save_evaluate(*due, **settings)
        step = self.state.global_step
        if self.control.should_training_stop:
            return  # it is over anyway, and so is what comes of it
        signum = max_over_ranks(signals.requested() or 0)
        if signum:
            if self._saved_step != step:
                _, _, model, trial, *_ = due
                self._save_checkpoint(model, trial, stop_only=True)
            raise signals.Stopped(signum, f" at step {step} of {self.state.max_steps}", "the checkpoint is complete")

    def _save_checkpoint(self, model: nn.Module, trial: Any, stop_only: bool = False) -> None:
        self._losses.check(wait=True)
        folder = Path(self.args.output_dir)
        checkpoint = checkpoints.path_of(folder, self.state.global_step)
        partial = checkpoints.partial_folder(folder) / checkpoint.name
        if self.args.should_save:
            checkpoints.clean(folder)
            partial.mkdir(parents=True)
        self.accelerator.wait_for_everyone()
        best = checkpoints.path_of(folder, self.state.best_global_step or 0)
        if best == checkpoint or best.is_dir():
            self.state.best_model_checkpoint = str(best)
        self.store_flos()
        self._save(str(partial))  # in every process, because a divided model is gathered
        self._save_optimizer_and_scheduler(str(partial))
        self._save_scaler(str(partial))
        self._save_rng_state(str(partial))
        write_json(loop_state_of(partial, self.args.process_index), self._loop_state())
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            self._save_state(partial / TRAINER_STATE)
            if stop_only:
                checkpoints.mark_stop_only(partial)
            checkpoints.complete(partial, folder)
            self._rotate()
        self._saved_step = self.state.global_step
        self.accelerator.wait_for_everyone()

    def _rotate(self) -> None:
        """Remove the checkpoints that are not needed any more after the checkpoint of this step."""
        if self.args.should_save:
            folder, best = Path(self.args.output_dir), self.state.best_model_checkpoint
            checkpoints.drop_stop_only(folder, self.state.global_step)
            if not checkpoints.is_stop_only(checkpoints.path_of(folder, self.state.global_step)):
                kept = Path(best) if best else None
                checkpoints.rotate(folder, self.args.save_total_limit, self.state.global_step, kept)

    def _loop_state(self) -> dict[str, Any]:
        """Return the state of this process that transformers does not save."""
        best = self.state.best_model_checkpoint
        return {
            "ended": self.control.should_training_stop,
            "best_checkpoint": Path(best).name if best else None,
            "unlogged_loss": self._tr_loss.item(),
            "logged_loss": self._total_loss_scalar,
            "logged_step": self._globalstep_last_logged,
            "means": self._means.state(),
            "meter": self.meter.state(),
        }

    def _save_state(self, path: Path) -> None:
        """Write transformers' own state with those of the callbacks; it says nothing of where it lies."""
        states: dict[str, list[Any]] = {}
        for callback in self.callback_handler.callbacks:
            if isinstance(callback, ExportableState):
                states.setdefault(type(callback).__name__, []).append(callback.state())
        replace(self.state, stateful_callbacks=states, best_model_checkpoint=None).save_to_json(str(path))


def _accepts_item_count(model: nn.Module) -> bool:
    """Tell whether a model's forward takes ``num_items_in_batch``, by transformers' rule, or by naming it."""
    network: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    declared = getattr(network, "accepts_loss_kwargs", None)
    if declared is not None:
        return bool(declared)
    parameters = inspect.signature(network.forward).parameters
    return "num_items_in_batch" in parameters or any(
        parameter.kind == inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()
    )


def _split_groups(optimizer: Any, rates: Mapping[int, float]) -> None:
    """Move the tensors that have a learning rate of their own, by ``id``, into groups of their own."""
    for group in list(optimizer.param_groups):
        own: dict[float, list[Any]] = {}
        for tensor in group["params"]:
            if id(tensor) in rates:
                own.setdefault(rates[id(tensor)], []).append(tensor)
        group["params"] = [tensor for tensor in group["params"] if id(tensor) not in rates]
        for rate, tensors in own.items():
            optimizer.add_param_group({**group, "params": tensors, "lr": rate})


class _Flow(DefaultFlowCallback):  # type: ignore[misc] # transformers is not typed for us
    """Logs, evaluates and saves once at the last step of an epoch, in this order.

    By default a checkpoint is saved before the epoch ends and evaluated after it; a run that is killed between the two
    would never evaluate that checkpoint.

    :param restore: called before anything else when training begins.
    :param after_step: called after each step before anything else.
    """

    def __init__(self, restore: Callable[[], None], after_step: Callable[[], None]) -> None:
        self._restore = restore
        self._after_step = after_step
        self._closed = -1

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Restore the counts of the checkpoint."""
        self._restore()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Decide what follows a step; the last step of an epoch, or of the training, ends the epoch as well."""
        self._after_step()
        control = super().on_step_end(args, state, control, **kwargs)
        if control.should_training_stop or float(state.epoch).is_integer():
            control = self.on_epoch_end(args, state, control, **kwargs)
        return control

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Decide what follows an epoch, unless its last step did: another callback may stop the training mid-epoch."""
        if self._closed != state.global_step:
            self._closed = state.global_step
            control = super().on_epoch_end(args, state, control, **kwargs)
        return control
