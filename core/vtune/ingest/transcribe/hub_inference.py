"""Prepare sounds for a transformers model, and compute the probability of what the model writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vtune.contract.recognisers import RECOGNISER_SAMPLE_RATE
from vtune.ingest.transcribe.numerals import numeral_tokens
from vtune.types import Waveform

if TYPE_CHECKING:
    import torch


def inputs_of(processor: Any, model: Any, sounds: Sequence[Waveform]) -> dict[str, torch.Tensor]:
    """Return the model inputs for sounds, on the model's device and in its number format."""
    inputs = processor(list(sounds), sampling_rate=RECOGNISER_SAMPLE_RATE, return_tensors="pt")
    return {
        key: value.to(model.device, model.dtype) if value.is_floating_point() else value.to(model.device)
        for key, value in inputs.items()
    }


def tokens_to_suppress(model: Any, processor: Any) -> list[int]:
    """Return the tokens to suppress so that a model writes no numerals, with those that it always suppresses."""
    tokenizer = processor.tokenizer
    numerals = numeral_tokens(tokenizer.batch_decode([[token] for token in range(len(tokenizer))]))
    return sorted({*(model.generation_config.suppress_tokens or ()), *numerals})


def logprobs_of(model: Any, out: Any) -> list[float | None]:
    """Return the mean log probability of each generated text, including its end token."""
    scores = model.compute_transition_scores(
        out.sequences, out.scores, getattr(out, "beam_indices", None), normalize_logits=True
    ).float()
    ends = model.generation_config.eos_token_id
    ends = set(ends) if isinstance(ends, (list, tuple)) else {ends}
    means: list[float | None] = []
    for tokens, row in zip(out.sequences[:, -scores.shape[1] :].tolist(), scores, strict=True):
        # After its end token, a text is padded.
        length = next((position + 1 for position, token in enumerate(tokens) if token in ends), len(tokens))
        means.append(float(row[:length].mean()) if length else None)
    return means
