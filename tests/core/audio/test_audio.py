"""Sound is read and written without being cut, changed in level, or accepted when the file is damaged."""

from __future__ import annotations

import io
import os
import struct
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune import audio
from vtune.errors import DataError
from vtune.types import Audio


def sine(hertz: float, seconds: float, rate: int, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def loudest(sound: np.ndarray, rate: int) -> float:
    """Return the frequency with most energy, by interpolation around the highest bin."""
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    top = int(power.argmax())
    left, middle, right = np.log(power[top - 1 : top + 2])
    return (top + 0.5 * (left - right) / (left - 2 * middle + right)) * rate / len(sound)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 44100, 48000, 96000])
@pytest.mark.parametrize("expected", [16000, 24000])
def test_a_sine_keeps_pitch_level_and_length_at_another_rate(tmp_path: Path, rate: int, expected: int) -> None:
    soundfile.write(tmp_path / "a.wav", sine(440, 2, rate), rate, subtype="FLOAT")
    sound = audio.read(tmp_path / "a.wav", expected)
    assert sound.dtype == np.float32
    assert abs(len(sound) - 2 * expected) <= 1
    assert loudest(sound, expected) == pytest.approx(440, abs=0.05)
    inner = sound[expected // 10 : -expected // 10].astype(np.float64)
    level = 10 * np.log10(np.mean(inner**2) / (0.5**2 / 2))
    assert abs(level) < 0.1
    if rate == expected:
        np.testing.assert_array_equal(sound, sine(440, 2, rate))


def test_what_the_new_rate_cannot_hold_is_gone_not_folded_down(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", sine(11000, 1, 48000), 48000)
    assert audio.rms_dbfs(audio.read(tmp_path / "a.wav", 16000)[800:-800]) < -80


def test_resampling_keeps_the_moment_of_a_sound(tmp_path: Path) -> None:
    click = np.zeros(44100, dtype=np.float32)
    click[22050] = 0.9
    soundfile.write(tmp_path / "a.wav", click, 44100)
    assert abs(int(np.abs(audio.read(tmp_path / "a.wav", 24000)).argmax()) - 12000) <= 1


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = sine(440, 0.5, 16000), sine(300, 0.5, 16000, 0.2)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right, 0 * left], axis=1), 16000, subtype="FLOAT")
    np.testing.assert_allclose(audio.read(tmp_path / "a.wav", 16000), (left + right) / 3, atol=1e-6)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff", "au", "w64", "caf"])
def test_every_kind_of_file_is_read_whole(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, sine(440, 1.5, 24000), 24000)
    sound = audio.read(path, 24000)
    assert audio.seconds_of(path) == pytest.approx(1.5, abs=1e-3)
    assert len(sound) == 36000
    assert loudest(sound, 24000) == pytest.approx(440, abs=0.1)
    assert audio.rms_dbfs(sound) == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.1)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_every_kind_of_sample_is_read(tmp_path: Path, subtype: str) -> None:
    soundfile.write(tmp_path / "a.wav", sine(440, 0.5, 16000), 16000, subtype=subtype)
    tolerance = {"PCM_U8": 1 / 100, "ULAW": 1 / 40}.get(subtype, 1 / 30000)
    np.testing.assert_allclose(audio.read(tmp_path / "a.wav", 16000), sine(440, 0.5, 16000), atol=tolerance)


