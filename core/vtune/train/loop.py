"""The one loop for every engine: transformers' Trainer with an order of clips and checkpoints that can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft.helpers import disable_input_dtype_casting
from torch import nn
from transformers import PrinterCallback, ProgressCallback, Trainer
from transformers.trainer_utils import EvalLoopOutput, rotate_checkpoints

from vtune.dataset import TrainingData
from vtune.errors import TrainingError
from vtune.train import checkpoints
from vtune.train.ear import Ear
from vtune.train.metrics import Means
from vtune.train.progress import Meter
from vtune.train.sampler import EpochSampler
from vtune.types import Batch


class Loop(Trainer):  # type: ignore[misc] # transformers is not typed for us
    """Trainer with its own order of clips, its own way to write a checkpoint and to evaluate, and a meter."""

    def __init__(
        self, *, data: TrainingData, meter: Meter, length_feature: str, ear: Ear | None, **settings: Any
    ) -> None:
        # Trainer wants something to evaluate, even where there is only something to hear.
        validation: Any = data.validation if data.validation is not None or ear is None else []
        super().__init__(train_dataset=data.train, eval_dataset=validation, **settings)
        self._data = data
        self._ear = ear
        self._meter = meter
        self._length_feature = length_feature
        self._aside = False
        self._means = Means()
        self._eval_means = Means()
        self.remove_callback(PrinterCallback)
        self.remove_callback(ProgressCallback)

    def _get_train_sampler(self, train_dataset: Any = None) -> EpochSampler:
        return EpochSampler(self._data.weights, self.args.seed)

    def training_step(self, model: nn.Module, inputs: Batch, num_items_in_batch: Any = None) -> torch.Tensor:
        """Count what is processed, and say it plainly when nothing can be learned from it."""
        self._meter.add(*self._count(inputs))
        narrow = self.args.bf16 or self.args.fp16
        try:
            # PEFT would widen what adapters are given to float32, and autocast narrow it again: the same numbers, in a
            # copy for each adapter that stays until backward.
            with disable_input_dtype_casting(model, active=narrow):
                loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        except RuntimeError as error:
            if "does not require grad" not in str(error):
                raise
            raise TrainingError(
                "the loss does not depend on any trainable tensor: the adapter is detached or switched off; "
                "look at build_lora_model and at the model's forward"
            ) from error
        return loss

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Note what the model measures beside its loss."""
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        self._means.add(outputs.get("metrics"))
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the means of what was measured since the last time; every rank comes here."""
        for sign, prefix, means in (("loss", "", self._means), ("eval_loss", "eval_", self._eval_means)):
            if sign in logs:
                found = means.take(self.accelerator)
                logs.update({f"{prefix}{name}": value for name, value in found.items()})
        super().log(logs, start_time)

    def evaluation_loop(self, *args: Any, **settings: Any) -> EvalLoopOutput:
        """Validate, and listen."""
        if self._data.validation is None:
            output = EvalLoopOutput(predictions=None, label_ids=None, metrics={}, num_samples=0)
        else:
            output = super().evaluation_loop(*args, **settings)
        if self._ear is not None:
            output.metrics.update(self._ear.hear(self.model, self.state.global_step, self.accelerator))
        return output

    def prediction_step(
        self, model: nn.Module, inputs: Batch, prediction_loss_only: bool, ignore_keys: Any = None
    ) -> tuple[torch.Tensor, None, None]:
        """Return the loss alone, as every engine's model gives it."""
        with torch.no_grad(), self.compute_loss_context_manager():
            outputs = model(**self._prepare_inputs(inputs))
        self._eval_means.add(outputs.get("metrics"))
        return outputs["loss"].detach().mean(), None, None

    def _get_num_items_in_batch(self, batch_samples: list[Batch], device: torch.device) -> Any:
        names = [name for name in (batch_samples or [{}])[0] if name.endswith("_labels")]
        if not names:
            return super()._get_num_items_in_batch(batch_samples, device)
        counts = {
            name: torch.stack([batch[name].ne(-100).sum() for batch in batch_samples]).sum().to(device)
            for name in ["labels", *names]
        }
        if self.args.average_tokens_across_devices and self.args.world_size > 1:
            return {name: self.accelerator.gather(count).sum() for name, count in counts.items()}
        return counts

    def _count(self, inputs: Batch) -> tuple[int, int]:
        # The mask where there is one, for padding is no work done for the user.
        counted = inputs["attention_mask"].sum() if "attention_mask" in inputs else inputs[self._length_feature].numel()
        return len(next(iter(inputs.values()))), int(counted)

    def _get_output_dir(self, trial: Any) -> str:
        folder = Path(super()._get_output_dir(trial))
        return str(checkpoints.aside_of(folder) if self._aside else folder)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        folder = Path(self.args.output_dir)
        if self.args.should_save:
            checkpoints.clean(folder)
        self.accelerator.wait_for_everyone()
        self._aside = True
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self._aside = False
        self.accelerator.wait_for_everyone()
        best = self.state.best_global_step
        self.state.best_model_checkpoint = str(folder / f"checkpoint-{best}") if best else None
        if self.args.should_save:
            written = checkpoints.aside_of(folder) / f"checkpoint-{self.state.global_step}"
            # Trainer noted the best checkpoint where it lay aside; it must be found where it will stand.
            self.state.save_to_json(str(written / "trainer_state.json"))
            checkpoints.complete(written, folder)
            limit, kept = self.args.save_total_limit, self.state.best_model_checkpoint
            rotate_checkpoints(output_dir=str(folder), save_total_limit=limit, best_model_checkpoint=kept)
        self.accelerator.wait_for_everyone()
