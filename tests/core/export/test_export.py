from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

import vtune
from vtune.engines import Engine
from vtune.errors import VtuneError
from vtune.export.consent import CONSENT_SENTENCE
from vtune.export.export import export
from vtune.export.merge import merge_voice
from vtune.export.targets import TARGETS
from vtune.runtime.paths import VoiceFolder
from vtune.voice_format.record import read_conditioning
from vtune.voices.speech import open_voice


def refusal(*arguments: Any, **settings: Any) -> str:
    with pytest.raises(VtuneError) as caught:
        export(*arguments, **settings)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_an_adapter_loads_with_plain_peft_and_answers_as_the_voice(voice: VoiceFolder, tmp_path: Path) -> None:
    exported = export(voice, tmp_path / "out", "peft")
    engine = vtune.load_engine("toy")
    network = engine.load_base(engine.info.options(), torch.device("cpu"), torch.float32).network()
    model = PeftModel.from_pretrained(network, str(tmp_path / "out")).eval()
    letters, before = torch.randint(0, 128, (2, 9)), torch.randint(0, 32, (2, 9))
    with torch.no_grad():
        expected = open_voice(voice).model(letters=letters, before=before)["logits"]
        torch.testing.assert_close(model(letters=letters, before=before)["logits"], expected)
    assert exported.result.compared.difference == 0
    assert "the engine's own network, which plain transformers does not load" in exported.result.compared.how
    assert names(tmp_path / "out") == {
        "README.md", "adapter_config.json", "adapter_model.safetensors", "conditioning.safetensors", "export.json",
        "recipe.yaml", "voice.json", "scores.json",
        "samples/01.wav", "samples/01_base.wav", "samples/02.wav", "samples/02_base.wav",
    }  # fmt: skip


def test_an_exported_adapter_is_a_voice_that_speaks(voice: VoiceFolder, tmp_path: Path) -> None:
    export(voice, tmp_path / "out", "peft")
    spoken = [
        np.concatenate([piece.waveform for piece in open_voice(VoiceFolder(path)).stream("hello")])
        for path in (voice.path, tmp_path / "out")
    ]
    assert np.array_equal(*spoken)


@pytest.mark.parametrize(
    ("kind", "target", "inner"), [("voice", "voice", ""), ("full", "voice", ""), ("full", "space", "voice")]
)
def test_a_voice_is_exported_as_itself(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, target: str, inner: str
) -> None:
    made: VoiceFolder = request.getfixturevalue(kind)
    exported = export(made, tmp_path / "out", target)
    assert exported.result.compared.difference == 0
    assert "onto a new copy of its base" in exported.result.compared.how
    spoken = [
        np.concatenate([piece.waveform for piece in open_voice(VoiceFolder(path)).stream("hello")])
        for path in (made.path, tmp_path / "out" / inner)
    ]
    assert np.array_equal(*spoken)


