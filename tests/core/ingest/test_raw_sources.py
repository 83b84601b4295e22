"""A recipe whose sources are only raw recordings."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from vtune import dataset, pipeline
from vtune.engines import load_engine, load_recipe
from vtune.errors import DataError
from vtune.ingest.raw_sources import find_raw_sources, prepare_clips, prepared_recipe
from vtune.ingest.transcribe import Transcript
from vtune.plan import make_plan
from vtune.recipe import Recipe
from vtune.runtime.paths import RunFolder

RATE = 16_000


class Listener:
    """A recogniser whose words say how long a clip is."""

    batch = 1
    calls = 0

    def transcribe(self, sounds: Sequence[np.ndarray]) -> list[Transcript]:
        Listener.calls += len(sounds)
        return [
            Transcript(f"some words that last about {len(s) // 1600} tenths of a second", language="en", logprob=-0.2)
            for s in sounds
        ]


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from vtune.ingest.transcribe import recognise_share

    monkeypatch.setattr(recognise_share, "open_recogniser", lambda _: Listener())
    monkeypatch.setattr(Listener, "calls", 0)
    source = tmp_path / "raw_audio"
    source.mkdir()
    time = np.arange(4 * RATE) / RATE
    voice = (
        0.1 * (1 + 0.5 * np.sin(2 * np.pi * 4 * time)) * sum(np.sin(280 * np.pi * n * time) / n for n in range(1, 20))
    )
    for name in ("one.wav", "two.flac"):
        random = np.random.default_rng(len(name))
        pause = 1e-4 * random.standard_normal(int(1.5 * RATE))
        parts = [part for _ in range(4) for part in (pause, voice + 1e-4 * random.standard_normal(len(voice)))]
        soundfile.write(source / name, np.concatenate([*parts, pause]), RATE)
    return source


def test_a_folder_of_recordings_is_all_that_a_run_needs(raw: Path, toy: Callable[..., Recipe], tmp_path: Path) -> None:
    recipe = toy(data=[{"source": str(raw)}], prepare={"min_seconds": 3, "max_seconds": 6})
    plan = "\n".join(make_plan(recipe).lines())
    assert "data.0: 2 recordings, 0.8 min, still to be cut and transcribed" in plan
    assert not (tmp_path / "runs").exists()
    (voice,) = pipeline.run(recipe)
    ((_, _, clips),) = find_raw_sources(recipe, RunFolder(tmp_path / "runs/someone"))
    assert len(list(clips.glob("*.wav"))) == 8
    ledger = [json.loads(line) for line in (tmp_path / "runs/someone/ledger.jsonl").read_text().splitlines()]
    assert [entry["status"] for entry in ledger] == ["train"] * 8
    assert ledger[0]["text"].startswith("some words") if "text" in ledger[0] else True
    assert str(raw) in voice.recipe.read_text()  # the recipe of the voice is the user's, not ours
    assert Listener.calls == 8
    made = voice.record.stat().st_mtime_ns
    pipeline.run(recipe)
    assert (Listener.calls, voice.record.stat().st_mtime_ns) == (8, made)
    assert "to be cut" not in "\n".join(make_plan(recipe).lines())


def test_doubtful_words_wait_for_somebody_to_listen(
    raw: Path, toy: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    real_transcribe = Listener.transcribe

    def doubtful(self: Listener, sounds: Sequence[np.ndarray]) -> list[Transcript]:
        first, *rest = real_transcribe(self, sounds)
        return (
            [Transcript("some words that nobody is sure of", logprob=-2.5), *rest]
            if Listener.calls == 1
            else [first, *rest]
        )

    monkeypatch.setattr(Listener, "transcribe", doubtful)
    recipe = toy(data=[{"source": str(raw)}], prepare={"max_seconds": 6})
    pipeline.run(recipe)
    ledger = [json.loads(line) for line in (recipe.folders.runs / "someone/ledger.jsonl").read_text().splitlines()]
    skipped = [entry for entry in ledger if entry["status"] == "skipped"]
    assert len(skipped) == 1
    assert "doubtful words (" in skipped[0]["reason"]
    trusting = toy(data=[{"source": str(raw), "flagged": "use"}], prepare={"max_seconds": 6})
    pipeline.run(trusting)
    ledger = [json.loads(line) for line in (recipe.folders.runs / "someone/ledger.jsonl").read_text().splitlines()]
    assert all(entry["status"] == "train" for entry in ledger)


def test_what_is_raw_and_what_is_not(raw: Path, toy: Callable[..., Recipe], tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    recipe = toy(data=[{"source": str(raw / "one.wav")}, {"source": str(tmp_path / "speech")}, {"source": str(raw)}])
    assert [(index, source) for index, source, _ in find_raw_sources(recipe, run)] == [(0, raw / "one.wav"), (2, raw)]
    assert len({clips for _, _, clips in find_raw_sources(recipe, run)}) == 2
    seen = prepared_recipe(recipe, run)
    assert seen.data[1] == recipe.data[1]
    assert Path(seen.data[0].source).is_relative_to(tmp_path / "run/clips")
    (raw / "one.txt").write_text("it has words")
    assert [index for index, *_ in find_raw_sources(recipe, run)] == []
    with pytest.raises(DataError, match=r"data\.0: there is no source"):
        list(find_raw_sources(toy(data=[{"source": str(tmp_path / "nothing")}]), run))


def test_recordings_without_speech_end_the_run_with_a_line(toy: Callable[..., Recipe], tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    soundfile.write(tmp_path / "raw/silence.wav", np.zeros(10 * RATE), RATE)
    with pytest.raises(
        DataError,
        match=r"data\.0: no clip could be cut from .*; all reasons are in .*ledger\.jsonl, .*: no speech was found",
    ):
        pipeline.run(toy(data=[{"source": str(tmp_path / "raw")}]))


def test_what_vtune_leaves_beside_a_table_is_no_table(speech: Callable[..., Path], tmp_path: Path) -> None:
    from vtune.recipe import SourceRecipe

    folder = speech(count=2)
    for name in ("ledger.jsonl", "review.jsonl", "fixes.jsonl", "check.csv", "transcripts.heard.jsonl"):
        (folder / name).write_text('{"file": "x", "text": "y"}\n')
    assert len(list(dataset.open_source(SourceRecipe(source=str(folder)), tmp_path).rows())) == 2


@pytest.fixture
def project(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with a recipe that names its recordings by relative paths."""
    folder = tmp_path / "project"
    folder.mkdir()
    raw.rename(folder / "raw_audio")
    recipe = {
        "voice": "someone", "engine": "toy", "data": [{"source": "raw_audio"}], "prepare": {"max_seconds": 6},
        "train": {"epochs": 1, "batch_size": 4, "validation": 0, "warmup": 0},
        "evaluate": {"sentences": ["hello there"], "metrics": ["delivery"], "train_sentences": 0},
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    monkeypatch.chdir(folder)
    return folder


def ran(folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> str:
    """Run a project from its folder, and return what it says."""
    monkeypatch.chdir(folder)
    caplog.clear()
    with caplog.at_level(logging.INFO, "vtune"):
        pipeline.run(load_recipe("recipe.yaml"))
    return caplog.text


def correct_first_row(clips: Path) -> None:
    """Write other words into the first row of a table, as a person does."""
    lines = (clips / "transcript.csv").read_text().splitlines()
    name = lines[1].split(",")[0]
    (clips / "transcript.csv").write_text("\n".join([lines[0], f"{name},corrected by hand,", *lines[2:]]) + "\n")


def trained_words(folder: Path) -> list[str]:
    lines = (folder / "runs/someone/ledger.jsonl").read_text().splitlines()
    return [entry["text"] for entry in map(json.loads, lines) if entry["status"] == "train"]


def test_a_moved_project_goes_on_as_if_it_had_stayed(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ran(project, monkeypatch, caplog)
    (clips,) = (project / "runs/someone/clips").iterdir()
    correct_first_row(clips)
    ran(project, monkeypatch, caplog)
    moved = tmp_path / "elsewhere" / "deeper"
    moved.parent.mkdir()
    project.rename(moved)
    record = (moved / "voices/someone/voice.json").read_bytes()
    assert make_plan_text(moved, monkeypatch).count("to be cut") == 0
    log_text = ran(moved, monkeypatch, caplog)
    assert "Features: 0 of " in log_text
    assert "The training is already finished" in log_text
    assert "Voice someone is already finished" in log_text
    assert "clips checked:" not in log_text, "its clips are examined again"
    assert [path.name for path in (moved / "runs/someone/clips").iterdir()] == [clips.name]
    assert Listener.calls == 8, "clips are heard again"
    assert (moved / "voices/someone/voice.json").read_bytes() == record
    assert "corrected by hand" in trained_words(moved)


def make_plan_text(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(folder)
    return "\n".join(make_plan(load_recipe("recipe.yaml")).lines())


@pytest.mark.parametrize("moved", ["the recordings", "the project without them", "the name of the folder"])
def test_clips_are_found_again_by_their_recordings(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: str
) -> None:
    """Clips are also found under the name that they had first, a hash of the recordings' full path."""
    recordings = tmp_path / "recordings"
    if moved == "the project without them":
        (project / "raw_audio").rename(recordings)
        replace_in(project / "recipe.yaml", "raw_audio", str(recordings))
    cut(project, monkeypatch)
    (clips,) = (project / "runs/someone/clips").iterdir()
    correct_first_row(clips)
    match moved:
        case "the recordings":
            (project / "raw_audio").rename(recordings)
            replace_in(project / "recipe.yaml", "raw_audio", str(recordings))
        case "the project without them":
            (tmp_path / "deeper").mkdir()
            project = project.rename(tmp_path / "deeper" / "project")
        case _:
            clips.rename(clips.with_name("raw_audio-0a1b2c3d"))
    cut(project, monkeypatch)
    (clips,) = (project / "runs/someone/clips").iterdir()
    assert Listener.calls == 8
    assert "corrected by hand" in (clips / "transcript.csv").read_text()


def cut(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do the first step of a project's run."""
    monkeypatch.chdir(folder)
    prepare_clips(load_recipe("recipe.yaml"), load_engine("toy").info, RunFolder(Path("runs/someone")))


def replace_in(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new))


def test_clips_of_recordings_that_are_still_there_are_not_taken_for_anothers(
    raw: Path, toy: Callable[..., Recipe], tmp_path: Path
) -> None:
    """One recording may lie in two folders; the clips of the other folder's other recordings are not wanted."""
    run = RunFolder(tmp_path / "runs/someone")
    first = toy(data=[{"source": str(raw)}], prepare={"max_seconds": 6})
    prepare_clips(first, load_engine("toy").info, run)
    (tmp_path / "other").mkdir()
    shutil.copy(raw / "one.wav", tmp_path / "other" / "one.wav")
    second = toy(data=[{"source": str(tmp_path / "other")}], prepare={"max_seconds": 6})
    ((_, _, of_first),), ((_, _, of_second),) = (list(find_raw_sources(changed, run)) for changed in (first, second))
    assert of_first != of_second
    both = toy(data=[{"source": str(raw)}, {"source": str(raw / "one.wav")}])
    assert len({clips for _, _, clips in find_raw_sources(both, run)}) == 2
