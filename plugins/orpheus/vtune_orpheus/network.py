"""The network that is trained: a Llama that computes its loss with less work and memory.

A batch is padded. Before the first layer its clips are packed into one row, so no work is done on padding. After the
last layer only positions with a label get logits, a few at a time. Loss and gradients are those of Llama.
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
from vtune.toolkit import packed_attention
from vtune_orpheus.loss import IGNORED_LABEL, LossTokens, non_sound_probability, summed_loss


@dataclass
class LossOutput(ModelOutput):  # type: ignore[misc] # transformers is not typed for us
    """The output for a batch with labels."""

    loss: torch.Tensor | None = None
    metrics: dict[str, torch.Tensor] | None = None


class LlamaForCausalLM(transformers.LlamaForCausalLM):  # type: ignore[misc] # transformers is not typed for us
    """A Llama with a packed forward pass; it has its parent's name because checkpoints store the class name."""

    loss_tokens: LossTokens | None = None
    """The tokens that the loss is normalised over; None for the whole vocabulary."""

    # The signature is the parent's, because ``generate`` reads from it which arguments it may pass.
    @wraps(transformers.LlamaForCausalLM.forward, assigned=(), updated=())
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        **further: Any,
    ) -> Any:
        """Return the loss alone if there are labels, otherwise the parent's output with logits.

        If the head has an adapter, or if further arguments are given, the parent computes the loss.

        :param input_ids: int64 ``[B x L]``.
        :param attention_mask: ``[B x L]``, 1 at tokens and 0 at padding.
        :param labels: int64 ``[B x L]``, -100 where nothing is learned.
        :param num_items_in_batch: the number of labels in one optimizer step. The loss is the sum over this batch
            divided by this number. Default: the mean over this batch.
        """
        further = {name: value for name, value in further.items() if value is not None}
        if labels is None or input_ids is None or further or not _is_plain(self.lm_head):
            if labels is not None and self.loss_tokens is not None:
                raise TrainingError(
                    "engine_options.loss_among: 'sound' needs a head that is neither adapted nor quantised; "
                    "use 'vocabulary', or leave lm_head out of lora.targets and lora.modules_to_save"
                )
            if num_items_in_batch is not None:
                further["num_items_in_batch"] = num_items_in_batch
            return super().forward(input_ids=input_ids, attention_mask=attention_mask, labels=labels, **further)
        next_labels = nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORED_LABEL)  # [B x L]
        if attention_mask is not None and self.config._attn_implementation == packed_attention.ATTENTION_NAME:
            is_token = attention_mask.bool()
            positions = attention_mask.cumsum(1)[is_token] - 1  # [T] for T tokens of all clips
            hidden = self._packed_hidden(input_ids[is_token], positions, is_token.sum(1).tolist())  # [1 x T x H]
            next_labels = next_labels[is_token]  # [T]
        else:
            hidden = self.model(input_ids, attention_mask=attention_mask, use_cache=False).last_hidden_state
        hidden, next_labels = hidden.flatten(0, 1), next_labels.flatten()  # [T x H], [T]
        total = summed_loss(hidden, self.lm_head.weight, next_labels, self.loss_tokens)
        count = num_items_in_batch if num_items_in_batch is not None else (next_labels != IGNORED_LABEL).sum()
        loss = total / (count.to(total.device) if torch.is_tensor(count) else count)
        if self.loss_tokens is None:
            return LossOutput(loss=loss)
        probability = non_sound_probability(hidden, self.lm_head.weight, next_labels, self.loss_tokens)
        return LossOutput(loss=loss, metrics={"non_sound_probability": probability})

    def _packed_hidden(self, ids: torch.Tensor, positions: torch.Tensor, lengths: list[int]) -> torch.Tensor:
        """Return the hidden states ``[1 x T x H]`` of T tokens: clips of these lengths, one after the other."""
        # Without a mask of ones, transformers would search for the clips itself and build a dense mask of them.
        hidden: torch.Tensor = self.model(
            ids[None],
            attention_mask=torch.ones_like(ids)[None],
            position_ids=positions[None],
            use_cache=False,
            clip_lengths=lengths,
        ).last_hidden_state
        return hidden


def _is_plain(head: nn.Module) -> bool:
    """Whether the head is one matrix: without adapter, not quantised, on one device."""
    return type(head) is nn.Linear and head.bias is None and head.weight.is_floating_point() and head.weight.ndim == 2
