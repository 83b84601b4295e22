"""Cutting and transcribing on several ranks leave the same files as on one, also after a rank has died."""

from __future__ import annotations

import json
import os
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from rank_threads import on_ranks, rank_of_thread

from vtune import audio
from vtune.errors import DataError
from vtune.ingest.prepare import CutSettings, cut_share, prepare_folder
from vtune.ingest.transcribe import Transcript, recognise_share, transcribe_folder
from vtune.ingest.transcribe.recognise_share import TASK_CLIPS
from vtune.recipe import PrepareRecipe
from vtune.recipe.data_sections import TranscribeRecipe
from vtune.runtime.distributed import shared_files
from vtune.runtime.distributed.rank_pool import RankPool

RATE = 8_000
CLIPS = 3 * TASK_CLIPS + 2
CUTTING = CutSettings.from_recipe(PrepareRecipe(min_seconds=0.5), RATE)
HEARING = TranscribeRecipe(model="fake", device="cpu")


class Killed(BaseException):
    """Stands for SIGKILL: nothing of the rank runs afterwards."""


class Listener:
    """Hears words that depend on the sound alone."""

    batch = 4

    def transcribe(self, sounds: Sequence[np.ndarray]) -> list[Transcript]:
        return [Transcript(f"sound {zlib.crc32(sound.tobytes())}", "en", 0.9, -0.2, 0.01) for sound in sounds]


