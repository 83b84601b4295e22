"""The data that crosses the contract: clips, features, batches, conditioning, audio, and what an engine says of itself.

Units everywhere: seconds, Hz, samples; waveforms are mono ``float32 [samples]`` in [-1, 1].
"""

from vtune.types.audio_format import AudioFormat, Encoder
from vtune.types.conditioning import Conditioning
from vtune.types.footprint import Footprint
from vtune.types.info import CAPABILITIES, Capability, EngineInfo, ExtensionInfo, Licence
from vtune.types.lora import LoraSettings
from vtune.types.options import EFFECTS, Effect, EngineOptions, Settings, effects_of, option
from vtune.types.sampling import SamplingRequest, TokenSampler
from vtune.types.sound import Audio, Clip, Ending, Watermark, Waveform, WordTime, join_audio
from vtune.types.tensors import Batch, Features
from vtune.types.training import MAIN_OPTIMIZER, TrainingPart, TrainingStep

__all__ = [
    "CAPABILITIES",
    "EFFECTS",
    "MAIN_OPTIMIZER",
    "Audio",
    "AudioFormat",
    "Batch",
    "Capability",
    "Clip",
    "Conditioning",
    "Effect",
    "Encoder",
    "Ending",
    "EngineInfo",
    "EngineOptions",
    "ExtensionInfo",
    "Features",
    "Footprint",
    "Licence",
    "LoraSettings",
    "SamplingRequest",
    "Settings",
    "TokenSampler",
    "TrainingPart",
    "TrainingStep",
    "Watermark",
    "Waveform",
    "WordTime",
    "effects_of",
    "join_audio",
    "option",
]
