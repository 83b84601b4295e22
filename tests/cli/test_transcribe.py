"""``vtune transcribe``: its options, its summary, and mistakes of users."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a tiny random model of openai-whisper."""
    from whisper.model import ModelDimensions, Whisper

    torch.manual_seed(0)
    dims = ModelDimensions(80, 1500, 16, 2, 1, 51865, 32, 16, 2, 1)
    whisper = Whisper(dims)
    for weight in whisper.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    path = tmp_path_factory.mktemp("model") / "tiny.pt"
    torch.save({"dims": vars(dims), "model_state_dict": whisper.state_dict()}, path)
    return path


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    root = tmp_path / "clips"
    root.mkdir()
    times = np.arange(16_000) / 16_000
    for number in range(3):
        noise = np.random.default_rng(number).normal(0, 0.2, len(times))
        soundfile.write(root / f"clip_{number:03d}.wav", noise * np.clip(np.sin(31 * times), 0, None) ** 2, 16_000)
    soundfile.write(root / "silence.wav", np.zeros(16_000), 16_000)
    (root / "broken.wav").write_bytes(b"RIFF")
    return root


def arguments(root: Path, model: Path, *more: str) -> list[str]:
    return ["transcribe", str(root), "--model", str(model), "--device", "cpu", *more]


def test_a_folder_is_transcribed_once(vtune: Callable, clips: Path, model: Path) -> None:
    result = vtune(*arguments(clips, model))
    assert result.exit_code == 0, result.output
    assert "5 recordings" in result.output
    assert "have red flags" in result.output
    assert "silence.wav: there are only 0.00 s of speech" in result.output
    assert "broken.wav" in result.output
    with (clips / "transcript.csv").open(newline="", encoding="utf-8") as file:
        names = [row["filename"] for row in csv.DictReader(file)]
    assert set(names) <= {"clip_000", "clip_001", "clip_002"}
    again = vtune(*arguments(clips, model))
    assert again.exit_code == 0
    assert "recognised in this run" not in again.output or "broken" in again.output


def test_limit_and_output(vtune: Callable, clips: Path, model: Path, tmp_path: Path) -> None:
    result = vtune(*arguments(clips, model, "--limit", "2", "--output", str(tmp_path / "words.csv")))
    assert result.exit_code == 0
    assert "3 recordings are left for another run because of --limit" in result.output
    assert (tmp_path / "words.csv").is_file()
    assert not (clips / "transcript.csv").exists()


def test_check_compares_a_table_with_what_is_heard(vtune: Callable, clips: Path, model: Path) -> None:
    table = clips / "transcripts.csv"
    table.write_text("filename,text\nclip_000,hello there\nsilence,nobody says this\nlost,x\n")
    before = table.read_bytes()
    for _ in range(2):
        result = vtune(*arguments(table, model, "--check"))
        assert result.exit_code == 0, result.output
        assert "2 rows checked: CER " in result.output
        assert "not checked" in result.output
    assert table.read_bytes() == before
    with (clips / "check.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["cer"]) for row in rows] == sorted((float(row["cer"]) for row in rows), reverse=True)


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--device", "tpu"], 2, "Invalid value for '--device'"),
        (["--backend", "ears"], 1, "there is no recogniser 'ears' (recognisers: whisper, "),
        (["--limit", "0"], 2, "Invalid value for '--limit'"),
        (["--language", "e"], 2, "language: "),
        (["--model", ""], 2, "model: "),
        (["--model", "nowhere.pt"], 1, "there is no whisper model 'nowhere.pt'"),
        (["--language", "xx"], 1, "does not know language 'xx'"),
        (["--output", "words.txt"], 1, "ends in .csv"),
    ],
)
def test_mistakes_are_one_line(
    vtune: Callable, clips: Path, model: Path, more: list[str], code: int, message: str
) -> None:
    result = vtune(*arguments(clips, model, *more))
    assert result.exit_code == code
    assert message in result.stderr
    if code == 1:
        assert len(result.stderr.strip().splitlines()) == 1


def test_a_folder_whose_name_is_no_plain_text_is_said_on_one_line(
    vtune: Callable, clips: Path, model: Path, tmp_path: Path
) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\nb\xff"))
    assert len(vtune(*arguments(odd, model)).stderr.strip().splitlines()) == 1
    clips.rename(odd)
    result = vtune(*arguments(odd, model))
    assert result.exit_code == 0
    assert "a\\nb\\udcff/transcript.csv" in result.output


@pytest.mark.parametrize(("name", "message"), [("nowhere", "is not a folder"), ("", "DIR is empty")])
def test_a_folder_that_is_none(vtune: Callable, tmp_path: Path, model: Path, name: str, message: str) -> None:
    result = vtune(*arguments(tmp_path / name if name else Path(), model)) if name else vtune("transcribe", "")
    assert result.exit_code in (1, 2)
    assert message in result.stderr
