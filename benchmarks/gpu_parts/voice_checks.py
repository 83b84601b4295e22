"""Whole voices of small bases, made as a user makes them: encoded, trained, checked, and heard to speak."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from real_size import write_recipe

from gpu_parts.parts import NotRunError, Settings
from gpu_parts.products import peak_bytes
from vtune import load_recipe
from vtune import pipeline as pipelines

HARNESS = Path(__file__).parents[2] / "tests" / "harness"
DIGITS = {"0": "no", "1": "one", "2": "two", "3": "three", "4": "four", "5": "five"}
STEPS = 3


def whole_voice(
    settings: Settings, engine: str, quantization: str = "none", checkpoint_sentences: int = 0, **train: Any
) -> dict[str, Any]:
    """Make a voice with ``vtune run``, whose own checks are the test, and let it speak again as ``vtune say`` does.

    :param checkpoint_sentences: sentences that each checkpoint speaks, which must not change the training.
    :param train: settings of the training.
    """
    if settings.device == "cpu" and (train.get("precision") == "fp16" or quantization != "none"):
        raise NotRunError("needs a CUDA GPU")
    if quantization != "none" and importlib.util.find_spec("bitsandbytes") is None:
        raise NotRunError("a library is missing: bitsandbytes")
    from vtune import Voice

    options = {} if quantization == "none" else {"quantization": quantization}
    with tempfile.TemporaryDirectory() as folder:
        path = new_recipe(Path(folder), settings, engine, options, {"max_steps": STEPS, **train})
        recipe = load_recipe(path, {"evaluate.checkpoint_sentences": checkpoint_sentences})
        (voice,) = pipelines.run(recipe)
        spoken = Voice.load(voice.path, device=settings.device)
        assert len(spoken.say("Hello.").waveform)
    return {"peak_bytes": peak_bytes(settings.device)}


def plan(settings: Settings) -> dict[str, Any]:
    """Let ``vtune plan`` measure encoding and training steps on the device."""
    with tempfile.TemporaryDirectory() as folder:
        path = new_recipe(Path(folder), settings, "orpheus")
        command = [sys.executable, "-m", "vtune_cli", "plan", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-300:]
    return {}


def new_recipe(
    folder: Path,
    settings: Settings,
    engine: str,
    options: dict[str, Any] | None = None,
    train: dict[str, Any] | None = None,
) -> Path:
    """Write a small base, clips and a recipe of few steps.

    :param options: engine options; ``train`` are settings of the training.
    """
    base = folder / "base"
    base.mkdir()
    further = BUILDERS[engine](base)
    path = write_recipe(folder, engine, base)
    recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    recipe["engine_options"] |= {**further, **(options or {})}
    recipe["train"] |= {"device": settings.device, "batch_size": 2, "gradient_accumulation": 1, **(train or {})}
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return path


def _orpheus(base: Path) -> dict[str, Any]:
    from vtune_orpheus.tiny_checkpoint import CODEC_CONFIG, build

    build(base, hidden=64, layers=2, codec={**CODEC_CONFIG, "encoder_dim": 4, "decoder_dim": 32, "codebook_size": 32})
    return {"max_new_tokens": 28}


def _indextts2(base: Path) -> dict[str, Any]:
    from vtune_indextts2 import nano_checkpoint

    nano_checkpoint.build(base, width=32, layers=2)
    return {"max_codes": 10, "flow_steps": 2, "normaliser": "basic"}


def _vits(base: Path) -> dict[str, Any]:
    sys.path.insert(0, str(HARNESS))  # the small voice of the tests
    try:
        from small_voice import HIGH, small_network, small_settings, write_transformers_folder
    finally:
        sys.path.remove(str(HARNESS))
    write_transformers_folder(base, small_network(small_settings(vocoder=HIGH)))
    return {"discriminator_narrowing": 16, "lexicon": DIGITS}


BUILDERS = {"orpheus": _orpheus, "indextts2": _indextts2, "vits": _vits}
"""Functions that write a base into a folder and return the engine options that go with it."""
