"""AAC in ADTS frames, which Apple's and Android's players read from a stream."""

from functools import partial

from vtune.audio.encode import FFmpegEncoder
from vtune.types import AudioFormat

FORMAT = AudioFormat(
    "aac", "audio/aac", "AAC in ADTS, 64 kbit/s", partial(FFmpegEncoder, container="adts", codec="aac")
)
