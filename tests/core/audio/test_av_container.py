"""FFmpeg reads the containers that libsndfile does not read."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from vtune import audio
from vtune.errors import DataError

KINDS = {
    "a.m4a": ("aac", None), "a.mp4": ("aac", None), "a.mov": ("pcm_s16le", None), "a.webm": ("libopus", None),
    "a.mka": ("flac", None), "a.mkv": ("aac", None), "a.aac": ("aac", "adts"), "a.wma": ("wmav2", "asf"),
    "a.ac3": ("ac3", None), "a.avi": ("pcm_s16le", None),
}  # fmt: skip


def make(path: Path, seconds: float = 2, rate: int = 48_000, layout: str = "stereo", *, video: bool = False) -> None:
    codec, kind = KINDS[path.name]
    with av.open(str(path), "w", format=kind) as container:
        track = container.add_stream(codec, rate=rate, layout=layout)
        if video:
            picture = container.add_stream("mpeg4", rate=10)
            picture.width = picture.height = 16
            picture.pix_fmt = "yuv420p"
        resampler = av.AudioResampler(track.codec_context.format or "fltp", layout, rate)
        tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)).astype(np.float32)
        channels = track.codec_context.layout.nb_channels
        for start in range(0, len(tone), 512):
            part = np.ascontiguousarray(np.stack([tone[start : start + 512]] * channels))
            frame = av.AudioFrame.from_ndarray(part, "fltp", layout)
            frame.sample_rate, frame.pts = rate, start
            for piece in resampler.resample(frame):
                container.mux(track.encode(piece))
        container.mux(track.encode(None))
        if video:
            for _ in range(int(10 * seconds) + 20):  # the picture goes on for longer
                container.mux(picture.encode(av.VideoFrame(16, 16, "yuv420p")))
            container.mux(picture.encode(None))


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_read_whole(tmp_path: Path, name: str) -> None:
    try:
        make(tmp_path / name)
    except (av.error.FFmpegError, ValueError) as error:
        pytest.skip(f"this FFmpeg does not write {name}: {error}")
    sound = audio.read(tmp_path / name, 24_000)
    assert len(sound) / 24_000 == pytest.approx(2, abs=0.1)
    assert audio.seconds_of(tmp_path / name) == pytest.approx(2, abs=0.1)
    assert audio.rate_of(tmp_path / name) == 48_000
    middle = sound[12_000:36_000] * np.hanning(24_000)
    assert int(np.abs(np.fft.rfft(middle)).argmax()) == 440
    assert audio.rms_dbfs(sound[12_000:36_000]) == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.3)


def test_six_channels_and_a_picture(tmp_path: Path) -> None:
    make(tmp_path / "a.m4a", layout="5.1")
    with audio.opened(tmp_path / "a.m4a") as recording:
        assert (recording.channels, recording.rate) == (6, 48_000)
        assert sum(len(block) for block in recording.blocks()) / 48_000 == pytest.approx(2, abs=0.1)
    make(tmp_path / "a.mp4", video=True)
    make(tmp_path / "a.mkv", video=True)
    for name in ("a.mp4", "a.mkv"):
        assert len(audio.read(tmp_path / name, 16_000)) / 16_000 == pytest.approx(2, abs=0.1)


def test_a_wrong_ending_does_not_matter(tmp_path: Path) -> None:
    make(tmp_path / "a.m4a")
    (tmp_path / "a.m4a").rename(tmp_path / "a.wav")
    assert audio.seconds_of(tmp_path / "a.wav") == pytest.approx(2, abs=0.1)
    soundfile.write(tmp_path / "b.wav", np.zeros(16_000), 16_000)
    (tmp_path / "b.wav").rename(tmp_path / "b.mp4")
    assert audio.seconds_of(tmp_path / "b.mp4") == 1


@pytest.mark.parametrize("name", ["a.m4a", "a.webm", "a.mka", "a.mov"])
@pytest.mark.parametrize("share", [0.001, 0.3, 0.7, 0.95])
def test_what_was_cut_off_is_refused(tmp_path: Path, name: str, share: float) -> None:
    make(tmp_path / name, seconds=5)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=r"cut off|cannot be read as audio"):
        audio.read(tmp_path / name, 16_000)


def test_a_film_without_sound_says_so(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        picture = container.add_stream("mpeg4", rate=10)
        picture.width = picture.height = 16
        picture.pix_fmt = "yuv420p"
        container.mux(picture.encode(av.VideoFrame(16, 16, "yuv420p")))
        container.mux(picture.encode(None))
    with pytest.raises(DataError, match="the file has no sound"):
        audio.seconds_of(tmp_path / "a.mp4")


def test_an_open_file_and_any_damage(tmp_path: Path) -> None:
    make(tmp_path / "a.webm")
    content = (tmp_path / "a.webm").read_bytes()
    assert len(audio.decode(io.BytesIO(content), 16_000, "x.webm")) / 16_000 == pytest.approx(2, abs=0.1)
    random = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(content)
        for position in random.integers(0, len(content), 8):
            damaged[position] = random.integers(256)
        with suppress(DataError):
            assert np.isfinite(audio.decode(io.BytesIO(bytes(damaged)), 16_000, "x.webm")).all()
