from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile


@pytest.fixture
def folder(tmp_path: Path, make_voice) -> Path:
    voices = tmp_path / "voices"
    make_voice(voices / "anna", seed=1, consent={"person": "Anna", "statement": "Yes."})
    make_voice(voices / "ben", seed=2, lora={"rank": 6})
    return voices


def test_a_mix_speaks_wherever_a_voice_does(vtune, folder, tmp_path):
    for name, voice in (("mix", "0.7*anna + 0.3*ben"), ("again", "0.3*ben+0.7*anna"), ("anna", "anna"), ("ben", "ben")):
        out = str(tmp_path / f"{name}.wav")
        result = vtune("say", voice, "Hello there.", "--out", out, "--voices", str(folder))
        assert result.exit_code == 0, result.output
        assert result.output.startswith(f"{out}: ")
    sounds = {name: soundfile.read(tmp_path / f"{name}.wav")[0] for name in ("mix", "again", "anna", "ben")}
    assert np.array_equal(sounds["mix"], sounds["again"])
    assert not np.array_equal(sounds["mix"], sounds["anna"])
    assert not np.array_equal(sounds["mix"], sounds["ben"])


def test_a_mix_is_written_listed_and_speaks_by_its_name(vtune, folder, tmp_path):
    result = vtune("mix", "0.7*anna+0.3*ben", "--name", "both", "--voices", str(folder))
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{folder / 'both'}: 2 voices, rank 10, no consent stated\n"
    line = next(line for line in vtune("voices", "--voices", str(folder)).output.splitlines() if "both" in line)
    assert line.split() == ["both", "toy", "lora", "2", "mixed", "no", "consent", "stated"]
    rows = json.loads(vtune("voices", "--voices", str(folder), "--json").output)
    (row,) = [row for row in rows if row["name"] == "both"]
    assert [(part["voice"], part["weight"]) for part in row["mix"]["parts"]] == [("anna", 0.7), ("ben", 0.3)]
    for name, voice in (("written", "both"), ("named", "0.7*anna+0.3*ben")):
        vtune("say", voice, "Hello there.", "--out", str(tmp_path / f"{name}.wav"), "--voices", str(folder))
    written, named = (soundfile.read(tmp_path / f"{name}.wav")[0] for name in ("written", "named"))
    assert np.array_equal(written, named)


def test_a_rank_says_what_it_leaves_out(vtune, folder):
    result = vtune("mix", "anna+ben", "--name", "both", "--rank", "3", "--voices", str(folder))
    assert result.exit_code == 0, result.output
    record = json.loads((folder / "both" / "voice.json").read_text())
    assert record["lora"]["rank"] == 3
    assert 0.1 < record["mix"]["error"] < 1
    assert f"rank 3 of 10, {record['mix']['error']:.1%} left out" in result.stdout


def test_a_fully_fine_tuned_voice_is_turned_down(vtune, folder, make_voice):
    make_voice(folder / "whole", seed=3, method="full")
    result = vtune("mix", "0.7*whole", "--name", "softer", "--voices", str(folder))
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{folder / 'softer'}: 1 voice, every weight of the network, no consent stated\n"
    result = vtune("mix", "0.7*whole", "--name", "other", "--rank", "4", "--voices", str(folder))
    assert result.exit_code == 1
    assert result.stderr == "Error: voice 'whole' was fully fine-tuned, so its mix has no rank; leave out --rank 4\n"


def test_options_are_kept_in_the_mix(vtune, folder):
    vtune("mix", "0.5*anna+0.5*ben", "--name", "both", "--set", "pitch=110", "--voices", str(folder))
    assert json.loads((folder / "both" / "voice.json").read_text())["engine_options"]["pitch"] == 110


@pytest.mark.parametrize(
    ("mix", "name", "message"),
    [
        ("0.7*anna+0.3*bne", "both", "Error: mix '0.7*anna+0.3*bne', character 14: no voice 'bne' in "),
        ("0.7*anna+*ben", "both", "Error: mix '0.7*anna+*ben', character 10: a name is missing\n"),
        ("anna+ben", "anna", "anna exists already; "),
        ("anna+ben", "a b", "Error: a voice cannot be named 'a b'; "),
    ],
)
def test_a_mistake_is_one_line(vtune, folder, mix, name, message):
    before = sorted(folder.iterdir())
    result = vtune("mix", mix, "--name", name, "--voices", str(folder))
    assert result.exit_code == 1
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("arguments", [["anna+ben"], ["--name", "both"], ["anna+ben", "--name", "x", "--rank", "0"]])
def test_arguments_that_are_missing_or_wrong_exit_2(vtune, folder, arguments):
    assert vtune("mix", *arguments, "--voices", str(folder)).exit_code == 2


def test_saying_a_mix_of_nobody_is_one_line(vtune, folder, tmp_path):
    result = vtune("say", "0.5*anna+0.5*bne", "Hello.", "--out", str(tmp_path / "x.wav"), "--voices", str(folder))
    assert result.exit_code == 1
    assert "character 14: no voice 'bne'" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "x.wav").exists()
