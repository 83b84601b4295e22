from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import Result

Vtune = Callable[..., Result]


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    rate = 16_000
    time = np.arange(4 * rate) / rate
    voice = 0.1 * sum(np.sin(2 * np.pi * 140 * n * time + n) / n for n in range(1, 20))
    silence = 1e-4 * np.random.default_rng(0).standard_normal(2 * rate)
    (tmp_path / "raw").mkdir()
    soundfile.write(tmp_path / "raw/talk.wav", np.concatenate([silence, voice, silence, voice, silence]), rate)
    return tmp_path / "raw"


def test_every_flag_of_the_guide(vtune: Vtune, raw: Path, tmp_path: Path) -> None:
    result = vtune(
        "prepare", str(raw), str(tmp_path / "out"), "--sample-rate", "22050", "--min-duration", "1",
        "--max-duration", "5", "--silence-threshold", "-40", "--silence-min-len", "400", "--target-loudness", "-23",
    )  # fmt: skip
    assert result.exit_code == 0
    assert "1 recordings (0.2 min): 2 clips, 0.1 min kept; minutes not kept: pauses 0.1" in result.output
    assert f"the next step is `vtune transcribe {tmp_path / 'out'}`" in result.output
    assert soundfile.info(tmp_path / "out/talk_001.wav").samplerate == 22_050


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--min-duration", "-1"], "-1"), (["--min-duration", "nan"], "min"), (["--sample-rate", "12"], "sample-rate"),
        (["--loudness", "loud"], "loudness"), (["--silence-min-len", "x"], "silence-min-len"),
    ],
)  # fmt: skip
def test_wrong_usage(vtune: Vtune, raw: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    result = vtune("prepare", str(raw), str(tmp_path / "out"), *arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "out").exists()


def test_mistakes_are_a_line(vtune: Vtune, raw: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    for arguments, message in (
        ([str(tmp_path / "rwa"), out], "does not exist"),
        ([str(raw), str(raw)], "is the folder of the recordings"),
        ([str(raw), out, "--min-duration", "5", "--max-duration", "4"], "the longest must be above the shortest"),
    ):
        result = vtune("prepare", *arguments)
        assert result.exit_code == 1
        assert result.output.startswith("Error: ")
        assert message in result.output
        assert len(result.output.splitlines()) == 1
