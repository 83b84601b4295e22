"""Turn anybody's speech into a voice of their own: the contract for engines, and the loop that tunes them.

Engine authors need ``hookimpl``, the types and ``attach_lora``; users of the library ``load_recipe`` and the steps
(``vtune.pipeline.run``, ``vtune.voices.speech.open_voice``). Nothing here imports torch.
"""

from typing import TYPE_CHECKING

from vtune.contract.hookspecs import hookimpl
from vtune.engines import Engine, available_engines, load_engine, load_recipe, use_engine_file
from vtune.errors import (
    DataError,
    EngineError,
    RecipeError,
    SkipClip,
    TrainingError,
    VoiceError,
    VtuneError,
    first_problem,
    in_a_line,
)
from vtune.recipe import Recipe
from vtune.runtime.version import VTUNE_VERSION
from vtune.toolkit.hub import (
    built_once,
    fetch_file,
    folder_or_hub_id,
    hash_file,
    load_pretrained,
    read_tensors,
    unreachable,
)
from vtune.toolkit.lora import attach_lora
from vtune.toolkit.pauses import PAUSE_SECONDS, is_speakable
from vtune.types import (
    Audio,
    Batch,
    Clip,
    Conditioning,
    Ending,
    EngineInfo,
    EngineOptions,
    ExtensionInfo,
    Features,
    Footprint,
    LoraSettings,
    SamplingRequest,
    TokenSampler,
    Waveform,
)

if TYPE_CHECKING:
    from vtune.audio import recorded

__version__ = VTUNE_VERSION

__all__ = [
    "PAUSE_SECONDS",
    "Audio",
    "Batch",
    "Clip",
    "Conditioning",
    "DataError",
    "Ending",
    "Engine",
    "EngineError",
    "EngineInfo",
    "EngineOptions",
    "ExtensionInfo",
    "Features",
    "Footprint",
    "LoraSettings",
    "Recipe",
    "RecipeError",
    "SamplingRequest",
    "SkipClip",
    "TokenSampler",
    "TrainingError",
    "VoiceError",
    "VtuneError",
    "Waveform",
    "attach_lora",
    "available_engines",
    "built_once",
    "fetch_file",
    "first_problem",
    "folder_or_hub_id",
    "hash_file",
    "hookimpl",
    "in_a_line",
    "is_speakable",
    "load_engine",
    "load_pretrained",
    "load_recipe",
    "read_tensors",
    "recorded",
    "unreachable",
    "use_engine_file",
]


def __getattr__(name: str) -> object:
    """Import what reads sound when it is asked for: checking a recipe takes a fifth longer with its libraries."""
    if name == "recorded":
        from vtune.audio import recorded

        return recorded
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