@pytest.fixture(autouse=True)
def listener(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognise_share, "open_recogniser", lambda _: Listener())


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Write one long recording and six short ones, each a voice-like tone between pauses; one file is no recording."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number, utterances in enumerate((6, 1, 1, 2, 1, 1, 1)):
        soundfile.write(folder / f"r{number}.wav", _tones(utterances, number), RATE)
    (folder / "broken.wav").write_bytes(b"RIFF")
    return folder


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    for number in range(CLIPS):
        soundfile.write(folder / f"c{number:03d}.wav", _tones(1, number)[RATE // 4 : RATE * 2], RATE)
    return folder


def _tones(utterances: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    time = np.arange(2 * RATE) / RATE
    envelope = 1 + 0.5 * np.sin(2 * np.pi * 4 * time)
    voice = 0.1 * envelope * sum(np.sin(2 * np.pi * (120 + seed) * n * time) / n for n in range(1, 12))
    pause = np.zeros(RATE)
    sound = np.concatenate([pause, *(part for _ in range(utterances) for part in (voice, pause))])
    return np.asarray(sound + 1e-4 * random.standard_normal(len(sound)), dtype=np.float32)


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def cut(source: Path, out: Path, world_size: int = 1) -> list[str] | None:
    def work(pool: RankPool) -> list[str] | None:
        report = pool.lead(lambda: prepare_folder(source, out, CUTTING, 1, pool))
        return report and report.lines()

    return on_ranks(world_size, work)[0]


def transcribe(folder: Path, world_size: int = 1) -> None:
    on_ranks(world_size, lambda pool: pool.lead(lambda: transcribe_folder(folder, HEARING, pool=pool)))


def kill(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, rank: int, calls: int) -> None:
    """Let a function of a rank work some times, and kill the rank at the next call; the other rank works once first."""
    function, counts, is_dead = getattr(module, name), {0: 0, 1: 0}, threading.Event()

    def call(*arguments: Any) -> Any:
        counts[rank_of_thread()] += 1
        if rank_of_thread() == rank and counts[rank] > calls:
            is_dead.set()
            raise Killed
        if rank_of_thread() != rank and counts[1 - rank] > 1:
            is_dead.wait(20)
        return function(*arguments)

    monkeypatch.setattr(module, name, call)


@pytest.mark.parametrize("dead", [0, 1])
def test_cutting_on_two_ranks_is_cutting_on_one(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dead: int
) -> None:
    """Cutting runs once without an interruption, and once with a rank that is killed in its second recording."""
    lines = cut(recordings, tmp_path / "one")
    straight = contents(tmp_path / "one")
    assert len(straight) == 8 + 8 + 2, "clips, records, ledger and report"
    assert cut(recordings, tmp_path / "two", 2) == lines
    assert contents(tmp_path / "two") == straight
    with monkeypatch.context() as patched:
        kill(patched, cut_share, "prepare_recording", dead, calls=1)
        with pytest.raises(Killed):
            cut(recordings, tmp_path / "killed", 2)
    done = [record["done"] for record in map(json.loads, _records(tmp_path / "killed"))]
    assert any(done)
    assert not all(done)
    cut(recordings, tmp_path / "killed", 2)
    assert contents(tmp_path / "killed") == straight


def _records(out: Path) -> Iterator[str]:
    return (path.read_text() for path in out.glob(".prepared/*.json"))


@pytest.mark.parametrize("dead", [0, 1])
def test_transcribing_on_two_ranks_is_transcribing_on_one(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dead: int
) -> None:
    before = contents(clips)
    transcribe(clips)
    straight = contents(clips)
    assert len(straight) == CLIPS + 2
    assert straight["transcript.csv"].count(b"\n") == CLIPS + 1

    def start_anew() -> None:
        for name in straight.keys() - before.keys():
            (clips / name).unlink()

    start_anew()
    transcribe(clips, 2)
    assert contents(clips) == straight
    start_anew()
    with monkeypatch.context() as patched:
        kill(patched, Listener, "transcribe", dead, calls=5)
        with pytest.raises(Killed):
            transcribe(clips, 2)
    kept_lines = sum(path.read_text().count("\n") for path in clips.glob("*.heard.jsonl"))
    assert kept_lines >= TASK_CLIPS, "what the dead rank has heard is kept"
    transcribe(clips, 1)
    assert contents(clips) == straight


def test_words_that_the_user_changed_survive_a_journal_of_a_dead_rank(clips: Path) -> None:
    """The journal of a rank that was not removed knows less than the journal of the main process."""
    transcribe(clips)
    journal = clips / "transcript.heard.jsonl"
    (clips / "transcript.0a1b2c3d.rank1.heard.jsonl").write_bytes(journal.read_bytes())
    table = clips / "transcript.csv"
    table.write_text(table.read_text().replace("sound ", "corrected ", 1))
    changed = table.read_bytes()
    transcribe(clips)
    assert table.read_bytes() == changed
    assert [path.name for path in clips.glob("*.heard.jsonl")] == [journal.name]


def test_files_that_another_rank_sees_late_are_not_lost(
    recordings: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file is missing for the second rank until the rank has looked three times."""
    cut(recordings, tmp_path / "one")
    straight = contents(tmp_path / "one")
    transcribe(clips)
    table = (clips / "transcript.csv").read_bytes()
    (clips / "transcript.csv").unlink()
    (clips / "transcript.heard.jsonl").unlink()
    looks: dict[str, int] = {}
    exists, digest, read, opened = os.path.exists, audio.digest_of, audio.read, audio.opened

    def late_exists(path: Any) -> bool:
        if rank_of_thread() == 1:
            looks[str(path)] = looks.get(str(path), 0) + 1
            return exists(path) and looks[str(path)] > 3
        return exists(path)

    def late(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *arguments: Any) -> Any:
            if rank_of_thread() == 1 and looks.get(str(path), 0) <= 3:
                raise DataError(f"{path} does not exist")
            return function(path, *arguments)

        return call

    monkeypatch.setattr(shared_files.os.path, "exists", late_exists)
    monkeypatch.setattr(shared_files, "POLL_SECONDS", 0.001)
    for name, function in {"digest_of": digest, "read": read, "opened": opened}.items():
        monkeypatch.setattr(audio, name, late(function))
    cut(recordings, tmp_path / "two", 2)
    assert contents(tmp_path / "two") == straight
    transcribe(clips, 2)
    assert (clips / "transcript.csv").read_bytes() == table
    assert {Path(path).parent for path in looks} >= {recordings, clips, tmp_path / "two/.prepared"}
