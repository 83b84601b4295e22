"""Turn somebody's speech into a voice: ``run`` a recipe, load a ``Voice``, let it ``say`` something.

Authors of engines need ``hookimpl``, the types and ``attach_lora``; further helpers of theirs are in ``vtune.toolkit``.
Importing this package imports neither torch nor a library that reads sound.
"""

from typing import TYPE_CHECKING, Any

from vtune.contract.hookspecs import hookimpl
from vtune.engines import Engine, available_engines, load_engine, load_recipe, use_engine_file
from vtune.errors import DataError, EngineError, RecipeError, SkipClip, TrainingError, VoiceError, VtuneError
from vtune.recipe import Recipe
from vtune.runtime.version import VTUNE_VERSION
from vtune.toolkit import attach_lora
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
    option,
)

if TYPE_CHECKING:
    from vtune.python_api import SpokenAudio, Voice, run

__version__ = VTUNE_VERSION

__all__ = [
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
    "SpokenAudio",
    "TokenSampler",
    "TrainingError",
    "Voice",
    "VoiceError",
    "VtuneError",
    "Waveform",
    "attach_lora",
    "available_engines",
    "hookimpl",
    "load_engine",
    "load_recipe",
    "option",
    "run",
    "use_engine_file",
]


def __getattr__(name: str) -> Any:
    """Import what trains and speaks at its first use: checking a recipe needs none of it."""
    if name in {"SpokenAudio", "Voice", "run"}:
        from vtune import python_api

        return getattr(python_api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
