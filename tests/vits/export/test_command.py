"""``vtune export --to piper`` from a trained voice to files, with the card and the records; or nothing at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import yaml

from vtune import VoiceError, load_recipe, pipeline
from vtune.export.export import export
from vtune.runtime.paths import VoiceFolder
from vtune_vits.export import piper

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, letters: Path) -> VoiceFolder:
    """A voice that has learned from three clips for one step."""
    root = tmp_path_factory.mktemp("run")
    (root / "clips").mkdir()
    rows = ["filename,text"]
    for number in range(3):
        sound = np.random.default_rng(number).normal(0, 0.05, 33_000)
        soundfile.write(root / "clips" / f"{number}.wav", sound, 22_050)
        rows.append(f"{number}.wav,hello there")
    (root / "clips" / "transcript.csv").write_text("\n".join(rows))
    recipe = {
        "voice": "anna",
        "engine": "vits",
        "engine_options": {"base_model": str(letters), "discriminator_narrowing": 16},
        "data": [{"source": str(root / "clips")}],
        "folders": {"runs": str(root / "runs"), "voices": str(root / "voices")},
        "lora": {"rank": 4, "alpha": 8},
        "train": {"epochs": 1, "batch_size": 3, "learning_rate": 1e-2, "validation": 0},
        "evaluate": {"sentences": ["hello there", "one more line"], "clips": 0, "metrics": ["delivery"]},
        "consent": {"person": "Anna Example", "statement": "She agreed in writing."},
    }
    (root / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    (voice,) = pipeline.run(load_recipe(root / "recipe.yaml"))
    return voice


@pytest.mark.parametrize("target", ["piper", "piper-int8"])
def test_a_trained_voice_is_exported_with_its_card_and_records(
    folder: VoiceFolder, target: str, tmp_path: Path
) -> None:
    exported = export(folder, tmp_path / "out", target, device="cpu")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    # The base reads letters, so there is nothing for sherpa-onnx; its vocoder is of Piper's quality "high".
    graph = "eng-anna-high.onnx"
    assert {graph, f"{graph}.json", "MODEL_CARD", "README.md", "export.json", "voice"} <= names
    assert "tokens.txt" not in names
    assert "Anna Example. She agreed in writing." in (tmp_path / "out" / "MODEL_CARD").read_text()
    assert json.loads((tmp_path / "out" / "export.json").read_text())["target"] == target
    assert exported.result.compared.difference < (1e-3 if target == "piper" else 5e-3)


def test_piper_speaks_the_trained_voice(folder: VoiceFolder, tmp_path: Path) -> None:
    piper_tts = pytest.importorskip("piper")
    export(folder, tmp_path / "out", "piper", device="cpu")
    (path,) = (tmp_path / "out").glob("*.onnx")
    (chunk,) = piper_tts.PiperVoice.load(path).synthesize("Hello there")
    assert chunk.sample_rate == 22_050
    assert np.isfinite(chunk.audio_float_array).all()
    assert len(chunk.audio_float_array) > 1000


def test_nothing_is_kept_of_a_file_that_sounds_otherwise(
    folder: VoiceFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_adapter(voice: Any) -> Any:
        network = voice.base.new_network()
        with torch.no_grad():
            network.decoder.conv_pre.weight.mul_(1.1)
        return network

    monkeypatch.setattr(piper, "with_own_speaker_first", without_adapter)
    with pytest.raises(VoiceError, match="what was written gives other numbers than the voice"):
        export(folder, tmp_path / "out", "piper", device="cpu")
    assert not (tmp_path / "out").exists()
    assert list(tmp_path.iterdir()) == []
