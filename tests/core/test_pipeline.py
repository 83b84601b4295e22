"""Recordings become voices, in one process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import yaml
from peft import PeftModel
from safetensors.torch import load_file

import vtune
from vtune import pipeline
from vtune.engines import Engine
from vtune.errors import VoiceError
from vtune.export.merge import merge_voice
from vtune.recipe import Recipe
from vtune.runtime.paths import VoiceFolder
from vtune.voice_format.record import find_voice, list_voices, read_record
from vtune.voices.speech import open_voice


def sound(voice: Any, text: str, **settings: Any) -> np.ndarray:
    return np.concatenate([piece.waveform for piece in voice.stream(text, **settings)])


def test_a_voice_folder_has_everything_and_speaks_alone(toy: Callable[..., Recipe], tmp_path: Path) -> None:
    (folder,) = pipeline.run(toy(consent={"person": "A tone", "statement": "Tones need not be asked."}))
    names = {str(path.relative_to(folder.path)) for path in folder.path.rglob("*") if path.is_file()}
    assert names == {
        "README.md", "adapter_config.json", "adapter_model.safetensors", "conditioning.safetensors", "recipe.yaml",
        "voice.json", "samples/01.wav", "samples/01_base.wav",
    }  # fmt: skip
    moved = folder.path.rename(tmp_path / "elsewhere")
    voice = open_voice(VoiceFolder(moved))
    assert np.array_equal(sound(voice, "hello there", seed=3), sound(voice, "hello there", seed=3))
    assert not np.array_equal(sound(voice, "hello there"), sound(voice, "hello there", untuned=True))


def test_samples_are_what_the_saved_voice_says(toy: Callable[..., Recipe]) -> None:
    """Nothing between training and saving may change the voice, for example the merge that a guard tries."""
    (folder,) = pipeline.run(toy())
    spoken = sound(open_voice(folder), "hello there", seed=0)
    kept, rate = soundfile.read(folder.samples / "01.wav", dtype="float32")
    assert rate == 8000
    np.testing.assert_allclose(kept, spoken, atol=1 / 32000)


def test_a_new_value_of_a_sampling_option_is_used_without_training_or_speaking_again(
    toy: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (folder,) = pipeline.run(toy())
    before, made = sound(open_voice(folder), "hello there"), read_record(folder)
    monkeypatch.setattr("transformers.Trainer.train", lambda *_, **__: pytest.fail("it trains again"))
    monkeypatch.setattr(Engine, "synthesize", lambda *_, **__: pytest.fail("it speaks again"))
    with caplog.at_level("INFO"):
        (folder,) = pipeline.run(toy(engine_options={"pitch": 330.0}))
    monkeypatch.undo()
    assert read_record(folder) == made.model_copy(update={"engine_options": {**made.engine_options, "pitch": 330.0}})
    assert yaml.safe_load(folder.recipe.read_text())["engine_options"]["pitch"] == 330.0
    assert "voice someone: uses pitch=330.0 from now on" in caplog.text
    assert not np.array_equal(sound(open_voice(folder), "hello there"), before)


def test_the_card_says_whose_voice_it_is(toy: Callable[..., Recipe]) -> None:
    (folder,) = pipeline.run(toy(consent={"person": "A tone", "statement": "Tones need not be asked."}))
    card = folder.card.read_text()
    head, body = card.removeprefix("---\n").split("---\n", 1)
    assert yaml.safe_load(head)["pipeline_tag"] == "text-to-speech"
    assert "A tone. Tones need not be asked." in body
    assert "| train | 8 |" in body


def test_a_card_without_consent_warns(toy: Callable[..., Recipe]) -> None:
    (folder,) = pipeline.run(toy())
    assert "**Not stated.**" in folder.card.read_text()


def test_the_ledger_accounts_for_every_clip(
    toy: Callable[..., Recipe], speech: Callable[..., Path], tmp_path: Path
) -> None:
    folder = speech(count=6)
    soundfile.write(folder / "clips" / "extra.wav", np.zeros(8000), 8000)
    (folder / "clips" / "clip_001.wav").write_bytes(b"RIFFnonsense")
    with (folder / "transcripts.csv").open("a") as table:
        table.write("clip_404,no such file\nclip_002,\n")
    (voice,) = pipeline.run(toy(engine_options={"max_frames": 40}))
    lines = [json.loads(line) for line in (tmp_path / "runs/someone/ledger.jsonl").read_text().splitlines()]
    by_name = {(Path(line["audio"]).stem, line["line"]): line for line in lines}
    assert len(lines) == 6 + 2 + 1
    assert "no such recording" in by_name["clip_404", 8]["reason"]
    assert by_name["clip_002", 9]["reason"] == "no words"
    assert "cannot be read" in by_name["clip_001", 3]["reason"]
    assert by_name["extra", None]["reason"] == "no row of transcripts.csv names it"
    assert by_name["clip_003", 5]["reason"] == "45 frames, more than max_frames 40"
    assert by_name["clip_000", 2]["status"] == "train"
    totals = read_record(voice).ledger
    assert sum(totals["clips"].values()) == len(lines)
    assert totals["clips"]["train"] == sum(line["status"] == "train" for line in lines)


def test_several_voices_are_trained_at_once(toy: Callable[..., Recipe], speech: Callable[..., Path]) -> None:
    sources = [
        {"source": str(speech("alice", count=4)), "voice": "alice", "weight": 2.0},
        {"source": str(speech("bob", count=4, first=50)), "voice": "bob"},
    ]
    folders = pipeline.run(toy(data=sources))
    assert [folder.name for folder in folders] == ["alice", "bob"]
    alice, bob = (load_file(folder.path / "adapter_model.safetensors") for folder in folders)
    assert all(torch.equal(alice[name], bob[name]) for name in alice)
    assert open_voice(folders[1]).conditioning.strings["voice"] == "bob"
    assert read_record(folders[0]).training["clips"] == 8
    assert read_record(folders[0]).training["steps"] == 2 * 6  # (2 x 4 + 4) rows in batches of two, twice


def test_full_fine_tuning_trains_every_weight(toy: Callable[..., Recipe]) -> None:
    (folder,) = pipeline.run(toy(train={"method": "full"}))
    assert not folder.adapter_config.exists()
    assert list_voices(folder.path.parent) == [folder]
    tuned, base = open_voice(folder), open_voice(folder, untuned=True)
    fresh = dict(base.model.named_parameters())
    unmoved = [name for name, p in tuned.model.named_parameters() if torch.equal(p, fresh[name])]
    assert not unmoved
    assert not np.array_equal(sound(tuned, "hello there"), sound(base, "hello there"))


def test_extra_variants_are_trained_on(toy: Callable[..., Recipe]) -> None:
    noisy = {"variants": 2, "transforms": [{"AddGaussianSNR": {"min_snr_db": 10, "max_snr_db": 20, "p": 1.0}}]}
    (folder,) = pipeline.run(toy(augment=noisy))
    assert read_record(folder).training["clips"] == 8 * 3


def test_a_voice_refuses_another_base_and_names_the_part(toy: Callable[..., Recipe]) -> None:
    (folder,) = pipeline.run(toy())
    with pytest.raises(VoiceError, match="trained on another network"):
        open_voice(folder, options={"width": 32})


def test_options_that_are_unknown_are_told(toy: Callable[..., Recipe]) -> None:
    (folder,) = pipeline.run(toy())
    with pytest.raises(vtune.EngineError, match="'widht'"):
        open_voice(folder, options={"widht": 32})


@pytest.mark.parametrize("harm", ["missing", "cut", "foreign"])
def test_a_damaged_voice_is_one_line(toy: Callable[..., Recipe], harm: str) -> None:
    (folder,) = pipeline.run(toy())
    weights = folder.path / "adapter_model.safetensors"
    if harm == "missing":
        weights.unlink()
    elif harm == "cut":
        weights.write_bytes(weights.read_bytes()[:200])
    else:
        from safetensors.torch import save_file

        save_file({"stranger": torch.zeros(1)}, str(weights))
    with pytest.raises(VoiceError) as caught:
        open_voice(folder)
    assert "\n" not in str(caught.value)


def test_a_merged_voice_is_checked_and_written_whole(toy: Callable[..., Recipe], tmp_path: Path) -> None:
    (folder,) = pipeline.run(toy())
    assert merge_voice(folder, tmp_path / "merged") < 1e-4
    state = load_file(tmp_path / "merged" / "model.safetensors")
    adapter = load_file(folder.path / "adapter_model.safetensors")
    prefix = "base_model.model.outer"
    base = dict(open_voice(folder, untuned=True).model.named_parameters())[f"{prefix}.base_layer.weight"]
    a, b = adapter[f"{prefix}.lora_A.weight"], adapter[f"{prefix}.lora_B.weight"]
    torch.testing.assert_close(state["outer.weight"], base.detach() + 8 / 4 * b @ a)
    with pytest.raises(VoiceError, match="is not empty"):
        merge_voice(folder, tmp_path / "merged")


def test_an_adapter_loads_with_plain_peft(toy: Callable[..., Recipe]) -> None:
    (folder,) = pipeline.run(toy())
    engine = vtune.load_engine("toy")
    network = engine.load_base(engine.info.options(), torch.device("cpu"), torch.float32).network()
    assert PeftModel.from_pretrained(network, folder.path).peft_config["default"].r == 4


def test_a_folder_that_is_no_voice_is_never_replaced(toy: Callable[..., Recipe], tmp_path: Path) -> None:
    (tmp_path / "voices" / "someone").mkdir(parents=True)
    (tmp_path / "voices" / "someone" / "diary.txt").write_text("dear")
    with pytest.raises(VoiceError, match="is not a voice of vtune's"):
        pipeline.run(toy())
    assert (tmp_path / "voices" / "someone" / "diary.txt").read_text() == "dear"


def test_a_failure_while_speaking_leaves_no_half_voice(
    toy: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise VoiceError("no breath")

    monkeypatch.setattr(Engine, "synthesize", fail)
    with pytest.raises(VoiceError, match="no breath"):
        pipeline.run(toy())
    assert not list((tmp_path / "voices").glob("*"))


def test_a_second_run_of_the_same_voice_is_kept_out(toy: Callable[..., Recipe], tmp_path: Path) -> None:
    from vtune.runtime.paths import RunFolder

    with RunFolder(tmp_path / "runs" / "someone").locked(), pytest.raises(vtune.VtuneError, match="another process"):
        pipeline.run(toy())


def test_a_voice_dropped_into_the_folder_is_found_at_once(toy: Callable[..., Recipe], tmp_path: Path) -> None:
    import shutil

    (folder,) = pipeline.run(toy())
    assert [voice.name for voice in list_voices(tmp_path / "voices")] == ["someone"]
    shutil.copytree(folder.path, tmp_path / "voices" / "copied")
    assert [voice.name for voice in list_voices(tmp_path / "voices")] == ["copied", "someone"]
    assert find_voice("copied", tmp_path / "voices").path == tmp_path / "voices" / "copied"


def test_no_clip_left_is_told_with_the_reasons(toy: Callable[..., Recipe]) -> None:
    with pytest.raises(vtune.DataError, match=r"no clip can be trained on.*8 like this: \d+ frames, more than max"):
        pipeline.run(toy(engine_options={"max_frames": 1}))


def test_a_voice_and_its_base_speak_in_turn(toy: Callable[..., Recipe]) -> None:
    """Two streams from one model, read piece by piece in turn, equal what each is alone."""
    (folder,) = pipeline.run(toy(train={"learning_rate": 0.1}))
    voice = open_voice(folder)
    alone = [sound(voice, "hello there", untuned=untuned) for untuned in (False, True)]
    streams = [voice.stream("hello there", untuned=untuned) for untuned in (False, True)]
    pieces: list[list[np.ndarray]] = [[], []]
    for tuned, untuned in zip(*streams, strict=True):
        assert not torch.is_inference_mode_enabled()
        pieces[0].append(tuned.waveform)
        pieces[1].append(untuned.waveform)
    for together, its in zip(pieces, alone, strict=True):
        assert np.array_equal(np.concatenate(together), its)
    assert not np.array_equal(*alone)
