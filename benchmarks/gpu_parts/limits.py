"""``batch_size: auto`` against the real limit: does what vtune chooses fit, and how much more would have fitted?

A smaller card is the same card with a limit on what torch may reserve, so one large GPU measures all sizes.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from training import ARMS, Arm

from gpu_parts.isolation import is_out_of_memory
from gpu_parts.orpheus_training import shape
from gpu_parts.parts import NotRunError, Settings
from gpu_parts.products import peak_bytes
from vtune import Engine, load_engine, load_recipe
from vtune.recipe import Recipe
from vtune.runtime.device import release_memory
from vtune.training.memory_estimate import footprint_of, memory_for_training, resolve_auto, training_bytes

GIB = 2**30
CLIP_TOKENS = 1024
"""Tokens of each clip: 12 seconds."""

CLIPS_OF_A_STEP = 64
"""Clips of an optimizer step, of which ``auto`` takes as many at a time as fit."""

CONTEXT_BYTES = 0.6 * GIB
"""About what CUDA itself takes of a card, which torch does not count."""


def measure(settings: Settings, gib: float | None) -> dict[str, Any]:
    """Let ``auto`` choose for a card of this size, train a step with its choice, then search the real limit.

    :param gib: memory of the card; None is the card itself.
    :returns: the choice, whether it fits, the measured and the estimated peak, and the largest batch that fits.
    """
    device = torch.device(settings.device, 0) if settings.device == "cuda" else torch.device("cpu")
    with tempfile.TemporaryDirectory() as folder:
        recipe = write_recipe(Path(folder), settings)
        footprint = footprint_of(_engine(), recipe, device)
    assert footprint is not None
    have = memory_for_training(footprint, device) if settings.device == "cuda" else 12.0 * GIB
    if gib is not None:
        if settings.device == "cuda" and gib * GIB > have:
            raise NotRunError(f"this card has {have / GIB:.0f} GiB")
        have = min(gib * GIB, have)
    length = 64 if settings.small else CLIP_TOKENS
    chosen = resolve_auto(recipe, footprint, length, have)
    rows, checkpointing = int(chosen.train.batch_size), bool(chosen.train.gradient_checkpointing)
    estimated = training_bytes(footprint, rows * length, checkpointing)
    result = {
        "card_bytes": have,
        "chosen_rows": rows,
        "chosen_checkpointing": checkpointing,
        "estimated_bytes": estimated,
    }
    if estimated > have:
        raise NotRunError(f"vtune refuses: {estimated / GIB:.1f} GiB are needed")
    if settings.device == "cuda" and gib is not None:
        torch.cuda.set_per_process_memory_fraction(min((have - CONTEXT_BYTES) / torch.cuda.mem_get_info()[1], 1.0))
    step = Step(settings, length, checkpointing)
    fits, peak = step.fits(rows)
    largest = largest_fitting(step, rows, settings) if fits else None
    return {**result, "fits": fits, "measured_bytes": peak, "largest_rows": largest}


class Step:
    """Trains one step of vtune's loop with as many rows as asked."""

    def __init__(self, settings: Settings, length: int, checkpointing: bool) -> None:
        self._settings, self._length = settings, length
        self._arm: Arm = ARMS["vtune"](shape(settings), settings.device, "bfloat16")
        self._learning = [parameter for parameter in self._arm.model.parameters() if parameter.requires_grad]
        self._optimizer = torch.optim.AdamW(self._learning, lr=1e-5)
        if checkpointing:
            self._arm.network.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})

    def fits(self, rows: int) -> tuple[bool, int]:
        """Tell whether two steps fit (the first makes the optimizer's state), and return the peak memory in bytes."""
        if self._settings.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        try:
            for _ in range(2):
                self._step(rows)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            fits = False
        else:
            fits = True
        self._optimizer.zero_grad(set_to_none=True)
        peak = peak_bytes(self._settings.device)
        release_memory()
        return fits, peak

    def _step(self, rows: int) -> None:
        from peft.helpers import disable_input_dtype_casting

        from vtune.training.weight_casting import cast_weights_per_product

        vocabulary = self._arm.network.config.vocab_size
        ids = np.random.default_rng(0).integers(0, vocabulary, self._length)
        batch = self._arm.collate([{"input_ids": ids, "labels": ids}] * rows)
        model, device = self._arm.model.train(), self._settings.device
        with disable_input_dtype_casting(model), cast_weights_per_product(model, active=True):
            with torch.autocast(device, torch.bfloat16):
                loss = model(**{name: value.to(device) for name, value in batch.items()})["loss"]
            loss.backward()
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)


def largest_fitting(step: Step, fitting: int, settings: Settings) -> int:
    """Return the largest number of rows that fits, searched by doubling and halving until the time is used."""
    ended, too_many = time.perf_counter() + settings.seconds, None
    while time.perf_counter() < ended:
        rows = 2 * fitting if too_many is None else (fitting + too_many) // 2
        if rows == fitting or rows > (4 if settings.small else 4096):
            break
        if step.fits(rows)[0]:
            fitting = rows
        else:
            too_many = rows
    return fitting


def write_recipe(folder: Path, settings: Settings) -> Recipe:
    """Write a checkpoint that has a configuration only, and return a recipe with ``auto`` for it."""
    (folder / "config.json").write_text(json.dumps(shape(settings).to_dict()), encoding="utf-8")
    clips = folder / "clips"
    clips.mkdir()
    path = folder / "recipe.yaml"
    clips_of_a_step = 2 if settings.small else CLIPS_OF_A_STEP
    train = {
        "batch_size": "auto", "gradient_checkpointing": "auto", "gradient_accumulation": clips_of_a_step,
        "precision": "bf16", "device": settings.device,
    }  # fmt: skip
    content = {
        "voice": "limits", "engine": "orpheus", "engine_options": {"base_model": str(folder)},
        "data": [{"source": str(clips)}], "lora": {"rank": 32, "alpha": 64}, "train": train,
    }  # fmt: skip
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return load_recipe(path)


def _engine() -> Engine:
    return load_engine("orpheus")