@pytest.mark.parametrize("tagged", [False, True])
@pytest.mark.parametrize("loud_first", [False, True])
def test_an_mp3_of_unknown_length_is_read_to_its_end(tmp_path: Path, tagged: bool, loud_first: bool) -> None:
    """Without a count of frames, libsndfile guesses the length from the first frame, and stops reading there."""
    noise = np.random.default_rng(0).normal(0, 0.2, 44100 * 2)
    parts = [noise, np.zeros(44100 * 6), sine(440, 1, 44100)]
    sound = np.concatenate(parts if loud_first else parts[::-1])
    file = io.BytesIO()
    soundfile.write(file, sound, 44100, format="MP3", bitrate_mode="VARIABLE", compression_level=0.3)
    frames = file.getvalue()
    assert b"Xing" in frames[:200]
    untold = frames[frames.find(b"\xff\xfb", 4) :]
    tag = b"ID3\x04\x00\x00" + bytes([0, 0, 2, 0]) + bytes(256) if tagged else b""
    for name, content in (("whole", frames), ("untold", tag + untold)):
        path = tmp_path / f"{name}.mp3"
        path.write_bytes(content)
        assert audio.seconds_of(path) == pytest.approx(9, abs=0.1)
        assert len(audio.read(path, 44100)) / 44100 == pytest.approx(9, abs=0.1)
    assert len(audio.decode(io.BytesIO(tag + untold), 44100, "x")) / 44100 == pytest.approx(9, abs=0.1)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF024])
def test_a_wav_written_to_a_pipe_is_read_whole(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, sine(440, 1, 16000), 16000)
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = struct.pack("<I", size)
    path.write_bytes(content)
    assert audio.seconds_of(path) == 1
    assert len(audio.read(path, 16000)) == 16000


def promising(path: Path, samples: int) -> None:
    content = bytearray(path.read_bytes())
    content[40:44] = struct.pack("<I", 2 * samples)
    path.write_bytes(content)


def flac_promising(path: Path, samples: int) -> None:
    content = bytearray(path.read_bytes())
    assert content[:4] == b"fLaC"
    content[21] = content[21] & 0xF0 | samples >> 32
    content[22:26] = struct.pack(">I", samples & 0xFFFFFFFF)
    path.write_bytes(content)


@pytest.mark.parametrize("samples", [24000, 10**6, 2**36 - 1])
def test_a_header_that_promises_more_than_there_is_is_refused(tmp_path: Path, samples: int) -> None:
    """An incomplete copy of a recording no longer holds all of its words."""
    flac = tmp_path / "a.flac"
    soundfile.write(flac, sine(440, 1, 16000), 16000)
    flac_promising(flac, samples)
    with pytest.raises(DataError, match=rf"a\.flac was cut off: its header states {samples / 16000:.2f} s.* 1\.00 s"):
        audio.read(flac, 16000)
    if samples < 2**30:
        wav = tmp_path / "a.wav"
        soundfile.write(wav, sine(440, 1, 16000), 16000)
        promising(wav, samples)
        for ask in (audio.seconds_of, lambda path: audio.read(path, 16000)):
            with pytest.raises(DataError, match=r"a\.wav was cut off: its header states .* s, the file has 1\.00 s"):
                ask(wav)


def test_a_flac_of_unknown_length_is_read_whole(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", sine(440, 1, 16000), 16000)
    flac_promising(tmp_path / "a.flac", 0)
    assert audio.seconds_of(tmp_path / "a.flac") == 1
    assert len(audio.read(tmp_path / "a.flac", 16000)) == 16000


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "aiff", "au", "caf"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"a.{suffix}"
    noise = np.random.default_rng(0).normal(0, 0.1, 48000)
    soundfile.write(path, noise, 24000)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=rf"a\.{suffix} (was cut off|cannot be read as audio)"):
        audio.read(path, 24000)


