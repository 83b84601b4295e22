from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from safetensors.torch import load_file, save_file

from vtune.errors import DataError, VoiceError
from vtune.evaluation.compare import Comparison, compare, contestants, gather_test_set, recipe_of
from vtune.runtime.paths import VoiceFolder


def compared(ann: VoiceFolder, *names: str, texts: tuple[str, ...] = (), overrides: tuple[str, ...] = ()) -> Comparison:
    recipe = recipe_of(ann, overrides)
    several = contestants(names, ann.path.parent, recipe.folders.runs)
    return compare("ann", several, gather_test_set(ann, recipe, texts), recipe, names[0], device="cpu")


def test_sound_scores_page_and_summary_lie_in_one_folder(ann: VoiceFolder, tmp_path: Path) -> None:
    comparison = compared(ann, "base", "ann", "ann@4", texts=("one", "two words"))
    comparison.write(tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [
        "ann_1_base_01.wav", "ann_1_base_02.wav", "ann_2_lora_01.wav", "ann_2_lora_02.wav", "ann_3_ann-4_01.wav",
        "ann_3_ann-4_02.wav", "ann_comparison_summary.txt", "listen.html", "scores.json",
    ]  # fmt: skip
    utterance = next(
        utterance
        for utterance in comparison.evaluation.utterances
        if (utterance.system, utterance.text) == ("ann", "two words")
    )
    sound, rate = soundfile.read(tmp_path / "out" / "ann_2_lora_02.wav", dtype="float32")
    assert rate == utterance.sample_rate
    assert np.allclose(sound, utterance.waveform, atol=1e-4)
    summary = (tmp_path / "out" / "ann_comparison_summary.txt").read_text()
    assert all(name in summary for name in names if name.endswith(".wav"))
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert (scores["systems"], scores["baseline"]) == (["base", "ann", "ann@4"], "base")


def test_held_out_words_are_said_where_none_are_given(ann: VoiceFolder) -> None:
    comparison = compared(ann, "base", "ann", overrides=("evaluate.clips=2", "evaluate.seeds=2"))
    test_set = comparison.evaluation.test_set
    assert len(test_set.texts) == 2
    assert [clip.text for clip in test_set.clips] == test_set.texts
    assert "this is sentence number 0" in test_set.train_texts
    assert len(comparison.evaluation.utterances) == 2 * 2 * 2
    assert "duration_ratio" in {score.spec.name for score in comparison.evaluation.scores.scores}


def test_only_the_voice_speaks_trained_words_and_they_are_no_files(ann: VoiceFolder, tmp_path: Path) -> None:
    comparison = compared(ann, "base", "ann", texts=("one",), overrides=("evaluate.train_sentences=2",))
    assert comparison.evaluation.scores.systems == ["base", "ann", "ann on training sentences"]
    comparison.write(tmp_path / "out")
    assert len(list((tmp_path / "out").glob("*.wav"))) == 2


def test_seeds_have_files_of_their_own(ann: VoiceFolder, tmp_path: Path) -> None:
    compared(ann, "ann", texts=("one",), overrides=("evaluate.seeds=2", "evaluate.seed=7")).write(tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").glob("*.wav")} == {
        "ann_1_lora_01_seed7.wav",
        "ann_1_lora_01_seed8.wav",
    }


def test_a_comparison_takes_the_place_of_the_last_and_of_nothing_else(ann: VoiceFolder, tmp_path: Path) -> None:
    comparison = compared(ann, "ann", texts=("one",))
    for _ in range(2):
        comparison.write(tmp_path / "out")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("x")
    with pytest.raises(VoiceError, match="is not empty and holds no comparison"):
        comparison.write(tmp_path / "other")
    assert (tmp_path / "other" / "mine.txt").read_text() == "x"


def test_a_voice_alone_needs_words(ann: VoiceFolder) -> None:
    with pytest.raises(DataError, match=r"no clip is held out in .*; name recordings .*, or give texts"):
        gather_test_set(ann, recipe_of(ann, ["~evaluate.source"]))
    assert gather_test_set(ann, recipe_of(ann, ["evaluate.source=gone"]), ["words"]).texts == ["words"]


def test_a_voice_without_a_recipe_says_so(ann: VoiceFolder) -> None:
    ann.recipe.unlink()
    with pytest.raises(VoiceError, match="holds no recipe"):
        recipe_of(ann)


def test_a_dead_adapter_is_named(ann: VoiceFolder) -> None:
    adapter = ann.path / "adapter_model.safetensors"
    save_file({name: 0 * tensor for name, tensor in load_file(adapter).items()}, adapter)
    lines = compared(ann, "base", "ann", texts=("one", "two")).table()
    assert lines[-1] == "base and ann sound exactly the same: the training changed nothing that can be heard"


def test_the_table_has_everybody_beside_each_other(ann: VoiceFolder) -> None:
    lines = compared(ann, "base", "ann").table()
    assert lines[0].split()[:3] == ["base", "ann", "recording"]
    assert "delivery:" in lines
    row = next(line for line in lines if line.strip().startswith("duration_ratio: "))
    assert len([cell for cell in row.split("  ") if cell.strip()]) >= 3
