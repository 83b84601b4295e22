"""MP3, which every player reads."""

from functools import partial

from vtune.audio.encode import FFmpegEncoder
from vtune.types import AudioFormat

FORMAT = AudioFormat(
    "mp3", "audio/mpeg", "64 kbit/s",
    partial(FFmpegEncoder, container="mp3", codec="libmp3lame", options={"write_xing": "0"}),
)  # fmt: skip
