"""The recording decides whether its speech is found by its level or by the network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from vtune.ingest.prepare import CutSettings, PrepareReport, analysis, prepare_folder, settings
from vtune.recipe import PrepareRecipe

RATE = 16_000
SPANS = [(1.0, 5.0), (7.0, 11.5), (14.0, 18.0)]


class KnownVoice:
    """Replaces the network: finds speech at known spans."""

    readings = 0

    def __init__(self, sample_rate: int) -> None:
        KnownVoice.readings += 1

    def add(self, block: np.ndarray) -> None:
        assert block.ndim == 1

    def frames(self, count: int, frame: float, pauses: np.ndarray) -> np.ndarray:
        assert len(pauses) == count
        mask = np.zeros(count, dtype=bool)
        for start, end in SPANS:
            mask[round(start / frame) : round(end / frame)] = True
        return mask


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    monkeypatch.setattr(analysis, "VoiceMeter", KnownVoice)
    monkeypatch.setattr(KnownVoice, "readings", 0)

    def installed(available: bool) -> None:
        monkeypatch.setattr(settings, "find_spec", lambda name: object() if available else None)

    return installed


@pytest.fixture
def folder(tmp_path: Path, talk: Callable[..., np.ndarray]) -> Path:
    """Write the same speech without noise, with noise 10 dB below it, and with chords in its longest pause."""
    (tmp_path / "in").mkdir()
    clean = talk(SPANS, 24, depth=0.97)
    random = np.random.default_rng(0)
    level = float(np.sqrt(np.mean(clean[RATE : 5 * RATE] ** 2)))
    soundfile.write(tmp_path / "in/clean.wav", clean, RATE)
    soundfile.write(tmp_path / "in/noisy.wav", clean + 0.3 * level * random.standard_normal(len(clean)), RATE)
    times = np.arange(4 * RATE) / RATE
    chord = level * np.sin(880 * np.pi * times) * np.exp(-1.5 * (times % 0.5))
    clean[19 * RATE : 23 * RATE] += chord.astype(np.float32)
    soundfile.write(tmp_path / "in/music.wav", clean, RATE)
    return tmp_path / "in"


def prepare(folder: Path, **given: Any) -> tuple[PrepareReport, dict[str, list[dict[str, Any]]]]:
    cutting = CutSettings.from_recipe(PrepareRecipe(**given), RATE)
    report = prepare_folder(folder, folder.parent / "out", cutting, 1)
    clips: dict[str, list[dict[str, Any]]] = {"clean": [], "noisy": [], "music": []}
    for line in (folder.parent / "out/ledger.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if entry["status"] == "clip":
            clips[Path(entry["recording"]).stem].append(entry)
    return report, clips


def test_noise_and_music_are_given_to_the_network(folder: Path, install: Callable[[bool], None]) -> None:
    install(True)
    report, clips = prepare(folder)
    assert (KnownVoice.readings, report.by_network, report.needs_network) == (2, 2, 0)
    assert {name: {entry["speech found by"] for entry in entries} for name, entries in clips.items()} == {
        "clean": {"level"}, "noisy": {"network"}, "music": {"network"}
    }  # fmt: skip
    assert [len(entries) for entries in clips.values()] == [3, 3, 3]
    assert not report.doubts
    assert "2 recordings: the network found the speech (vad)" in report.lines()


def test_without_the_network_doubtful_clips_are_named_and_are_cut_anew_when_it_is_there(
    folder: Path, install: Callable[[bool], None]
) -> None:
    install(False)
    report, clips = prepare(folder)
    assert (KnownVoice.readings, report.by_network, report.needs_network) == (0, 0, 2)
    assert not any(entry["listen first"] for entry in clips["clean"])
    assert all("end of a word" in entry["listen first"] for entry in clips["noisy"])
    assert ["no speech" in (entry["listen first"] or "") for entry in clips["music"]] == [False, False, True]
    assert any("pip install 'vtune-tts[vad]'" in line for line in report.lines())
    assert prepare(folder)[0].done_before == 3
    install(True)
    report, clips = prepare(folder)
    assert (report.done_before, report.by_network) == (1, 2)
    assert len(clips["music"]) == 3
    assert prepare(folder)[0].done_before == 3


@pytest.mark.parametrize(("vad", "readings"), [(True, 3), (False, 0)])
def test_the_recipe_may_decide(folder: Path, install: Callable[[bool], None], vad: bool, readings: int) -> None:
    install(True)
    prepare(folder, vad=vad)
    assert KnownVoice.readings == readings
