"""Read recordings, measure and change sound, write sound files; soundfile and PyAV are used only here."""

from vtune.audio.blocks import SAMPLE_RATES, SUFFIXES, Recording, digest_of, opened, require_file
from vtune.audio.downmix import ChannelMixer
from vtune.audio.encode import write_encoded
from vtune.audio.file_kinds import finished_name
from vtune.audio.formats import FORMATS, write_speech
from vtune.audio.levels import bring_to, limit, rms_dbfs, speech_level
from vtune.audio.parts import RecordingPart, cached_digest_of, header_of, part_bounds, read_part
from vtune.audio.read import decode, rate_in, rate_of, read, recorded, seconds_in, seconds_of, stated_seconds, to_mono
from vtune.audio.spectrogram import mel_levels, window_samples
from vtune.audio.tempo import Tempo
from vtune.audio.write import encoded, pcm16, stream_pcm, synthetic_note, wav_header, write_wav

__all__ = [
    "FORMATS",
    "SAMPLE_RATES",
    "SUFFIXES",
    "ChannelMixer",
    "Recording",
    "RecordingPart",
    "Tempo",
    "bring_to",
    "cached_digest_of",
    "decode",
    "digest_of",
    "encoded",
    "finished_name",
    "header_of",
    "limit",
    "mel_levels",
    "opened",
    "part_bounds",
    "pcm16",
    "rate_in",
    "rate_of",
    "read",
    "read_part",
    "recorded",
    "require_file",
    "rms_dbfs",
    "seconds_in",
    "seconds_of",
    "speech_level",
    "stated_seconds",
    "stream_pcm",
    "synthetic_note",
    "to_mono",
    "wav_header",
    "window_samples",
    "write_encoded",
    "write_speech",
    "write_wav",
]
