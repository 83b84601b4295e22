from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml
from click.testing import Result


@pytest.fixture
def voice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speech: Callable[..., Path], vtune: Callable[..., Result]
) -> Path:
    monkeypatch.chdir(tmp_path)
    recipe = {
        "voice": "ann", "engine": "toy", "data": [{"source": str(speech())}],
        "train": {"epochs": 1, "batch_size": 4, "learning_rate": 1e-2, "validation": 0},
        "evaluate": {
            "sentences": [], "metrics": ["delivery"], "source": str(speech("held", 3, first=50)),
            "checkpoint_sentences": 0,
            "train_sentences": 0,
        },
    }  # fmt: skip
    Path("r.yaml").write_text("# x\n" + yaml.safe_dump(recipe))
    assert vtune("run", "r.yaml").exit_code == 0
    return Path("voices/ann")


def test_evaluate_scores_a_voice_against_its_base(vtune: Callable[..., Result], voice: Path) -> None:
    result = vtune("evaluate", "ann", "evaluate.clips=2", "--device", "cpu")
    assert result.exit_code == 0
    assert "duration_ratio: length divided by the recording's" in result.output
    assert f"to listen, open {voice / 'evaluation' / 'listen.html'}" in result.output
    scores = json.loads((voice / "evaluation" / "scores.json").read_text())
    assert (scores["systems"], len(scores["texts"])) == (["base", "ann"], 2)


def test_evaluate_hears_others_and_other_words(vtune: Callable[..., Result], voice: Path) -> None:
    Path("lines.txt").write_text("first line\n\nsecond line\n")
    result = vtune("evaluate", "ann", "--texts", "lines.txt", "--against", "ann@2", "--out", "there", "--device", "cpu")
    assert result.exit_code == 0
    scores = json.loads(Path("there/scores.json").read_text())
    assert scores["systems"] == ["base", "ann", "ann@2"]
    assert scores["texts"] == ["first line", "second line"]


def test_scores_of_a_voice_do_not_get_into_another_that_took_its_place(
    vtune: Callable[..., Result], voice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vtune.evaluation import compare as comparing

    def compare(*arguments: Any, **settings: Any) -> Any:
        voice.rename("aside")
        shutil.copytree("aside", voice)
        return made(*arguments, **settings)

    made = comparing.compare
    monkeypatch.setattr(comparing, "compare", compare)
    result = vtune("evaluate", "ann", "evaluate.clips=2", "--device", "cpu")
    assert result.exit_code == 1
    assert "Error: voices/ann: the voice was replaced during the evaluation; evaluate it again" in result.output
    assert not (voice / "evaluation").exists()
    assert [path.name for path in Path("voices").iterdir()] == ["ann"]


def test_compare_writes_the_files_of_each(vtune: Callable[..., Result], voice: Path) -> None:
    assert vtune("compare", "ann", "--text", "hello you", "--device", "cpu").exit_code == 0
    assert {path.name for path in Path("comparison").glob("*.wav")} == {"ann_1_base_01.wav", "ann_2_lora_01.wav"}


def test_compare_hears_a_recording_as_a_prompt(vtune: Callable[..., Result], voice: Path) -> None:
    soundfile.write("clip.wav", 0.2 * np.sin(np.arange(8_000) / 4), 8_000)
    result = vtune("compare", "ann", "prompt:clip.wav", "--text", "hello", "--out", "c", "--device", "cpu")
    assert result.exit_code == 0
    assert Path("c/ann_2_clip_01.wav").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["compare"], 2, "Missing argument"),
        (["compare", "amn", "--text", "x"], 1, "did you mean 'ann'"),
        (["compare", "base", "--text", "x"], 1, "name a voice: base is no voice but a base"),
        (["evaluate", "ann", "evaluate.clip=2"], 1, "did you mean 'clips'"),
        (["evaluate", "ann", "clips"], 2, "neither key=value nor ~key"),
        (["evaluate", "ann", "evaluate.metrics=[werr]"], 1, "there is no metric 'werr'"),
    ],
)
def test_mistakes_are_one_line(
    vtune: Callable[..., Result], voice: Path, arguments: list[str], code: int, message: str
) -> None:
    result = vtune(*arguments)
    assert (result.exit_code, message in result.output) == (code, True), result.output


def test_voices_and_their_checkpoints_are_listed(vtune: Callable[..., Result], voice: Path) -> None:
    """As the tools of index-tts's fork list speakers; what is listed can be compared."""
    result = vtune("compare", "--list-speakers")
    assert result.exit_code == 0
    (line,) = result.output.splitlines()
    assert line.split()[:3] == ["ann", "toy", "lora"]
    assert "ann@2" in line.split()
    Path("empty").mkdir()
    assert vtune("compare", "--list-speakers", "--voices", "empty").output.startswith("no voices in empty")
    nothing = vtune("compare")
    assert nothing.exit_code == 2
    assert "Missing argument 'NAME...'; --list-speakers lists what can be compared" in nothing.output
