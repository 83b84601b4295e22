"""The network that is trained: Llama, but for how it comes to its loss.

A batch comes padded. Before the first layer its clips are laid one behind the other, so no work is done on padding;
after the last one, only places with a label get logits, a few at a time. Loss and gradients are those of Llama.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from typing import Any

import torch
import transformers
from torch import nn
from transformers.utils import ModelOutput

from vtune import TrainingError
from vtune.toolkit import packed_attention as attention
from vtune_orpheus.loss import IGNORED, Among, outside, summed_loss


@dataclass
class Loss(ModelOutput):  # type: ignore[misc] # transformers is not typed for us
    """What a batch with labels gives."""

    loss: torch.Tensor | None = None
    metrics: dict[str, torch.Tensor] | None = None


class LlamaForCausalLM(transformers.LlamaForCausalLM):  # type: ignore[misc] # transformers is not typed for us
    """Named as its parent, for a checkpoint says which class wrote it."""

    among: Among | None = None
    """Tokens that the loss is normalised over; None for all."""

    # The signature is the parent's: ``generate`` reads there what it may give.
    @wraps(transformers.LlamaForCausalLM.forward, assigned=(), updated=())
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        **further: Any,
    ) -> Any:
        """With labels the loss alone; without them logits, as the parent.

        A head that is adapted itself, or anything else that is asked for, takes the parent's way to the loss.

        :param input_ids: ``[B, L]``; ``attention_mask`` is 1 where there is a token, ``labels`` -100 where nothing is
            to be learned.
        :param num_items_in_batch: labels that one optimizer step sees; the loss is the sum over this batch divided by
            it. Default: the mean over this batch.
        """
        further = {name: value for name, value in further.items() if value is not None}
        if labels is None or input_ids is None or further or not _is_plain(self.lm_head):
            if labels is not None and self.among is not None:
                raise TrainingError(
                    "engine_options.loss_among: 'sound' needs a head that is neither adapted nor quantised; "
                    "use 'vocabulary', or leave lm_head out of lora.targets and lora.modules_to_save"
                )
            if num_items_in_batch is not None:
                further["num_items_in_batch"] = num_items_in_batch
            return super().forward(input_ids=input_ids, attention_mask=attention_mask, labels=labels, **further)
        following = nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORED)
        if attention_mask is not None and self.config._attn_implementation == attention.NAME:
            real = attention_mask.bool()
            hidden = self._hidden_of_clips(input_ids[real], attention_mask.cumsum(1)[real] - 1, real.sum(1).tolist())
            following = following[real]
        else:
            hidden = self.model(input_ids, attention_mask=attention_mask, use_cache=False).last_hidden_state
        hidden, following = hidden.flatten(0, 1), following.flatten()
        total = summed_loss(hidden, self.lm_head.weight, following, self.among)
        count = num_items_in_batch if num_items_in_batch is not None else (following != IGNORED).sum()
        loss = total / (count.to(total.device) if torch.is_tensor(count) else count)
        if self.among is None:
            return Loss(loss=loss)
        return Loss(loss=loss, metrics={"outside": outside(hidden, self.lm_head.weight, following, self.among)})

    def _hidden_of_clips(self, ids: torch.Tensor, positions: torch.Tensor, lengths: list[int]) -> torch.Tensor:
        """Hidden states ``[1, T, H]`` of tokens ``[T]`` of clips of these lengths, one behind the other."""
        # A mask of ones, for without one transformers would look for the clips itself and build a dense mask of them.
        hidden: torch.Tensor = self.model(
            ids[None],
            attention_mask=torch.ones_like(ids)[None],
            position_ids=positions[None],
            use_cache=False,
            clip_lengths=lengths,
        ).last_hidden_state
        return hidden


def _is_plain(head: nn.Module) -> bool:
    """Whether the head is one matrix: not adapted, not quantised, not scattered over devices."""
    return type(head) is nn.Linear and head.bias is None and head.weight.is_floating_point() and head.weight.ndim == 2
