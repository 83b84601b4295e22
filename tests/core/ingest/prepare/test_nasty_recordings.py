"""A folder with every kind of damaged or strange recording: each is cut or named, and the seconds add up."""

from __future__ import annotations

import itertools
import json
import struct
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vtune.audio.levels import MAX_PEAK
from vtune.ingest.prepare import CutSettings, prepare_folder
from vtune.recipe import PrepareRecipe

Talk = Callable[..., np.ndarray]

RATES = (8_000, 11_025, 48_000, 192_000)
SUBTYPES = {"wav": ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"), "flac": ("PCM_16",),
            "ogg": ("VORBIS",), "mp3": ("MPEG_LAYER_III",), "aiff": ("PCM_16",), "au": ("PCM_16",)}  # fmt: skip
LENGTHS = (0, 1, 2, 79, 80, 81, 400, 5_000)


def sounds(talk: Talk) -> Iterator[tuple[str, np.ndarray]]:
    """Yield names and sounds at 16 kHz; most of them are damaged speech."""
    speech = talk([(0.5, 2.1)], 3, depth=0.97)
    random = np.random.default_rng(0)
    yield "clipped", np.clip(40 * speech, -1, 1)
    yield "offset", speech + 0.4
    yield "all_offset", np.full(32_000, 0.5)
    yield "silent", np.zeros(32_000)
    yield "dither", random.integers(-1, 2, 32_000) / 32768
    yield "faint", speech * 1e-4
    yield "noise", random.normal(0, 0.1, 32_000)
    yield "hum", 0.3 * np.sin(2 * np.pi * 50 * np.arange(32_000) / 16_000)
    yield "opposite", np.stack([speech, -speech], axis=1)
    yield "left_only", np.stack([speech, 0 * speech], axis=1)
    yield "six_channels", np.stack([speech] * 6, axis=1)
    yield "click", np.eye(1, 32_000, 9_000)[0]
    yield "square", np.sign(np.sin(np.arange(32_000) / 20))
    yield "one_word", talk([(0.5, 0.8)], 1.5, depth=0.97)
    for index, length in enumerate(LENGTHS):
        yield f"length_{length}", speech[8_000 : 8_000 + length] + index * 1e-3


def floats(talk: Talk) -> Iterator[tuple[str, np.ndarray]]:
    """Yield sounds that only files of floating-point numbers hold."""
    speech = talk([(0.5, 2.1)], 3, depth=0.97)
    for name, number in {"nan": np.nan, "inf": np.inf, "minus_inf": -np.inf, "huge": 1e30, "tiny": 1e-42}.items():
        for share, where in {"one": slice(20_000, 20_001), "some": slice(9_000, 30_000, 7), "all": slice(None)}.items():
            sound = speech.copy()
            sound[where] = number
            yield f"{name}_{share}", sound


def damaged(whole: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents that were made of one good file."""
    for share in (0, 1, 10, 43, 44, 45, len(whole) // 2, len(whole) - 1):
        yield f"truncated_{share}", whole[:share]
    for name, offset, value in (
        ("rate_0", 24, 0), ("rate_1", 24, 1), ("rate_huge", 24, 2**31), ("size_0", 40, 0), ("size_huge", 40, 2**32 - 1),
        ("riff_huge", 4, 2**32 - 1), ("align_0", 32, 0), ("channels_0", 22, 1 << 16), ("channels_many", 22, 0xFFFF0001),
    ):  # fmt: skip
        yield name, whole[:offset] + struct.pack("<I", value) + whole[offset + 4 :]
    yield "page", b"<!DOCTYPE html><html><body>Not found</body></html>"
    yield "pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n"
    yield "zip", b"PK\x03\x04" + bytes(200)
    yield "text", b"hello " * 100
    yield "zeros", bytes(10_000)
    yield "random", np.random.default_rng(0).integers(0, 256, 10_000, dtype=np.uint8).tobytes()


def write_nasty(folder: Path, talk: Talk) -> None:
    """Write about 200 recordings."""
    folder.mkdir()
    for name, sound in sounds(talk):
        soundfile.write(folder / f"{name}.wav", sound, 16_000, subtype="FLOAT")
        soundfile.write(folder / f"{name}16.wav", np.clip(sound, -1, 1), 16_000, subtype="PCM_16")
    for name, sound in floats(talk):
        soundfile.write(folder / f"{name}.wav", sound, 16_000, subtype="FLOAT")
    for rate in RATES:
        speech = talk([(0.5, 2.1)], 3, rate, depth=0.97)
        for ending, subtype in ((ending, subtype) for ending, subtypes in SUBTYPES.items() for subtype in subtypes):
            # Vorbis takes at most 200 kHz, MP3 at most 48 kHz.
            if soundfile.check_format(ending, subtype) and not (ending == "mp3" and rate > 48_000):
                soundfile.write(folder / f"{subtype}_{rate}.{ending}", speech, rate, subtype=subtype)
    good = folder / "PCM_16_8000.wav"
    for name, content in damaged(good.read_bytes()):
        (folder / f"{name}.wav").write_bytes(content)
        (folder / f"{name}.mp3").write_bytes(content + name.encode())
        (folder / f"{name}.m4a").write_bytes(content + name.encode() * 2)
    for source, ending in itertools.product(("flac", "ogg", "mp3"), ("wav", "mp3", "flac")):
        if source != ending:
            subtype = SUBTYPES[source][0]
            content = (folder / f"{subtype}_11025.{source}").read_bytes()
            (folder / f"called_{ending}_is_{source}.{ending}").write_bytes(content + ending.encode())
            (folder / f"half_{ending}_is_{source}.{ending}").write_bytes(content[: len(content) // 2])


@pytest.mark.filterwarnings("ignore")
def test_each_recording_is_cut_or_named_and_the_seconds_add_up(tmp_path: Path, talk: Talk) -> None:
    write_nasty(tmp_path / "in", talk)
    paths = {str(path) for path in (tmp_path / "in").iterdir()}
    assert len(paths) > 180
    report = prepare_folder(tmp_path / "in", tmp_path / "out", CutSettings.from_recipe(PrepareRecipe(), 24_000), 1)
    seconds: defaultdict[str, float] = defaultdict(float)
    reasons: defaultdict[str, list[str]] = defaultdict(list)
    for line in (tmp_path / "out/ledger.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        seconds[entry["recording"]] += entry["seconds"]
        reasons[entry["recording"]].append(entry["clip"] if entry["status"] == "clip" else entry["reason"])
        assert "Traceback" not in line
    assert seconds.keys() == paths
    assert all(all(result) for result in reasons.values())
    assert report.kept + sum(report.left_out.values()) == pytest.approx(report.seconds, abs=0.05)
    assert sum(seconds.values()) == pytest.approx(report.seconds, abs=0.05)
    for path, total in seconds.items():
        if total:  # what can be read has its whole length; soundfile counts samples by itself
            try:
                expected = len(soundfile.read(path)[0]) / soundfile.info(path).samplerate
            except soundfile.SoundFileError:
                continue
            assert total == pytest.approx(expected, abs=0.05), path
    clips = sorted((tmp_path / "out").glob("*.wav"))
    assert len(clips) == report.clips > 60
    for clip in clips:
        sound, rate = soundfile.read(clip)
        assert rate == 24_000
        assert np.abs(sound).max() <= MAX_PEAK + 1e-3
