"""The data that crosses the contract: clips, features, batches, conditioning, audio, and what an engine says of itself.

Units everywhere: seconds, Hz, samples; waveforms are mono ``float32 [samples]`` in [-1, 1].
"""

from vtune.types.conditioning import Conditioning
from vtune.types.footprint import Footprint
from vtune.types.info import EngineInfo, ExtensionInfo
from vtune.types.lora import LoraSettings
from vtune.types.options import EFFECTS, Effect, EngineOptions, Settings, effects_of, option
from vtune.types.sampling import SamplingRequest, TokenSampler
from vtune.types.sound import Audio, Clip, Ending, Watermark, Waveform, join_audio
from vtune.types.tensors import Batch, Features

__all__ = [
    "EFFECTS",
    "Audio",
    "Batch",
    "Clip",
    "Conditioning",
    "Effect",
    "Ending",
    "EngineInfo",
    "EngineOptions",
    "ExtensionInfo",
    "Features",
    "Footprint",
    "LoraSettings",
    "SamplingRequest",
    "Settings",
    "TokenSampler",
    "Watermark",
    "Waveform",
    "effects_of",
    "join_audio",
    "option",
]
