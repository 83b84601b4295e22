"""What the fork of index-tts and other trainers save becomes a voice that answers as their own network does."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner, Result
from indextts_fork import UnifiedVoice, load_fork, merged_fork, train_fork_lora
from safetensors.torch import load_file, save_file

from vtune.errors import VoiceError
from vtune.runtime.paths import VoiceFolder
from vtune.testing import made_clip
from vtune.voice_format.record import read_record
from vtune.voices.speech import LoadedVoice, open_voice
from vtune_cli.main import main
from vtune_indextts2.gpt.row_layout import make_row
from vtune_indextts2.training_rows import batch_rows

TEXT, CODES = [5, 9, 12, 7], [3, 200, 41, 17, 3, 90]


@pytest.fixture
def imports(tmp_path: Path, tiny: Path) -> Callable[..., Result]:
    def run(path: Path, *arguments: str) -> Result:
        options = (f"base_model={tiny}", "normaliser=basic", "max_codes=20", "flow_steps=2")
        settings = [part for option in options for part in ("--set", option)]
        given = ["import", str(path), "--engine", "indextts2", "--voices", str(tmp_path / "voices"), *settings]
        return CliRunner().invoke(main, [*given, *arguments])

    return run


def opened(tmp_path: Path, name: str = "jane") -> LoadedVoice:
    return open_voice(VoiceFolder(tmp_path / "voices" / name), "cpu", "fp32")


def own_logits(voice: LoadedVoice, text: Sequence[int] = TEXT, codes: Sequence[int] = CODES) -> torch.Tensor:
    """Return what the imported network answers with the voice's own speaker."""
    kept = voice.conditioning.tensors
    conditioning = torch.from_numpy(kept["condition"][0] + kept["emotion"])
    batch = batch_rows([(conditioning, make_row(voice.base.config.gpt, list(text), list(codes)))])
    with torch.no_grad():
        logits: torch.Tensor = voice.model(**batch)["logits"]
    return logits


def fork_logits(network: UnifiedVoice, five: dict[str, torch.Tensor]) -> torch.Tensor:
    with torch.no_grad():
        prefix = network.conditioning(five["spk_cond_emb"], five["emo_cond_emb"])
        return network.code_logits(prefix, TEXT, CODES)


def refusal(result: Result) -> str:
    assert result.exit_code == 1, result.output
    lines = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1
    assert result.output.rstrip().endswith(lines[0])
    return lines[0]


# The fork's own layout


@pytest.mark.parametrize("learns", ["", "gpt.", "mel_head"])
def test_an_imported_voice_answers_as_the_fork_does(
    learns: str, tmp_path: Path, tiny: Path, imports: Callable[..., Result], speaker_folder: Callable[..., Path],
    five_tensors: dict[str, torch.Tensor],
) -> None:  # fmt: skip
    """With ``""``, the conditioning encoders have learned too: what they give is in what the voice keeps."""
    folder = speaker_folder(learns)
    result = imports(folder)
    assert result.exit_code == 0, result.output
    voice = opened(tmp_path)
    expected = fork_logits(merged_fork(tiny, folder / "lora/final_checkpoint"), five_tensors)
    torch.testing.assert_close(own_logits(voice), expected, atol=2e-5, rtol=1e-4)
    untuned = fork_logits(load_fork(tiny), five_tensors)
    assert (expected - untuned).abs().max() > 1e-2
    sound = np.concatenate([piece.waveform for piece in voice.stream("hello there", 1)])
    assert len(sound) > 100


def test_the_card_says_what_is_known_and_what_is_not(
    tmp_path: Path, imports: Callable[..., Result], speaker_folder: Callable[..., Path]
) -> None:
    result = imports(speaker_folder("mel_head"))
    assert "never changed 29 of the 30 pairs of matrices of the adapter; it changed mel_head" in result.output
    card = (tmp_path / "voices/jane/README.md").read_text()
    assert "**Not stated.** The imported files say neither who speaks nor on what consent." in card
    assert "Which recordings it was trained on, how long, and with which settings is not known." in card
    assert "the files do not say which gpt.pth they were trained on" in card
    assert "its prompt follows from its features by the codec and the s2mel.pth of this base" in card
    record = read_record(VoiceFolder(tmp_path / "voices/jane"))
    assert record.imported is not None
    assert set(record.imported.files) == {"adapter_config.json", "adapter_model.safetensors", "speaker_embeddings.pt"}
    assert record.lora["targets"] == ["c_attn", "c_fc", "c_proj", "mel_head", "text_head"]
    listed = CliRunner().invoke(main, ["voices", "--voices", str(tmp_path / "voices")]).output
    assert listed.split() == ["jane", "indextts2", "lora", "imported", "no", "consent", "stated"]


