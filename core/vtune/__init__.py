"""Turn anybody's speech into a voice of their own: the contract for engines, and the loop that tunes them.

Engine authors need ``hookimpl``, the types and ``attach_lora``; users of the library ``load_recipe`` and the steps
(``vtune.pipeline.run``, ``vtune.speak.open_voice``). Nothing here imports torch.
"""

from vtune.engines import Engine, available_engines, load_engine, load_recipe
from vtune.errors import (
    DataError,
    EngineError,
    RecipeError,
    SkipClip,
    TrainingError,
    VoiceError,
    VtuneError,
)
from vtune.hookspecs import hookimpl
from vtune.lora import attach_lora
from vtune.recipe import Recipe
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
    Waveform,
)

__version__ = "0.1.0"

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
    "SkipClip",
    "TrainingError",
    "VoiceError",
    "VtuneError",
    "Waveform",
    "attach_lora",
    "available_engines",
    "hookimpl",
    "load_engine",
    "load_recipe",
]
