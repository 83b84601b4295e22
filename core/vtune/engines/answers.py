"""Check what the hooks of an engine return, so that a mistake is named where it is made.

``title`` is how errors name the engine and the hook: ``engine 'x' (x-tts 1.0): collate``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vtune.contract.imports import ImportedVoice
from vtune.errors import EngineError, nearest, shown
from vtune.types import Audio, Batch, Conditioning, Features, Footprint, Licence, TrainingPart
from vtune.types.training import MAIN_OPTIMIZER

FIXED_LOT = np.asarray(0.5)
"""The random number of a row that no sampler has drawn, such as in the checks after a training."""

ROW_KEYS = ("lot",)
"""Keys that vtune adds to each row, so no feature may have such a name."""


def licence(answer: Any, title: str) -> Licence | None:
    """Return a licence, or None. :raises EngineError: the answer is something else, or has a field that is no text."""
    if answer is None:
        return None
    if not isinstance(answer, Licence):
        raise EngineError(f"{title} returned {shown(answer)}; it must return a vtune.Licence or None")
    for name in Licence.__dataclass_fields__:
        value = getattr(answer, name)
        if not isinstance(value, str):
            raise EngineError(f"{title} gives {name} {shown(value)}; it must be a text")
    return answer


def hashes(answer: Any, title: str) -> dict[str, str]:
    """Return hashes by name. :raises EngineError: the answer is something else."""
    if not isinstance(answer, Mapping) or not all(isinstance(text, str) for pair in answer.items() for text in pair):
        raise EngineError(f"{title} returned {shown(answer)}; it must return a dict of texts: names and hashes")
    return dict(answer)


def features(answer: Any, length_feature: str, title: str) -> Features:
    """Return the features of a clip. :raises EngineError: the features are no arrays that can be stored."""
    if not isinstance(answer, Mapping):
        raise EngineError(f"{title} returned {shown(answer)}; it must return a dict of NumPy arrays by name")
    for name, array in answer.items():
        if not isinstance(array, np.ndarray):
            kind = type(array).__name__
            raise EngineError(f"{title} returned feature {shown(name)} of type {kind}; it must be a NumPy array")
        if array.dtype.kind not in "iu" and array.dtype not in (np.float16, np.float32):
            raise EngineError(
                f"{title} returned feature {shown(name)} as {array.dtype}; it must be integers, float16 or float32"
            )
        if name in ROW_KEYS:
            raise EngineError(f"{title} returned a feature named {name!r}, which is vtune's own; give another name")
    if length_feature not in answer:
        raise EngineError(
            f"{title} returned {', '.join(map(str, answer)) or 'nothing'}, but engine_info names {length_feature!r} as "
            f"the feature that has the length{nearest(length_feature, map(str, answer))}"
        )
    if answer[length_feature].ndim == 0:
        raise EngineError(f"{title} returned {length_feature!r} without an axis, but it must have the clip's length")
    return dict(answer)


def batch(answer: Any, rows: int, title: str) -> Batch:
    """Return a batch. :raises EngineError: the answer is not one CPU tensor ``[rows, ...]`` by name."""
    import torch

    if not isinstance(answer, Mapping):
        raise EngineError(f"{title} returned {shown(answer)}; it must return a dict of tensors by name")
    for name, tensor in answer.items():
        if not isinstance(tensor, torch.Tensor):
            kind = type(tensor).__name__
            raise EngineError(f"{title} returned {shown(name)} of type {kind}; it must be a torch.Tensor")
        if tensor.device.type != "cpu":
            raise EngineError(
                f"{title} returned {shown(name)} on {tensor.device}; vtune moves batches, leave it on cpu"
            )
        if tensor.ndim == 0 or len(tensor) != rows:
            raise EngineError(
                f"{title} returned {shown(name)} of shape {list(tensor.shape)} for {rows} clips; the first axis must "
                f"be {rows}"
            )
    if "labels" not in answer and "items" not in answer:
        raise EngineError(
            f"{title} returned {', '.join(map(str, answer)) or 'nothing'}: neither 'labels' (ids, -100 where nothing "
            "is learned) nor 'items' (int64 [B], the number of targets of each clip)"
        )
    return dict(answer)


def peft_model(answer: Any, title: str) -> Any:
    """Return a PeftModel. :raises EngineError: the answer is something else."""
    from peft import PeftModel

    if not isinstance(answer, PeftModel):
        raise EngineError(
            f"{title} returned {type(answer).__name__}; it must return a peft.PeftModel; vtune.attach_lora makes one"
        )
    return answer


def training_parts(answer: Any, title: str) -> dict[str, TrainingPart]:
    """Return the parts by name. :raises EngineError: one is no TrainingPart, or its learning rate is no rate."""
    from torch import nn

    if not isinstance(answer, Mapping):
        raise EngineError(f"{title} returned {shown(answer)}; it must return a dict of vtune.TrainingPart by name")
    for name, part in answer.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise EngineError(f"{title} names a part {shown(name)}; it must be a name such as 'discriminator'")
        if not isinstance(part, TrainingPart) or not isinstance(part.module, nn.Module):
            raise EngineError(
                f"{title} returned {shown(part)} for the part {name!r}; it must be vtune.TrainingPart(a torch module)"
            )
        rate = part.learning_rate
        if rate is not None and not (isinstance(rate, int | float) and 0 < rate < 1e3):
            raise EngineError(f"{title} gives the part {name!r} the learning rate {shown(rate)}; it must be above 0")
    return dict(answer)


def optimizers(answer: Any, title: str) -> dict[str, Any]:
    """Return the optimizers by name. :raises EngineError: one is no optimizer, or has the recipe's name."""
    from torch.optim import Optimizer

    if not isinstance(answer, Mapping):
        raise EngineError(f"{title} returned {shown(answer)}; it must return a dict of torch optimizers by name")
    for name, optimizer in answer.items():
        if not isinstance(name, str) or not isinstance(optimizer, Optimizer):
            raise EngineError(f"{title} returned {shown(optimizer)} for {shown(name)}; it must be a torch optimizer")
        if name == MAIN_OPTIMIZER:
            raise EngineError(f"{title} names an optimizer {name!r}, which is the recipe's own; give another name")
    return dict(answer)


