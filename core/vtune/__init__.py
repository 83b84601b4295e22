"""Turn anybody's speech into a voice of their own: the contract for engines, and the loop that tunes them.

Engine authors need ``hookimpl``, the types and ``attach_lora``; users of the library ``load_recipe`` and the steps
(``vtune.pipeline.run``, ``vtune.speak.open_voice``). Nothing here imports torch.
"""

from vtune.audio import recorded
from vtune.engines import Engine, available_engines, load_engine, load_recipe
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
from vtune.hookspecs import hookimpl
from vtune.hub import built_once, fetch_file, folder_or_hub_id, hash_file, unreachable
from vtune.lora import attach_lora
from vtune.recipe import Recipe
from vtune.types import (
    Audio,
    Batch,
    Clip,
    Conditioning,
    Draw,
    Drawing,
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
    "Draw",
    "Drawing",
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
    "built_once",
    "fetch_file",
    "first_problem",
    "folder_or_hub_id",
    "hash_file",
    "hookimpl",
    "in_a_line",
    "load_engine",
    "load_recipe",
    "recorded",
    "unreachable",
]