def test_consent_can_be_stated(
    tmp_path: Path, imports: Callable[..., Result], speaker_folder: Callable[..., Path]
) -> None:
    assert imports(speaker_folder(), "--person", "Jane", "--statement", "agreed", "--name", "j2").exit_code == 0
    assert read_record(VoiceFolder(tmp_path / "voices/j2")).consent == {"person": "Jane", "statement": "agreed"}
    assert "--person and --statement go together" in imports(tmp_path, "--person", "Jane").output


def test_an_average_of_several_recordings_is_said(
    imports: Callable[..., Result], speaker_folder: Callable[..., Path], five_tensors: dict[str, torch.Tensor]
) -> None:
    """The fork averages the features frame by frame, and keeps the prompt of the longest recording."""
    folder = speaker_folder()
    mean = five_tensors["spk_cond_emb"][:, :40] + torch.randn(1, 40, 64)
    torch.save({**five_tensors, "spk_cond_emb": mean}, folder / "embeddings/speaker_embeddings.pt")
    assert "its prompt does not follow from its features" in imports(folder).output


# Other trainers


def test_an_adapter_on_the_blocks_alone_with_its_settings_in_one_file(
    tmp_path: Path, tiny: Path, imports: Callable[..., Result], five_tensors: dict[str, torch.Tensor]
) -> None:
    """A trainer that wraps ``model.gpt`` alone and saves ``adapter`` and ``lora`` by ``torch.save``."""
    network = load_fork(tiny)
    train_fork_lora(network.gpt, tmp_path / "peft", targets=("c_attn", "c_proj", "c_fc"))
    adapter = {
        name.replace(".weight", ".default.weight"): tensor
        for name, tensor in load_file(tmp_path / "peft/adapter_model.safetensors").items()
    }
    assert any(name.startswith("base_model.model.h.0.") for name in adapter)
    settings = {"r": 4, "alpha": 8, "target_modules": ["c_attn", "c_proj", "c_fc"]}
    torch.save({"adapter": adapter, "lora": settings, "step": 7}, tmp_path / "jane.pt")
    torch.save(five_tensors, tmp_path / "speaker_embeddings.pt")
    result = imports(tmp_path / "jane.pt", "--embeddings", str(tmp_path / "speaker_embeddings.pt"))
    assert result.exit_code == 0, result.output
    reference = load_fork(tiny)
    from peft import PeftModel

    reference.gpt = PeftModel.from_pretrained(reference.gpt, str(tmp_path / "peft")).merge_and_unload()
    torch.testing.assert_close(
        own_logits(opened(tmp_path)), fork_logits(reference.eval(), five_tensors), atol=2e-5, rtol=1e-4
    )


def test_a_full_fine_tuning_with_a_recording(tmp_path: Path, tiny: Path, imports: Callable[..., Result]) -> None:
    """The fork's ``best_model.pth`` has optimizer and scheduler beside the weights."""
    tuned = {name: tensor + 0.02 * torch.randn(tensor.shape) for name, tensor in load_fork(tiny).state_dict().items()}
    state = {name: tensor for name, tensor in tuned.items() if name != "gpt.wpe.weight"}
    path = tmp_path / "training/jane/finetune/best_model.pth"
    path.parent.mkdir(parents=True)
    torch.save({"model": state, "optimizer": {"state": {}}, "step": 3, "best_val": 0.5}, path)
    clip = made_clip(22_050, 2.0, 1)
    soundfile.write(tmp_path / "jane.wav", clip.waveform, 22_050)
    assert "no speaker_embeddings.pt beside it" in refusal(imports(path.parent.parent))
    result = imports(path.parent.parent, "--reference", str(tmp_path / "jane.wav"))
    assert result.exit_code == 0, result.output
    voice = opened(tmp_path)
    assert voice.record.method == "full"
    network = load_fork(tiny, path)
    features = torch.from_numpy(voice.conditioning.tensors["spk_cond_emb"])
    expected = fork_logits(network, {"spk_cond_emb": features, "emo_cond_emb": features})
    torch.testing.assert_close(own_logits(voice), expected, atol=2e-5, rtol=1e-4)


def test_embeddings_in_a_folder_and_an_adapter_as_bin(
    tmp_path: Path, imports: Callable[..., Result], speaker_folder: Callable[..., Path],
    five_tensors: dict[str, torch.Tensor],
) -> None:  # fmt: skip
    """The fork's store may write a file for each tensor; old PEFT wrote ``adapter_model.bin``."""
    folder = speaker_folder()
    adapter = folder / "lora/final_checkpoint"
    torch.save(load_file(adapter / "adapter_model.safetensors"), adapter / "adapter_model.bin")
    (adapter / "adapter_model.safetensors").unlink()
    store = tmp_path / "store/jane"
    store.mkdir(parents=True)
    for name, tensor in five_tensors.items():
        torch.save(tensor, store / f"{name}.pt")
    assert imports(adapter, "--embeddings", str(store)).exit_code == 0
    kept = opened(tmp_path).conditioning.tensors
    for name, tensor in five_tensors.items():
        np.testing.assert_array_equal(kept[name], tensor.numpy())