def logged_numbers(answer: Any, title: str) -> dict[str, Any]:
    """Return scalars by name. :raises EngineError: one is no scalar, or there is no loss."""
    import torch

    if not isinstance(answer, Mapping) or "loss" not in answer:
        raise EngineError(f"{title} returned {shown(answer)}; it must return a dict of scalars with 'loss' among them")
    numbers = {}
    for name, value in answer.items():
        if not isinstance(value, torch.Tensor) or value.numel() != 1:
            raise EngineError(f"{title} returned {shown(value)} for {shown(name)}; it must be a tensor with one number")
        numbers[str(name)] = value.detach().float().reshape(())
    return numbers


def conditioning(answer: Any, title: str) -> Conditioning:
    """Return a conditioning. :raises EngineError: the conditioning holds something that a voice cannot keep."""
    if not isinstance(answer, Conditioning):
        raise EngineError(f"{title} returned {shown(answer)}; it must return a vtune.Conditioning")
    for name, array in answer.tensors.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
            kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise EngineError(f"{title} keeps tensor {shown(name)} as {kind}; it must be a NumPy array of numbers")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise EngineError(f"{title} keeps tensor {shown(name)} with values that are NaN or infinite")
    for name, text in answer.strings.items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise EngineError(f"{title} keeps {shown(text)} as the string {shown(name)}; it must be text")
    return answer


def footprint(answer: Any, title: str) -> Footprint | None:
    """Return an estimate, or None. :raises EngineError: the answer is something else, or holds no numbers."""
    if answer is None:
        return None
    if not isinstance(answer, Footprint):
        raise EngineError(f"{title} returned {shown(answer)}; it must return a vtune.Footprint or None")
    for name in Footprint.__dataclass_fields__:
        value = getattr(answer, name)
        is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if not (is_number and np.isfinite(value) and value >= 0) and not (name == "longest_seconds" and value is None):
            raise EngineError(f"{title} gives {name} {shown(value)}; it must be a number of 0 or more")
    return answer


def files(answer: Any, title: str) -> list[Path]:
    """Return the files that a hook has written.

    :raises EngineError: the hook names no file, or a file that is not there.
    """
    if not isinstance(answer, Iterable) or isinstance(answer, str | bytes):
        raise EngineError(f"{title} returned {shown(answer)}; it must return the list of files that it has written")
    written = [Path(path) for path in answer]
    missing = [path for path in written if not path.exists()]
    if not written or missing:
        what = f"names {missing[0].name}, which it has not written" if missing else "names no file"
        raise EngineError(f"{title} {what}; it must return the list of files that it has written")
    return written


def iterable(answer: Any, title: str) -> Iterable[Any]:
    """Return an iterable. :raises EngineError: the answer is a single sound, or something else."""
    if isinstance(answer, Audio) or not isinstance(answer, Iterable):
        raise EngineError(f"{title} returned {shown(answer)}; it must yield its pieces: write `yield` for each")
    return answer


def spoken_line(answer: Any, count: int, done: Collection[int], title: str) -> tuple[int, list[Audio]]:
    """Return the index of a line with its pieces.

    :raises EngineError: the answer is something else, or a line comes twice.
    """
    match answer:
        case (int() as index, list() | tuple() as pieces) if 0 <= index < count and index not in done:
            return index, list(pieces)
    raise EngineError(
        f"{title} yielded {shown(answer)}; it must yield each index of 0 to {count - 1} once, with the list of "
        "its pieces"
    )


def require_all_spoken(done: Collection[int], count: int, title: str) -> None:
    """Check that every line was spoken. :raises EngineError: names those that were not."""
    left = [index for index in range(count) if index not in done]
    if left:
        raise EngineError(f"{title} has not spoken line {left[0]} of {count}; yield every index once")


def imported_voice(answer: Any, title: str) -> ImportedVoice:
    """Return a voice of other software. :raises EngineError: the answer is something else."""
    if not isinstance(answer, ImportedVoice) or not answer.weights:
        raise EngineError(f"{title} returned {shown(answer)}; it must return an ImportedVoice with weights")
    conditioning(answer.conditioning, title)
    return answer


def network_numbers(answer: Any, title: str) -> dict[str, float]:
    """Return numbers by name. :raises EngineError: the answer is something else."""
    if not isinstance(answer, Mapping) or not all(isinstance(name, str) for name in answer):
        raise EngineError(f"{title} returned {shown(answer)}; it must return a dict of numbers by name")
    numbers = {name: float(value) for name, value in answer.items()}
    strange = [name for name, value in numbers.items() if not np.isfinite(value)]
    if strange:
        raise EngineError(f"{title} returned {shown(strange[0])} as {numbers[strange[0]]}; it must be a finite number")
    return numbers
