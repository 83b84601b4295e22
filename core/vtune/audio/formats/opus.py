"""Opus in Ogg: the best lossy quality for speech, and the shortest wait for the first sound."""

from functools import partial

from vtune.audio.encode import FFmpegEncoder
from vtune.types import AudioFormat

PAGE_MICROSECONDS = 100_000

FORMAT = AudioFormat(
    "opus", "audio/ogg; codecs=opus", "Opus in Ogg, 64 kbit/s",
    partial(FFmpegEncoder, container="ogg", codec="libopus", options={"page_duration": str(PAGE_MICROSECONDS)}),
    sample_rates=(8_000, 12_000, 16_000, 24_000, 48_000),
)  # fmt: skip
