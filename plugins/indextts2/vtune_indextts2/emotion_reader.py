"""Read eight emotion weights out of a description in words, with the small language model that upstream publishes.

The model is a fine-tuned Qwen3 of 0.6 billion parameters. It answers a text with a dictionary of Chinese emotion names
and strengths. vtune takes the likeliest answer, so a description has the same weights every time; upstream samples.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from vtune import EngineError
from vtune.errors import shown
from vtune.toolkit import load_pretrained
from vtune_indextts2.gpt.emotion import EMOTION_NAMES

logger = logging.getLogger(__name__)

INSTRUCTION = "\u6587\u672c\u60c5\u611f\u5206\u7c7b"
"""What the model was trained to be told: "text emotion classification"."""

ANSWER_NAMES = (
    "\u9ad8\u5174", "\u6124\u6012", "\u60b2\u4f24", "\u6050\u60e7", "\u53cd\u611f", "\u4f4e\u843d",
    "\u60ca\u8bb6", "\u81ea\u7136",
)  # fmt: skip
"""The names in the model's answers, in the order of ``EMOTION_NAMES``."""

SAD, MELANCHOLIC, CALM = (EMOTION_NAMES.index(name) for name in ("sad", "melancholic", "calm"))

MELANCHOLIC_WORDS = (
    "\u4f4e\u843d", "melancholy", "melancholic", "depression", "depressed", "gloomy",
)  # fmt: skip
"""The model answers sad for these; upstream puts the strength to melancholic."""

MAX_WEIGHT, MAX_ANSWER_TOKENS = 1.2, 256
END_OF_THOUGHT = "</think>"

_PAIR = re.compile(r"""["']?([^\s"':.,{}]+)["']?\s*:\s*([0-9]*\.?[0-9]+)""")

Weights = tuple[float, ...]


@lru_cache(maxsize=512)
def read_emotion(folder: Path, description: str, device: torch.device) -> Weights:
    """Return the eight weights of a description, each 0 to 1.2; they are computed once.

    :param folder: of the language model.
    :raises EngineError: the model cannot be loaded, or answers something else.
    """
    tokenizer, model = _load(folder, device)
    messages = [{"role": "system", "content": INSTRUCTION}, {"role": "user", "content": description}]
    prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, enable_thinking=False)
    inputs = tokenizer([prompt], return_tensors="pt").to(device)
    with torch.no_grad():
        output = model.generate(
            **inputs, max_new_tokens=MAX_ANSWER_TOKENS, do_sample=False, temperature=None, top_p=None, top_k=None,
            pad_token_id=tokenizer.eos_token_id,
        )  # fmt: skip
    answer = tokenizer.decode(output[0][inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    weights = weights_of(answer.rpartition(END_OF_THOUGHT)[2], description)
    named = ", ".join(f"{name} {weight:g}" for name, weight in zip(EMOTION_NAMES, weights, strict=True) if weight)
    logger.info("%s reads %s as %s", folder.name, shown(description), named)
    return weights


def weights_of(answer: str, description: str) -> Weights:
    """Return the weights that an answer of the model says; calm alone if it says none.

    ``{"\u9ad8\u5174": 0.8}`` becomes happy 0.8. Unknown names are left out.

    :raises EngineError: the answer holds no name with a number.
    """
    strengths = _pairs(answer)
    if not strengths:
        raise EngineError(f"emotion_text: the language model answered {shown(answer.strip())}, which names no emotion")
    weights = [min(max(strengths.get(name, 0.0), 0.0), MAX_WEIGHT) for name in ANSWER_NAMES]
    if any(word in description.lower() for word in MELANCHOLIC_WORDS):
        weights[SAD], weights[MELANCHOLIC] = weights[MELANCHOLIC], weights[SAD]
    if not any(weights):
        weights[CALM] = 1.0
    return tuple(weights)


def _pairs(answer: str) -> Mapping[str, float]:
    try:
        content = json.loads(answer)
    except ValueError:
        content = {name: float(number) for name, number in _PAIR.findall(answer)}
    if not isinstance(content, Mapping):
        return {}
    return {str(name): float(value) for name, value in content.items() if isinstance(value, int | float)}


@lru_cache(maxsize=1)
def _load(folder: Path, device: torch.device) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    logger.info("Loading the language model that reads emotions: %s", folder)
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    try:
        tokenizer = load_pretrained(AutoTokenizer, folder)
        model = load_pretrained(AutoModelForCausalLM, folder, dtype=dtype)
    except (OSError, ValueError, ImportError) as error:
        raise EngineError(f"engine_options.emotion_model: {folder} cannot be loaded: {error}") from error
    return tokenizer, model.to(device).eval()
