"""The hooks of an engine in the order of a run, as single steps that rules watch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from vtune.testing.subject import OTHER_TEXT, TEXT, Subject, as_stored, sound_of

Step = Callable[[], dict[str, np.ndarray]]


def attempted(step: Step) -> dict[str, np.ndarray] | None:
    """Call a hook, and return what it has made; None if it fails, which other rules report."""
    try:
        return step()
    except Exception:  # whatever an engine raises
        return None


def steps_from_the_start(subject: Subject) -> Iterator[tuple[str, Step]]:
    """Yield the steps of a base of their own, the first of which loads it."""
    bases: list[Any] = []

    def load_base() -> dict[str, np.ndarray]:
        bases.append(subject.new_base())
        return {}

    yield "load_base", load_base
    yield from steps(subject, bases[0])


def steps(subject: Subject, base: Any) -> Iterator[tuple[str, Step]]:
    """Yield the name of each hook and a function that calls it; each function needs those before it.

    :returns: functions that return the arrays which their hook has made, by name.
    """
    made: dict[str, Any] = {}

    def fingerprint() -> dict[str, np.ndarray]:
        parts = subject.engine.features_fingerprint(base)
        return {name: np.frombuffer(text.encode(), dtype=np.uint8) for name, text in parts.items()}

    def prepare_sample() -> dict[str, np.ndarray]:
        made["rows"] = [subject.encode(clip, base) for clip in subject.clips]
        return {f"{name} of clip {index}": row[name] for index, row in enumerate(made["rows"]) for name in row}

    def collate() -> dict[str, np.ndarray]:
        rows = [{**as_stored(row), "lot": np.asarray(0.25 * index)} for index, row in enumerate(made["rows"])]
        made["batch"] = subject.engine.collate(base, rows)
        return {name: tensor.numpy() for name, tensor in made["batch"].items()}

    def build_lora_model() -> dict[str, np.ndarray]:
        made["model"] = subject.model(awake=0.1, base=base)
        return {}

    def forward() -> dict[str, np.ndarray]:
        import torch

        with torch.no_grad():
            return {"the loss": made["model"](**made["batch"])["loss"].numpy()}

    def extract_conditioning() -> dict[str, np.ndarray]:
        made["conditioning"] = subject.condition(subject.clips, base)
        strings = "\n".join(f"{name}={text}" for name, text in sorted(made["conditioning"].strings.items()))
        return {**made["conditioning"].tensors, "the strings": np.frombuffer(strings.encode(), dtype=np.uint8)}

    def synthesize() -> dict[str, np.ndarray]:
        made_with = {"base": base, "model": made["model"], "conditioning": made["conditioning"]}
        return {repr(text): sound_of(subject.speak(text, **made_with)) for text in (TEXT, OTHER_TEXT)}

    yield "fingerprint", fingerprint
    yield "prepare_sample", prepare_sample
    yield "collate", collate
    yield "build_lora_model", build_lora_model
    yield "the model's forward", forward
    yield "extract_conditioning", extract_conditioning
    yield "synthesize", synthesize
