"""Turn somebody's speech into a voice: ``run`` a recipe, load a ``Voice``, let it ``say`` something.

Authors of engines need ``hookimpl``, the types and ``attach_lora``; further helpers of theirs are in ``vtune.toolkit``.
A name is imported from its module at its first use, so importing this package costs nothing.
"""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from vtune.runtime.version import VTUNE_VERSION

if sys.platform == "darwin":
    # What torch lacks on the GPU of a Mac is computed on the processor. Torch reads this when it is imported.
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")

if TYPE_CHECKING:
    from vtune.contract.hookspecs import hookimpl
    from vtune.engines import Engine, available_engines, load_engine, load_recipe, use_engine_file
    from vtune.errors import DataError, EngineError, RecipeError, SkipClip, TrainingError, VoiceError, VtuneError
    from vtune.python_api import SpokenAudio, Voice, run
    from vtune.recipe import Recipe
    from vtune.toolkit import attach_lora
    from vtune.types import (
        Audio,
        AudioFormat,
        Batch,
        Clip,
        Conditioning,
        Ending,
        EngineInfo,
        EngineOptions,
        ExtensionInfo,
        Features,
        Footprint,
        Licence,
        LoraSettings,
        SamplingRequest,
        TokenSampler,
        TrainingPart,
        TrainingStep,
        Waveform,
        WordTime,
        option,
    )

__version__ = VTUNE_VERSION

__all__ = [
    "Audio",
    "AudioFormat",
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
    "Licence",
    "LoraSettings",
    "Recipe",
    "RecipeError",
    "SamplingRequest",
    "SkipClip",
    "SpokenAudio",
    "TokenSampler",
    "TrainingError",
    "TrainingPart",
    "TrainingStep",
    "Voice",
    "VoiceError",
    "VtuneError",
    "Waveform",
    "WordTime",
    "attach_lora",
    "available_engines",
    "hookimpl",
    "load_engine",
    "load_recipe",
    "option",
    "run",
    "use_engine_file",
]

_MODULES = ("errors", "types", "contract.hookspecs", "toolkit", "recipe", "engines", "python_api")
"""Where the public names are, in the order in which they are looked up: what costs least to import is first."""


def __getattr__(name: str) -> Any:
    """Import a public name, or a module such as ``vtune.toolkit``, at its first use: ``--help`` needs none of them."""
    if name in _MODULES:
        return import_module(f"vtune.{name}")
    for module in _MODULES if name in __all__ else ():
        members = vars(import_module(f"vtune.{module}"))
        if name in members:
            return globals().setdefault(name, members[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
