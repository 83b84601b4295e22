"""hibari through the real pipeline: recordings to a voice that speaks, is merged, mixed and exported."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from small_hibari import ALIGN_ANYTHING

from vtune import VoiceError, load_recipe, pipeline
from vtune.export.export import export
from vtune.export.merge import merge_voice
from vtune.runtime.paths import VoiceFolder
from vtune.voice_format.record import read_record
from vtune.voices.mixing import open_named
from vtune.voices.speech import open_voice
from vtune_hibari.export import graph, onnx_target

pytest.importorskip("hibari")
pytest.importorskip("onnx")

TEXT = "Hello there. And one more sentence, of the house."


@pytest.fixture
def run(tmp_path: Path, small_onnx: Path, speech: Callable[..., Path]) -> Callable[..., VoiceFolder]:
    folder = speech(count=4, rate=24_000, shortest=2.0)

    def make(**sections: Any) -> VoiceFolder:
        train = sections.pop("train", {})
        content = {
            "voice": "someone",
            "engine": "hibari",
            "engine_options": {"base_model": str(small_onnx), **ALIGN_ANYTHING, **sections.pop("engine_options", {})},
            "data": [{"source": str(folder)}],
            "folders": {"runs": str(tmp_path / "runs"), "voices": str(tmp_path / "voices")},
            "train": {"epochs": 1, "batch_size": 3, "learning_rate": 1e-2, "validation": 0, **train},
            "evaluate": {"sentences": ["Hello there."], "clips": 0, "metrics": ["delivery"]},
            "consent": {"person": "Anna Example", "statement": "She agreed in writing."},
            **sections,
        }  # fmt: skip
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(content))
        (voice,) = pipeline.run(load_recipe(path))
        return voice

    return make


def spoken(voice: Any, text: str = TEXT, **settings: Any) -> np.ndarray:
    return np.concatenate([piece.waveform for piece in voice.stream(text, **settings)])


def test_a_voice_is_made_opened_merged_mixed_and_exported(run: Callable[..., VoiceFolder], tmp_path: Path) -> None:
    folder = run()
    voice = open_voice(folder)
    assert np.array_equal(spoken(voice, seed=1), spoken(open_voice(folder), seed=1))
    assert not np.array_equal(spoken(voice), spoken(voice, untuned=True))

    assert merge_voice(folder, tmp_path / "merged") < 1e-3
    second = run(voice="second", engine_options={"base_model": str(tmp_path / "merged")})
    untuned = spoken(open_voice(second), seed=2, untuned=True)
    assert np.allclose(untuned, spoken(voice, seed=2), atol=1e-3)

    third = run(voice="third", train={"seed": 5})
    mix = open_named("0.5*someone+0.5*third", folder.path.parent)
    assert len(spoken(mix)) > 1000
    assert third.path.is_dir()

    exported = export(folder, tmp_path / "out", "onnx", device="cpu")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"someone.onnx", "NOTICE", "README.md", "export.json", "voice"} <= names
    assert json.loads((tmp_path / "out" / "export.json").read_text())["target"] == "onnx"
    assert exported.result.compared.difference <= onnx_target.TOLERANCE


def test_nothing_is_kept_of_a_file_with_other_weights(
    run: Callable[..., VoiceFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run()
    right = graph.with_weights

    def louder(template: Path, weights: Any) -> Any:
        return right(template, {name: np.float32(1.1) * weight for name, weight in weights.items()})

    monkeypatch.setattr(graph, "with_weights", louder)
    with pytest.raises(VoiceError, match="what was written gives other numbers than the voice"):
        export(folder, tmp_path / "out", "onnx", device="cpu")
    assert not (tmp_path / "out").exists()


def test_a_fully_tuned_voice_has_all_that_it_needs(run: Callable[..., VoiceFolder], tmp_path: Path) -> None:
    folder = run(train={"method": "full", "learning_rate": 1e-3})
    assert not np.array_equal(spoken(open_voice(folder)), spoken(open_voice(folder, untuned=True)))
    assert read_record(folder).method == "full"
    export(folder, tmp_path / "out", "onnx", device="cpu")
    assert (tmp_path / "out" / "someone.onnx").is_file()


def test_the_voice_keeps_its_lexicon(run: Callable[..., VoiceFolder], tmp_path: Path) -> None:
    lexicon = tmp_path / "words.yaml"
    lexicon.write_text(yaml.safe_dump({"NVDA": "en vee dee ay"}))
    folder = run(engine_options={"lexicon": str(lexicon)})
    lexicon.unlink()
    voice = open_voice(folder)
    assert np.array_equal(spoken(voice, "Ask NVDA."), spoken(voice, "Ask en vee dee ay."))
    assert read_record(folder).engine_options["lexicon"]["NVDA"] == "en vee dee ay"