def test_an_odd_byte_at_the_end_is_no_loss(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", sine(440, 1, 16000), 16000)
    (tmp_path / "a.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:-1])
    assert len(audio.read(tmp_path / "a.wav", 16000)) >= 15999


@pytest.mark.parametrize("rate", [1, 100, 2**31 - 1])
def test_a_rate_that_no_recording_has_is_refused(tmp_path: Path, rate: int) -> None:
    """A file with one sample per second would be resampled to sixteen thousand samples per second."""
    soundfile.write(tmp_path / "a.wav", sine(440, 1, 16000), 16000)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[24:28] = struct.pack("<I", rate)
    (tmp_path / "a.wav").write_bytes(content)
    for ask in (audio.seconds_of, lambda path: audio.read(path, 16000)):
        with pytest.raises(DataError, match=rf"states {rate} samples a second"):
            ask(tmp_path / "a.wav")


def unsound() -> dict[str, np.ndarray]:
    result = {name: sine(440, 0.1, 16000) for name in ("NaN", "infinity", "minus infinity")}
    for sound, value in zip(result.values(), (np.nan, np.inf, -np.inf), strict=True):
        sound[7] = value
    return result


@pytest.mark.parametrize("kind", unsound())
@pytest.mark.parametrize("rate", [16000, 8000])
def test_samples_that_are_not_numbers_are_refused(tmp_path: Path, kind: str, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", unsound()[kind], 16000, subtype="FLOAT")
    with pytest.raises(DataError, match=r"a\.wav holds samples that are not numbers"):
        audio.read(tmp_path / "a.wav", rate)


def test_no_samples_are_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(0), 16000)
    assert audio.seconds_of(tmp_path / "a.wav") == 0
    with pytest.raises(DataError, match="holds no samples"):
        audio.read(tmp_path / "a.wav", 16000)


@settings(max_examples=80, deadline=None)
@given(content=st.binary(max_size=200) | st.binary(max_size=100).map(lambda end: b"\xff\xfb\x90\x00" + end))
def test_any_bytes_are_sound_or_one_line(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("sound") / "a.wav"
    path.write_bytes(content)
    for ask in (audio.seconds_of, lambda path: audio.read(path, 16000)):
        try:
            ask(path)
        except DataError as error:
            message = str(error)
        else:
            continue
        assert message.startswith(str(path))
        assert "\n" not in message


def test_what_is_no_file_is_said_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    kinds = {"pipe.wav": "not a plain file", "folder.wav": "not a plain file", "loop.wav": "not a plain file",
             "none.wav": "does not exist", "x" * 300 + ".wav": "does not exist"}  # fmt: skip
    for name, message in kinds.items():
        for ask in (audio.seconds_of, lambda path: audio.read(path, 16000)):
            with pytest.raises(DataError, match=f"{name} {'is ' if 'not a' in message else ''}{message}"):
                ask(tmp_path / name)
    with pytest.raises(DataError, match="is not a plain file"):
        audio.read(Path("/dev/zero"), 16000)


@pytest.mark.parametrize("name", ["a.m4a", "a.wav", "a.webm"])
def test_what_is_no_sound_is_said_in_a_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"#EXTM3U\n#EXTINF:3,\n/etc/hostname\n")
    with pytest.raises(DataError, match=f"{name} is a text file that starts with '#EXTM3U"):
        audio.seconds_of(tmp_path / name)


def test_names_that_are_no_text_are_opened(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", sine(440, 1, 16000), 16000)
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9\n.wav"))
    (tmp_path / "a.wav").rename(path)
    assert audio.seconds_of(path) == 1
    assert len(audio.read(path, 16000)) == 16000


@pytest.mark.parametrize("rate", [16000, 24000])
def test_sound_is_never_beyond_full_scale(tmp_path: Path, rate: int) -> None:
    """Files of floating-point numbers may exceed full scale, and a clipped recording rings when its rate changes."""
    soundfile.write(tmp_path / "loud.wav", 3 * sine(440, 0.5, 16000, 1), 16000, subtype="FLOAT")
    soundfile.write(tmp_path / "clipped.wav", np.sign(sine(300, 0.5, 16000)), 16000)
    for name in ("loud", "clipped"):
        sound = audio.read(tmp_path / f"{name}.wav", rate)
        assert 0.99 < np.abs(sound).max() <= 1
    np.testing.assert_allclose(audio.read(tmp_path / "loud.wav", 16000), sine(440, 0.5, 16000, 1), atol=2e-3)


def pieces(*sounds: np.ndarray) -> Iterator[Audio]:
    for sound in sounds:
        yield Audio(sound, 16000)


def test_a_wav_is_written_as_pieces_come(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    sounds = [sine(440, 0.5, 16000), np.zeros(0, np.float32), sine(300, 0.25, 16000)]
    assert audio.write_wav(path, pieces(*sounds), 16000) == 0.75
    with wave.open(str(path)) as written:
        assert (written.getframerate(), written.getnchannels(), written.getsampwidth()) == (16000, 1, 2)
        samples = np.frombuffer(written.readframes(20000), dtype="<i2")
    np.testing.assert_allclose(samples / 32768, np.concatenate(sounds), atol=1 / 16384)
    assert [entry.name for entry in path.parent.iterdir()] == ["a.wav"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_voice_that_breaks_off_leaves_no_file_and_the_former_one(tmp_path: Path, error: type[BaseException]) -> None:
    def breaking() -> Iterator[Audio]:
        yield Audio(sine(440, 0.5, 16000), 16000)
        assert not (tmp_path / "new.wav").exists(), "nobody may see half of it"
        raise error

    with pytest.raises(error):
        audio.write_wav(tmp_path / "new.wav", breaking(), 16000)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "old.wav").write_bytes(b"former")
    with pytest.raises(error):
        audio.write_wav(tmp_path / "old.wav", breaking(), 16000)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"former"]


def test_what_is_too_loud_is_bounded_not_wrapped_around(tmp_path: Path) -> None:
    loud = np.asarray([-3, -1, 0, 1, 3], dtype=np.float32)
    audio.write_wav(tmp_path / "a.wav", pieces(loud), 16000)
    out = io.BytesIO()
    assert audio.stream_pcm(out, pieces(loud)) == 5
    streamed = np.frombuffer(out.getvalue(), dtype="<i2")
    with wave.open(str(tmp_path / "a.wav")) as written:
        samples = np.frombuffer(written.readframes(5), dtype="<i2")
    for result in (streamed, samples):
        assert result.tolist() == [-32768, -32768, 0, 32767, 32767]


def test_a_stream_is_the_same_sound_as_the_file(tmp_path: Path) -> None:
    sounds = [sine(440, 0.3, 16000), sine(300, 0.2, 16000, 0.9)]
    audio.write_wav(tmp_path / "a.wav", pieces(*sounds), 16000)
    out = io.BytesIO()
    audio.stream_pcm(out, pieces(*sounds))
    with wave.open(str(tmp_path / "a.wav")) as written:
        samples = np.frombuffer(written.readframes(8000), dtype="<i2")
    np.testing.assert_array_equal(samples, np.frombuffer(out.getvalue(), dtype="<i2"))


@pytest.mark.parametrize("rate", [22050, 24000])
def test_a_stream_with_its_header_is_a_wav(tmp_path: Path, rate: int) -> None:
    out = io.BytesIO(audio.wav_header(rate))
    out.seek(0, io.SEEK_END)
    samples = audio.stream_pcm(out, pieces(sine(440, 0.5, rate)))
    content = bytearray(out.getvalue())
    sound, read_rate = soundfile.read(io.BytesIO(content), dtype="float32")
    assert (len(sound), read_rate) == (samples, rate), "as it is, with sizes at their maximum"
    content[4:8], content[40:44] = struct.pack("<I", len(content) - 8), struct.pack("<I", 2 * samples)
    with wave.open(io.BytesIO(content)) as parsed:
        assert (parsed.getframerate(), parsed.getnchannels(), parsed.getsampwidth()) == (rate, 1, 2)
        assert parsed.getnframes() == samples
    (tmp_path / "a.wav").write_bytes(out.getvalue())
    np.testing.assert_allclose(audio.read(tmp_path / "a.wav", rate), sine(440, 0.5, rate), atol=1 / 16384)


def test_a_recording_without_a_name_is_called_sound() -> None:
    with pytest.raises(DataError, match=r"^sound is a text file"), audio.opened(io.BytesIO(b"no audio")):
        pass
