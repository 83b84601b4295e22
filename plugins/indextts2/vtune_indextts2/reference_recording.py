"""Read a recording that an option names, once: the sound that a voice imitates, or whose emotion it takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vtune import VoiceError
from vtune.audio import recorded
from vtune_indextts2.recording_features import MIN_REFERENCE_SECONDS, extract_features, extract_flow_prompt
from vtune_indextts2.recording_tensors import FlowPrompt, RecordingFeatures

if TYPE_CHECKING:
    from vtune_indextts2.base import IndexTTS2Base
    from vtune_indextts2.options import IndexTTS2Options


def recording_of(
    base: IndexTTS2Base, options: IndexTTS2Options, option: str, path: Path
) -> tuple[RecordingFeatures, FlowPrompt]:
    """Return the tensors of a recording that an option names, computed once.

    :raises VoiceError: the recording is silent, too short or too long.
    """
    changed = path.stat().st_mtime_ns if path.is_file() else 0
    longest = options.reference_seconds
    key = (str(path), changed, longest)  # voices that share the base may allow different lengths
    if key not in base.recording_cache:
        waveform, rate = recorded(path)
        seconds = len(waveform) / rate
        if not MIN_REFERENCE_SECONDS <= seconds <= longest:
            raise VoiceError(
                f"{option} {path} has {seconds:.1f} s, but a reference needs {MIN_REFERENCE_SECONDS:g} to {longest:g} "
                "s (engine_options.reference_seconds): cut out a part in which one person speaks"
            )
        if not waveform.any():
            raise VoiceError(f"{option} {path} is {seconds:.1f} s of digital silence; name a recording of speech")
        features = extract_features(base, waveform, rate)
        base.recording_cache[key] = (features, extract_flow_prompt(base, waveform, rate, features))
    return base.recording_cache[key]
