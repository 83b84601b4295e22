from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

FAST = ("--no-speakers", "--processes", "1")


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    """Write two clips whose level rises and falls like syllables; the second clip has an offset."""
    folder = tmp_path / "data"
    folder.mkdir()
    times = np.arange(3 * 24_000) / 24_000
    rows = ["filename,text"]
    for number, offset in enumerate((0.0, 0.05)):
        swell = np.maximum(0, np.sin(2 * np.pi * (1.3 + 0.2 * number) * times - 0.6))
        tone = sum(np.sin(2 * np.pi * (180 + 20 * number) * k * times) / k for k in range(1, 30))
        noise = np.random.default_rng(number).normal(0, 1e-4, len(times))
        soundfile.write(folder / f"c{number}.wav", 0.08 * tone * swell + noise + offset, 24_000)
        rows.append(f"c{number},it says {'this' if number else 'that'} and a little more than so")
    (folder / "transcripts.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_it_says_what_is_wrong_and_where(vtune, voice):
    result = vtune("doctor", str(voice), *FAST)
    assert result.exit_code == 0
    assert "2 rows" in result.output
    assert "transcripts.csv:3 c1.wav: the waveform is centred on +0.050 of full scale" in result.output
    assert vtune("doctor", str(voice), "--strict", *FAST).exit_code == 1


def test_errors_are_exit_code_1(vtune, voice):
    (voice / "c0.wav").write_bytes(b"")
    result = vtune("doctor", str(voice), *FAST)
    assert result.exit_code == 1
    assert "error unreadable" in result.output


def test_json_alone_is_on_stdout(vtune, voice, tmp_path):
    result = vtune("doctor", str(voice), "--json", "-", *FAST)
    data = json.loads(result.stdout)
    assert data["rows"] == 2
    assert "2 rows" in result.stderr
    vtune("doctor", str(voice), "--json", str(tmp_path / "deep" / "found.json"), *FAST)
    assert json.loads((tmp_path / "deep" / "found.json").read_text()) == data


def test_page_and_copy_are_written(vtune, voice, tmp_path):
    result = vtune("doctor", str(voice), "--html", str(tmp_path / "page.html"), "--fix", str(tmp_path / "fixed"), *FAST)
    assert result.exit_code == 0
    assert "repaired: offset removed (1)" in result.output
    assert "<audio" in (tmp_path / "page.html").read_text()
    assert "offset" not in vtune("doctor", str(tmp_path / "fixed"), *FAST).output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "there is no source 'nowhere'"),
        (["data", "--engine", "none such"], "no engine 'none such'"),
        (["data", "--engine", "toy", "--set", "widht=3"], "engine 'toy': widht: "),
        (["data", "--table", "other.csv"], "has no table 'other.csv'"),
        (["data", "--fix", "data"], "exists already"),
        (["data", "--fix", "data/new"], "lies in the source"),
    ],
)
def test_mistakes_are_one_line(vtune, voice, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    result = vtune("doctor", *arguments, *FAST)
    assert result.exit_code == 1
    assert message in result.stderr
    assert len([line for line in result.stderr.splitlines() if line.startswith("Error")]) == 1


@pytest.mark.parametrize(
    "arguments", [[""], ["data", "--set", "a=1"], ["data", "--validation", "1"], ["data", "--processes", "0"]]
)
def test_misuse_exits_2(vtune, voice, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    assert vtune("doctor", *arguments).exit_code == 2