# Refusals, each in one line


def test_what_cannot_be_imported_is_one_line(
    tmp_path: Path, tiny: Path, imports: Callable[..., Result], speaker_folder: Callable[..., Path],
    five_tensors: dict[str, torch.Tensor],
) -> None:  # fmt: skip
    folder = speaker_folder()
    adapter, embeddings = folder / "lora/final_checkpoint", folder / "embeddings/speaker_embeddings.pt"
    assert "no file or folder" in refusal(imports(tmp_path / "nothing"))
    (tmp_path / "empty").mkdir()
    assert "holds no voice of index-tts: looked for adapter_config.json" in refusal(imports(tmp_path / "empty"))
    torch.save({**five_tensors, "ref_mel": torch.zeros(1, 128, 9)}, embeddings)
    assert "ref_mel has the shape [1, 128, 9]; this base expects [1, 80, any]" in refusal(imports(folder))
    torch.save({**five_tensors, "style": torch.full((1, 192), float("nan"))}, embeddings)
    assert "style holds values that are NaN" in refusal(imports(folder))
    torch.save({name: five_tensors[name] for name in ("style", "ref_mel")}, embeddings)
    assert "has no tensor spk_cond_emb, prompt_condition" in refusal(imports(folder))
    torch.save({"style": Path("/tmp")}, embeddings)  # a pickled object, not a tensor
    assert "cannot be read as a checkpoint" in refusal(imports(folder))
    torch.save(five_tensors, embeddings)
    (folder / "finetune").mkdir()
    (folder / "finetune/best_model.pth").touch()
    assert "holds an adapter and a full fine-tuning; name one" in refusal(imports(folder))
    settings = json.loads((adapter / "adapter_config.json").read_text())
    for change, says in (
        ({"peft_type": "LOHA"}, "peft_type 'LOHA'"),
        ({"bias": "all"}, "bias 'all'"),
        ({"r": 3}, "does not fit the base"),
        ({"r": "four"}, "the adapter says r 'four', which is no number"),
    ):
        (adapter / "adapter_config.json").write_text(json.dumps({**settings, **change}))
        assert says in refusal(imports(adapter))
    assert not (tmp_path / "voices").exists() or not any((tmp_path / "voices").iterdir())


def test_an_adapter_that_changes_nothing_is_refused(
    imports: Callable[..., Result], speaker_folder: Callable[..., Path]
) -> None:
    assert "the adapter changes nothing: all 30 pairs" in refusal(imports(speaker_folder("no module")))


def test_an_unmerged_adapter_in_a_checkpoint_is_not_lost_silently(
    tmp_path: Path, tiny: Path, imports: Callable[..., Result]
) -> None:
    state = load_fork(tiny).state_dict()
    torch.save({"model": {**state, "gpt.h.0.attn.c_attn.lora_B.default.weight": torch.ones(3, 2)}}, tmp_path / "g.pth")
    assert "of an adapter that is not merged" in refusal(imports(tmp_path / "g.pth"))
    save_file({"something.weight": torch.ones(2)}, tmp_path / "x.safetensors")
    assert "holds neither a GPT of index-tts" in refusal(imports(tmp_path / "x.safetensors"))


def test_a_checkpoint_that_is_the_base_is_refused(tiny: Path, imports: Callable[..., Result]) -> None:
    assert "the checkpoint changes nothing: its" in refusal(imports(tiny / "gpt.pth", "--name", "jane"))


def test_the_error_of_an_adapter_without_a_voice_names_the_verb(speaker_folder: Callable[..., Path]) -> None:
    with pytest.raises(
        VoiceError, match=r"has an adapter but no voice\.json, .* 'vtune import FOLDER --engine ENGINE'"
    ):
        read_record(VoiceFolder(speaker_folder() / "lora/final_checkpoint"))


def test_an_engine_without_the_hook_says_so(tmp_path: Path, speaker_folder: Callable[..., Path]) -> None:
    result = CliRunner().invoke(main, ["import", str(speaker_folder()), "--engine", "orpheus"])
    assert "engine 'orpheus' imports no voices of other software" in refusal(result)


@pytest.fixture(autouse=True)
def quiet(caplog: Any) -> None:
    caplog.set_level(logging.WARNING)
