from __future__ import annotations

import json
from pathlib import Path

import pytest

from vtune.errors import VoiceError
from vtune.evaluation import MetricSpec, Score, Scores, read_scores
from vtune.runtime.paths import write_json

SCORES = Scores(
    ["hello", "there"],
    [0],
    ["voice", "base"],
    "base",
    [
        Score(
            "text",
            MetricSpec("wer", "wrong words", "low", "%", True),
            {"voice": 0.1},
            {"voice": (-0.2, 0.05)},
            {"a": 1.0},
        ),
        Score("pitch", MetricSpec("median", "pitch", "neither", "Hz"), {"base": 120.5}, {}),
    ],
    [{"system": "voice", "text": "hello", "specs": {"wer": 0.1}}],
    {"voice": "no Resemblyzer"},
)


def test_scores_come_back_as_they_were(tmp_path: Path) -> None:
    write_json(tmp_path / "scores.json", SCORES.settings())
    back = read_scores(tmp_path / "scores.json")
    assert back == SCORES
    assert back["wer"].difference("voice") == SCORES["wer"].difference("voice")
    assert back.columns == ["voice", "base", "a"]


def test_a_voice_that_was_never_scored_has_none(tmp_path: Path) -> None:
    assert read_scores(tmp_path / "scores.json") == Scores()


@pytest.mark.parametrize(
    "damage",
    [
        b"", b"{", b"[]", b"null", b"\xff", b"{}", b"[" * 100_000,
        json.dumps({**SCORES.settings(), "scores": [{}]}).encode(),
        json.dumps({**SCORES.settings(), "scores": 3}).encode(),
        json.dumps({**SCORES.settings(), "a_field_of_tomorrow": 3}).encode(),
    ],
)  # fmt: skip
def test_damage_is_one_line(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "scores.json"
    path.write_bytes(damage)
    with pytest.raises(VoiceError) as caught:
        read_scores(path)
    assert str(caught.value).startswith(f"{path} is damaged: ")
    assert len(str(caught.value).splitlines()) == 1


def test_another_version_is_told(tmp_path: Path) -> None:
    write_json(tmp_path / "scores.json", {**SCORES.settings(), "version": 1})
    with pytest.raises(VoiceError, match="another version of vtune"):
        read_scores(tmp_path / "scores.json")
