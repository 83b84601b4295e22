"""Sound that is encoded piece by piece is decoded to the same sound by another library."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from vtune.audio import FORMATS, write_encoded
from vtune.types import Audio, Waveform

RATE = 24_000


def tone(seconds: float, hertz: float = 440.0) -> Waveform:
    return (0.4 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def encoded(kind: str, sound: Waveform, piece: int = 2048, comment: str = "") -> list[bytes]:
    made = FORMATS[kind].encoder(RATE, comment)
    return [*(made.add(sound[start : start + piece]) for start in range(0, len(sound), piece)), made.end()]


def decoded(kind: str, content: bytes) -> tuple[np.ndarray, int, dict[str, str]]:
    if kind == "pcm":
        return np.frombuffer(content, "<i2") / 32768, RATE, {}
    with av.open(io.BytesIO(content)) as file:
        rates, parts = set(), []
        for frame in file.decode(audio=0):
            rates.add(frame.sample_rate)
            array = frame.to_ndarray()
            parts.append(array[0] / 32768 if array.dtype == np.int16 else array[0])
        (rate,) = rates
        return (
            np.concatenate(parts),
            rate,
            {key.lower(): value for key, value in {**file.metadata, **file.streams[0].metadata}.items()},
        )


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("piece", [160, 8192, 10**6])
def test_length_and_pitch_are_those_of_the_sound(kind: str, piece: int) -> None:
    sound, rate, _ = decoded(kind, b"".join(encoded(kind, tone(2.0), piece)))
    # MP3 and AAC have whole frames, and a beginning of their own; FFmpeg leaves out the first block of Vorbis.
    tolerance = {"mp3": 0.09, "aac": 0.09, "ogg": 0.011}.get(kind, 0.001)
    assert len(sound) / rate == pytest.approx(2.0, abs=tolerance)
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    assert spectrum.argmax() * rate / len(sound) == pytest.approx(440, abs=2)
    assert np.abs(sound).max() == pytest.approx(0.4, abs=0.05)


@pytest.mark.parametrize("kind", ["pcm", "wav", "flac"])
def test_what_loses_nothing_gives_every_sample_back(kind: str) -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, 5000).astype(np.float32)
    sound, _, _ = decoded(kind, b"".join(encoded(kind, noise, 777)))
    assert len(sound) == len(noise)
    assert np.abs(sound - noise).max() <= 1 / 32768


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "ogg"])
def test_bytes_leave_while_the_sound_is_still_being_made(kind: str) -> None:
    parts = encoded(kind, tone(2.0))
    # Within the first 0.35 s of sound, and never more than 0.35 s apart.
    silent = longest = 0
    for part in parts[:-1]:
        silent = 0 if part else silent + 1
        longest = max(longest, silent)
    assert longest * 2048 / RATE < 0.35
    assert len(parts[-1]) < 0.25 * sum(map(len, parts))


def test_vorbis_leaves_page_by_page() -> None:
    parts = encoded("ogg", np.random.default_rng(0).normal(0, 0.1, 4 * RATE).astype(np.float32))
    assert parts[0].startswith(b"OggS")  # the header leaves with the first piece
    sizes = [len(part) for part in parts]
    gap = max(len(run) for run in "".join("x" if size else " " for size in sizes[1:-1]).split("x"))
    assert gap * 2048 / RATE < 1.0
    assert sizes[-1] < 0.25 * sum(sizes)


@pytest.mark.parametrize(("kind", "subtype"), [("ogg", "VORBIS"), ("opus", "OPUS")])
def test_another_decoder_hears_the_same_in_ogg(kind: str, subtype: str) -> None:
    content = io.BytesIO(b"".join(encoded(kind, tone(1.0), comment="synthetic speech")))
    info = soundfile.info(content)
    assert (info.format, info.subtype) == ("OGG", subtype)
    content.seek(0)
    sound, rate = soundfile.read(content, dtype="float32")  # libsndfile; PyAV reads it in the test of length and pitch
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    assert spectrum.argmax() * rate / len(sound) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("rate", [24_000, 22_050])
@pytest.mark.parametrize("kind", ["ogg", "opus", "flac"])
def test_a_file_has_the_length_of_its_pieces_at_a_rate_that_the_format_has(
    kind: str, rate: int, tmp_path: Path
) -> None:
    sound = (0.4 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)).astype(np.float32)
    path = tmp_path / f"hello.{kind}"
    pieces = [Audio(sound[start : start + 777], rate) for start in range(0, len(sound), 777)]
    assert write_encoded(path, FORMATS[kind], pieces, rate, "synthetic speech") == 1.0
    read, written_rate = soundfile.read(path, dtype="float32")
    assert written_rate == (24_000 if kind == "opus" else rate)
    assert len(read) / written_rate == pytest.approx(1.0, abs=0.001)
    assert np.abs(read).max() == pytest.approx(0.4, abs=0.05)


def test_formats_are_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "serve.md").read_text(encoding="utf-8")
    for name, audio_format in FORMATS.items():
        assert f"`{name}` ({audio_format.description}" in page


@pytest.mark.parametrize("kind", ["mp3", "opus", "ogg", "flac", "wav"])
def test_a_file_says_what_it_is(kind: str) -> None:
    for comment in ("synthetic speech", "synthetic speech of Zoë"):  # even and odd, in a WAV
        _, _, metadata = decoded(kind, b"".join(encoded(kind, tone(0.2), comment=comment)))
        assert metadata["comment"] == comment


@pytest.mark.parametrize("kind", ["wav", "flac"])
@pytest.mark.parametrize("comment", ["", "odd", "even"])
@pytest.mark.parametrize("seconds", [0, 0.1, 2.0])
def test_a_finished_file_says_how_long_it_is(kind: str, comment: str, seconds: float) -> None:
    made = FORMATS[kind].encoder(RATE, comment)
    sound = tone(seconds)
    streamed = b"".join([made.add(sound[start : start + 777]) for start in range(0, len(sound), 777)]) + made.end()
    file = made.with_length(streamed)
    assert len(file) == len(streamed)
    if seconds or kind == "wav":
        read, rate = soundfile.read(io.BytesIO(file), dtype="float32")
        assert (len(read), rate) == (len(sound), RATE)
        assert not len(sound) or np.abs(read - sound).max() <= 1 / 32768
        assert soundfile.info(io.BytesIO(file)).frames == len(sound)
    if kind == "wav":
        with wave.open(io.BytesIO(file)) as parsed:
            assert parsed.getnframes() == len(sound)
        assert int.from_bytes(file[4:8], "little") == len(file) - 8
    with av.open(io.BytesIO(file)) as opened:
        assert not seconds or opened.duration == pytest.approx(seconds * 1e6, abs=1e3)


@pytest.mark.parametrize("kind", ["mp3", "opus", "ogg", "aac", "pcm"])
def test_other_formats_have_no_length_to_write(kind: str) -> None:
    made = FORMATS[kind].encoder(RATE, "")
    file = made.add(tone(0.5)) + made.end()
    assert made.with_length(file) == file
    assert not FORMATS[kind].has_length


@pytest.mark.parametrize("kind", FORMATS)
def test_no_sound_is_still_a_file(kind: str) -> None:
    made = FORMATS[kind].encoder(RATE, "")
    content = made.add(np.zeros(0, np.float32)) + made.end()
    assert content or kind in ("pcm", "aac", "mp3")
    if kind == "wav":
        assert content[:4] == b"RIFF"


def test_a_sound_that_nobody_ends_is_let_go() -> None:
    for kind in FORMATS:
        made = FORMATS[kind].encoder(RATE, "")
        made.add(tone(0.5))
        del made
