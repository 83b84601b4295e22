"""Vorbis in Ogg, which is what the ending ``.ogg`` promises (RFC 5334), and what game engines read.

libsndfile encodes it: FFmpeg's own Vorbis encoder is experimental and writes stereo only. libsndfile ends a page at 4
KiB, about 0.7 s of speech, so streamed sound leaves in larger steps than that of ``opus``.
"""

from functools import partial

from vtune.audio.encode import LibsndfileEncoder
from vtune.types import AudioFormat

FORMAT = AudioFormat(
    "ogg", "audio/ogg; codecs=vorbis", "Vorbis in Ogg, about 50 kbit/s",
    partial(LibsndfileEncoder, container="OGG", codec="VORBIS"),
)  # fmt: skip