def test_a_voice_whose_files_are_not_its_own_is_not_exported(
    voice: VoiceFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vtune.voice_format.weights import load_weights

    def load_other_weights(model: Any, folder: Path) -> None:
        load_weights(model, folder)
        with torch.no_grad():
            next(parameter for name, parameter in model.named_parameters() if "lora_B" in name).add_(1.0)

    monkeypatch.setattr("vtune.voice_format.weights.load_weights", load_other_weights)
    assert "answers differently from the voice" in refusal(voice, tmp_path / "out", "voice")
    assert not (tmp_path / "out").exists()


def test_a_merged_model_is_the_base_plus_the_scaled_product(voice: VoiceFolder, tmp_path: Path) -> None:
    exported = export(voice, tmp_path / "out", "merged")
    merged = load_file(tmp_path / "out" / "model.safetensors")
    adapter = load_file(voice.path / "adapter_model.safetensors")
    base = dict(open_voice(voice, untuned=True).model.named_parameters())
    for module in ("inner", "outer"):
        prefix = f"base_model.model.{module}"
        a, b = adapter[f"{prefix}.lora_A.weight"], adapter[f"{prefix}.lora_B.weight"]
        torch.testing.assert_close(merged[f"{module}.weight"], base[f"{prefix}.base_layer.weight"] + 8 / 4 * b @ a)
    assert exported.result.dtype == "fp32"
    kept = read_conditioning(tmp_path / "out/voice/conditioning.safetensors")
    assert kept.strings["voice"] == "someone"
    assert {"voice/voice.json", "voice/recipe.yaml", "voice/scores.json", "README.md"} < names(tmp_path / "out")
    assert not list((tmp_path / "out").glob("conditioning*"))


def test_a_fully_fine_tuned_voice_is_one_model_already(full: VoiceFolder, tmp_path: Path) -> None:
    export(full, tmp_path / "out", "merged")
    written, kept = load_file(tmp_path / "out" / "model.safetensors"), load_file(full.path / "model.safetensors")
    assert written.keys() == kept.keys()
    assert all(torch.equal(written[name], kept[name]) for name in kept)
    for target in ("peft", "vllm"):
        assert "there is no adapter; export it --to merged" in refusal(full, tmp_path / target, target)
    assert merge_voice(full, tmp_path / "merged") == 0
    merged = load_file(tmp_path / "merged" / "model.safetensors")
    assert all(torch.equal(merged[name], kept[name]) for name in kept)


@pytest.mark.parametrize(
    ("target", "says"), [("gguf-ready", "is no llama"), ("vllm", "vLLM does not serve its network")]
)
def test_a_network_that_others_do_not_know_is_one_line(
    voice: VoiceFolder, tmp_path: Path, target: str, says: str
) -> None:
    message = refusal(voice, tmp_path / "out", target)
    assert says in message
    assert "'toy'" in message
    assert "(ToyNetwork)" in message
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("target", ["peft", "merged"])
def test_what_was_found_is_written_down(voice: VoiceFolder, tmp_path: Path, target: str) -> None:
    export(voice, tmp_path / "out", target)
    facts = json.loads((tmp_path / "out/export.json").read_text())
    assert facts["target"] == target
    assert facts["fingerprint"] == {"network": "width 16"}
    assert facts["consent"] == "stated"
    checked = facts["checked"]
    assert [prompt["text"] for prompt in checked["prompts"]] == ["hello there", "one more line"]
    assert checked["difference"] == max(prompt["difference"] for prompt in checked["prompts"]) <= checked["tolerance"]
    assert checked["likeliest"] == 1
    # One answer for each frame that the voice spoke.
    pace = float(read_conditioning(voice.conditioning).tensors["pace"][0])
    assert [prompt["rows"] for prompt in checked["prompts"]] == [
        max(1, int(len(prompt["text"]) * pace * 8000 / 160)) for prompt in checked["prompts"]
    ]


def test_the_page_stays_behind_for_it_holds_recordings(voice: VoiceFolder, tmp_path: Path) -> None:
    assert voice.page.is_file()
    export(voice, tmp_path / "out", "peft")
    assert "listen.html" not in names(tmp_path / "out")
    assert "listen.html" not in (tmp_path / "out/README.md").read_text()
    assert "listen.html" in voice.card.read_text()


def test_samples_that_are_gone_are_spoken_again(voice: VoiceFolder, tmp_path: Path) -> None:
    copy = VoiceFolder(Path(shutil.copytree(voice.path, tmp_path / "copy")))
    shutil.rmtree(copy.samples)
    again = export(copy, tmp_path / "again", "peft").result.compared
    assert [prompt.text for prompt in again.prompts] == ["hello there", "one more line"]
    assert [p.rows for p in again.prompts] == [
        p.rows for p in export(voice, tmp_path / "out", "peft").result.compared.prompts
    ]


def test_a_voice_whose_sentences_do_not_fit_the_engine_is_told(voice: VoiceFolder, tmp_path: Path) -> None:
    message = refusal(voice, tmp_path / "out", "peft", options={"max_frames": 2})
    assert "no sentence of this voice can be encoded as a prompt: sample 1: " in message
    assert "more than max_frames 2" in message


@pytest.mark.parametrize("target", ["peft", "merged"])
def test_wrong_weights_on_disk_leave_nothing_behind(
    voice: VoiceFolder, tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files that are read back decide, whatever the engine's hook writes."""
    hook = {"peft": "export_voice", "merged": "save_merged"}[target]
    honest = getattr(Engine, hook)

    def spoil(self: Engine, *arguments: Any) -> list[Path]:
        written: list[Path] = honest(self, *arguments)
        path = next(path for path in written if path.name.endswith("model.safetensors"))
        tensors = load_file(path)
        name = next(name for name in tensors if "outer" in name and name.endswith("weight"))
        save_file({**tensors, name: tensors[name] * 1.1}, path)
        return written

    monkeypatch.setattr(Engine, hook, spoil)
    message = refusal(voice, tmp_path / "out", target)
    assert "answers differently from the voice" in message
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("target", list(TARGETS))
def test_a_folder_that_holds_something_is_left_alone(voice: VoiceFolder, tmp_path: Path, target: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "diary.txt").write_text("dear")
    assert refusal(voice, tmp_path / "out", target).endswith("out is not empty; name a new folder")
    assert refusal(voice, tmp_path / "out" / "diary.txt", target).endswith("is not a folder; name a new folder")
    assert (tmp_path / "out" / "diary.txt").read_text() == "dear"


def test_an_empty_folder_is_filled(voice: VoiceFolder, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    export(voice, tmp_path / "out", "peft")
    assert (tmp_path / "out" / "adapter_config.json").is_file()


@pytest.mark.parametrize(
    ("target", "dtype", "says"),
    [
        (
            "pfet",
            None,
            "there is no export target 'pfet' for voices of the engine 'toy'; did you mean 'peft'?",
        ),
        ("peft", "bf16", "--dtype bf16: --to peft writes fp32 only; --dtype bf16 goes with --to gguf-ready or merged"),
        ("vllm", "fp16", "--dtype fp16: --to vllm writes fp32 only; --dtype fp16 goes with --to gguf-ready or merged"),
        ("gguf-ready", "fp32", "--dtype fp32: --to gguf-ready writes bf16 or fp16 only"),
        ("merged", "bf16", "engine 'toy' writes its merged network in its own format"),
    ],
)
def test_settings_that_do_not_go_together_are_one_line(
    voice: VoiceFolder, tmp_path: Path, target: str, dtype: str | None, says: str
) -> None:
    assert says in refusal(voice, tmp_path / "out", target, dtype=dtype)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("target", list(TARGETS))
def test_without_a_consent_nothing_is_exported(unstated: VoiceFolder, tmp_path: Path, target: str) -> None:
    message = refusal(unstated, tmp_path / "out", target)
    assert "does not say whose it is and on what consent" in message
    assert repr(CONSENT_SENTENCE) in message
    assert not list(tmp_path.iterdir())


def test_who_answers_for_a_voice_stands_on_its_card(
    unstated: VoiceFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "jane")
    export(unstated, tmp_path / "out", "peft", without_consent=CONSENT_SENTENCE)
    card = (tmp_path / "out/README.md").read_text()
    assert "**Not stated.**" in card
    assert "exported all the same" in card
    assert f"the user 'jane', who said: “{CONSENT_SENTENCE}.”" in card
    assert "'jane'" in json.loads((tmp_path / "out/export.json").read_text())["consent"]
    assert "'jane'" not in unstated.card.read_text()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("recipe.yaml", None, "recipe.yaml is missing"),
        ("recipe.yaml", "voice: [", "recipe.yaml"),
        ("recipe.yaml", "voice: someone\n", "do not make a card (KeyError: 'train')"),
        ("voice.json", "{", "voice.json is damaged"),
        ("scores.json", "[]", "scores.json is damaged"),
        ("adapter_model.safetensors", None, "adapter_model.safetensors is missing"),
    ],
)
def test_a_damaged_voice_is_one_line(
    voice: VoiceFolder, tmp_path: Path, name: str, content: str | None, says: str
) -> None:
    copy = VoiceFolder(Path(shutil.copytree(voice.path, tmp_path / "copy")))
    (copy.path / name).unlink()
    if content is not None:
        (copy.path / name).write_text(content)
    assert says in refusal(copy, tmp_path / "out", "peft")
    assert not (tmp_path / "out").exists()


def test_merging_for_oneself_asks_nothing_and_writes_no_card(unstated: VoiceFolder, tmp_path: Path) -> None:
    assert merge_voice(unstated, tmp_path / "merged") < 1e-5
    assert names(tmp_path / "merged") == {"model.safetensors"}


def test_a_registry_of_characters_finds_a_voice_as_it_is(voice: VoiceFolder) -> None:
    """The published rule of a server for Orpheus: a folder below ``voices/`` with ``adapter_config.json`` is an
    Orpheus voice, one with ``reference.wav`` another engine's; names are compared in small letters. vLLM's resolver
    loads ``voices/{name}`` by the two files of PEFT.
    """
    registry = {
        folder.name.lower(): "orpheus" if (folder / "adapter_config.json").is_file() else "other"
        for folder in voice.path.parent.iterdir()
        if (folder / "adapter_config.json").is_file() or (folder / "reference.wav").is_file()
    }
    assert registry[voice.name.lower()] == "orpheus"
    settings = json.loads((voice.path / "adapter_config.json").read_text())
    assert settings["peft_type"] == "LORA"
    assert (voice.path / "adapter_model.safetensors").is_file()
