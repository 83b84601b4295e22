"""Tools for engines: LoRA adapters, model files, random numbers, pauses. Packed attention is a module of its own."""

from vtune.toolkit.hub import (
    build_once,
    fetch_file,
    folder_or_hub_id,
    hash_file,
    load_pretrained,
    read_tensors,
    unreachable_message,
)
from vtune.toolkit.lora import AdapterSize, adapter_size, attach_lora
from vtune.toolkit.lots import normal, uniform
from vtune.toolkit.pauses import PAUSE_SECONDS, is_speakable
from vtune.toolkit.segments import segment_starts, take_segments

__all__ = [
    "PAUSE_SECONDS",
    "AdapterSize",
    "adapter_size",
    "attach_lora",
    "build_once",
    "fetch_file",
    "folder_or_hub_id",
    "hash_file",
    "is_speakable",
    "load_pretrained",
    "normal",
    "read_tensors",
    "segment_starts",
    "take_segments",
    "uniform",
    "unreachable_message",
]
