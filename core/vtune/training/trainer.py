"""The training loop of every engine: transformers' Trainer with its own sampler, evaluation and checkpoints."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from peft.helpers import disable_input_dtype_casting
from torch import nn
from transformers import DefaultFlowCallback, PrinterCallback, ProgressCallback, Trainer
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
from vtune.training.guards import trained_part
from vtune.training.mean_metrics import MeanMetrics
from vtune.training.resume import TRAINER_STATE, loop_state_of, read_json
from vtune.training.sampler import EpochSampler
from vtune.training.weight_casting import cast_weights_per_product
from vtune.types import Batch, Features
from vtune.voice_format.weights import load_weights, save_weights

CLIP_LENGTHS = "vtune.clip_lengths"
"""Key that vtune adds to each batch and takes out before the model is called: int64 ``[B]``, the length of each clip.

It is the first key, because transformers takes the number of clips from the first tensor of a batch.
"""


class VoiceTrainer(Trainer):  # type: ignore[misc] # transformers is not typed for us
    """Trainer with its own sampler, checkpoints and evaluation, and with a throughput meter.

    :param length_feature: the feature that has the length of a clip.
    :param collate: makes a batch of some rows.
    """

    def __init__(
        self,
        *,
        data: TrainingData,
        meter: ThroughputMeter,
        length_feature: str,
        evaluator: CheckpointEvaluator | None,
        collate: Callable[[Sequence[Features]], Batch],
        **settings: Any,
    ) -> None:
        # Trainer requires an eval_dataset, even if the evaluator alone measures a checkpoint.
        validation: Any = data.validation if data.validation is not None or evaluator is None else []
        collator = partial(_with_clip_lengths, collate, length_feature)
        super().__init__(train_dataset=data.train, eval_dataset=validation, data_collator=collator, **settings)
        self.model_accepts_loss_kwargs |= _takes_item_count(self.model)
        self._data = data
        self.evaluator = evaluator
        self.meter = meter
        self._means = MeanMetrics()
        self._eval_means = MeanMetrics()
        self._resumed: dict[str, Any] = {}
        self._ended = False
        self._saved_step = -1
        for callback in (PrinterCallback, ProgressCallback, DefaultFlowCallback):
            self.remove_callback(callback)
        self.callback_handler.callbacks.insert(0, _Flow(self.restore))

    @property
    def mean_loss(self) -> float:
        """Mean loss of all logged steps, those before a resume included."""
        return float(self._total_loss_scalar / max(self.state.global_step, 1))

    def _get_train_sampler(self, train_dataset: Any = None) -> EpochSampler:
        self._sampler = EpochSampler(self._data.weights, self.args.seed)
        return self._sampler

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Let the warm-up end before the last step; otherwise a run of one step would have the learning rate 0 only."""
        if self.args.get_warmup_steps(num_training_steps) >= num_training_steps:
            self.args.warmup_steps = num_training_steps - 1
        return super().create_scheduler(num_training_steps, optimizer)

    def training_step(self, model: nn.Module, inputs: Batch, num_items_in_batch: Any = None) -> torch.Tensor:
        """Count the clips and tokens of a batch. :raises TrainingError: the loss depends on no trainable tensor."""
        lengths = inputs.pop(CLIP_LENGTHS)
        self.meter.add(len(lengths), int(lengths.sum()))
        narrow = self.args.bf16 or self.args.fp16
        try:
            # PEFT would widen what adapters are given to float32, and autocast narrow it again: the same numbers, in a
            # copy for each adapter that stays until backward.
            with disable_input_dtype_casting(model, active=narrow), cast_weights_per_product(model, active=narrow):
                loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        except RuntimeError as error:
            if "does not require grad" not in str(error):
                raise
            raise TrainingError(
                "the loss does not depend on any trainable tensor: "
                f"the {trained_part(model)} is detached or switched off; "
                "look at build_lora_model and at the model's forward"
            ) from error
        return loss

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
        if "train_loss" in logs:
            logs["train_loss"] = self.mean_loss  # transformers divides by the steps of this process
        super().log(logs, start_time)

    def evaluation_loop(self, *args: Any, **settings: Any) -> EvalLoopOutput:
        """Compute the validation loss, then let the checkpoint speak and score the speech."""
        if self._data.validation is None:
            output = EvalLoopOutput(predictions=None, label_ids=None, metrics={}, num_samples=0)
        else:
            output = super().evaluation_loop(*args, **settings)
        if self.evaluator is not None:
            output.metrics.update(self.evaluator.evaluate(self.model, self.state.global_step, self.accelerator))
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
            self._sampler.set_epoch(settings["epoch"])
            super()._run_epoch(**settings)

    def _evaluate(self, trial: Any, ignore_keys: Any, skip_scheduler: bool = False) -> dict[str, float]:
        if skip_scheduler and self._resumed:  # ``eval_on_start``: the start was another process's
            return {}
        metrics: dict[str, float] = super()._evaluate(trial, ignore_keys, skip_scheduler)
        return metrics

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        # Not as transformers does, which adds a pickle of the arguments that nobody reads.
        if self.args.should_save:
            folder = Path(output_dir or self.args.output_dir)
            folder.mkdir(parents=True, exist_ok=True)
            save_weights(self.accelerator.unwrap_model(self.model), folder)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        load_weights(self.accelerator.unwrap_model(model or self.model), Path(resume_from_checkpoint))

    def _load_best_model(self) -> None:
        self._load_from_checkpoint(self.state.best_model_checkpoint)

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
        self.save_model(str(partial), _internal_call=True)
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


def _with_clip_lengths(
    collate: Callable[[Sequence[Features]], Batch], length_feature: str, rows: Sequence[Features]
) -> Batch:
    return {CLIP_LENGTHS: torch.tensor([len(row[length_feature]) for row in rows]), **collate(rows)}


def _takes_item_count(model: nn.Module) -> bool:
    """Tell whether a model's forward names ``num_items_in_batch``; transformers looks for ``**keywords`` only."""
    network: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    return "num_items_in_batch" in inspect.signature(network.forward).parameters


class _Flow(DefaultFlowCallback):  # type: ignore[misc] # transformers is not typed for us
    """Logs, evaluates and saves once at the last step of an epoch, in this order.

    By default a checkpoint is saved before the epoch ends and evaluated after it; a run that is killed between the two
    would never evaluate that checkpoint.

    :param restore: called before anything else when training begins.
    """

    def __init__(self, restore: Callable[[], None]) -> None:
        self._restore = restore
        self._closed = -1

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Restore the counts of the checkpoint."""
        self._restore()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Decide what follows a step; the last step of an epoch, or of the training, ends the epoch as well."""
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
