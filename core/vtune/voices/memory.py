"""Refuse a voice that does not fit into memory, before anything of its base is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pydantic import ValidationError

from vtune.engines import load_engine
from vtune.engines.memory import Stage, merging_stage, speaking_stage
from vtune.errors import VoiceError, VtuneError
from vtune.recipe import LoraRecipe
from vtune.runtime.device import has_own_memory, pick_device, weights_dtype
from vtune.runtime.memory import GIB, host_limit, memory_of
from vtune.types import Footprint
from vtune.voice_format.record import VoiceRecord
from vtune.voices.voice_options import options_of


def require_memory_to_speak(
    record: VoiceRecord, device: str = "auto", precision: str = "auto", options: Mapping[str, Any] | None = None
) -> None:
    """Check that a voice can be opened and speak.

    :param options: engine options that differ from those of the training.
    :raises VoiceError: says in one line how much is needed, how much there is, and what to change.
    """
    _require(record, device, precision, options or {}, speaking_stage)


def require_memory_to_export(
    record: VoiceRecord,
    device: str = "auto",
    options: Mapping[str, Any] | None = None,
    *,
    networks: int = 1,
    action: str = "exporting",
) -> None:
    """Check that a voice can be merged, or written in another form, in float32; see ``require_memory_to_speak``.

    :param networks: how many networks are whole in memory at once.
    :param action: what the message says: ``merging``, ``exporting`` or ``importing``.
    """
    _require(record, device, "fp32", options or {}, partial(merging_stage, networks=networks, name=action))


def _require(
    record: VoiceRecord,
    device: str,
    precision: str,
    changes: Mapping[str, Any],
    stage_of: Callable[[Footprint, str, bool], Stage],
) -> None:
    torch_device = pick_device(device)
    engine = load_engine(record.engine)
    options = options_of(engine, record, changes)
    width = weights_dtype(precision, torch_device, record.method).itemsize
    try:
        lora = LoraRecipe.model_validate(record.lora).settings()
        footprint = engine.footprint(options, lora, width, width)
    except (VtuneError, ValidationError):
        return  # what is wrong with the base is told when it is loaded
    if footprint is None:
        return
    on_gpu = has_own_memory(torch_device)
    stage = stage_of(footprint, record.method, on_gpu)
    limit = host_limit()
    places = [(stage.host_bytes, limit.size, f"of memory ({limit.whose})")]
    if on_gpu:
        places.append((stage.device_bytes, memory_of(torch_device), "on the GPU"))
    for needed, have, where in places:
        if needed > have:
            advice = _advice(options, stage, gpu_is_full=on_gpu and needed == stage.device_bytes)
            raise VoiceError(
                f"voice {record.name!r} does not fit into memory: {stage.name} needs about {needed / GIB:.1f} GiB, and "
                f"there are {have / GIB:.1f} GiB {where}. {advice}"
            )


def _advice(options: Any, stage: Stage, gpu_is_full: bool) -> str:
    steps = []
    if stage.name == "speaking" and getattr(options, "quantization", None) == "none":
        steps.append("--set quantization=4bit")
    if gpu_is_full:
        steps.append("--device cpu")
    return f"Try {', or '.join([*steps, 'a machine with more memory'])}"
