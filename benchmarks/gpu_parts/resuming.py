"""A training that is stopped and resumed, compared bit by bit with one that was not; with deterministic kernels."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import TrainerCallback

from gpu_parts.parts import Settings
from gpu_parts.voice_checks import new_recipe
from vtune import load_recipe
from vtune import pipeline as pipelines

STEPS, STOP = 3, 1


class StoppedError(Exception):
    """Ends a training as a crash does."""


class Stop(TrainerCallback):  # type: ignore[misc] # transformers is not typed for us
    """Ends a training after a step."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Raise after a step whose predecessor was saved."""
        if state.global_step == STOP + 1:
            raise StoppedError


def measure(settings: Settings) -> dict[str, Any]:
    """Train twice, once with a stop, and compare every tensor of the adapter.

    :raises AssertionError: names how many tensors differ.
    """
    adapters = []
    for stops in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            train = {"max_steps": STEPS, "save_every": 1, "arguments": {"full_determinism": True}}
            recipe = load_recipe(new_recipe(Path(folder), settings, "orpheus", train=train))
            if stops:
                try:
                    pipelines.run(recipe, until_trained=True, callbacks=[Stop()])
                except StoppedError:
                    pass
                else:
                    raise AssertionError("the training was not stopped")
            pipelines.run(recipe, until_trained=True)
            (final,) = (recipe.folders.runs / recipe.voice / "checkpoints").glob("*/final/adapter_model.safetensors")
            adapters.append(load_file(final))
    different = [name for name, tensor in adapters[0].items() if not torch.equal(tensor, adapters[1][name])]
    assert not different, f"{len(different)} of {len(adapters[0])} tensors differ, such as {different[0]}"
    return {"tensors": len(adapters[0])}
