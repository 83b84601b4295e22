"""A voice of other software is read by a hook of its engine; everything else about it is the same for all engines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from vtune.contract.imports import VoiceToImport
from vtune.errors import EngineError, TrainingError, VoiceError
from vtune.export.imported_voice import ImportRequest, import_voice
from vtune.runtime.paths import VoiceFolder
from vtune.voice_format.record import read_record
from vtune.voices.speech import open_voice

ENGINE = """
import json, vtune, vtune_toy
from safetensors.torch import load_file
from vtune.contract.imports import ImportedVoice
from vtune.voice_format.record import read_conditioning
from vtune_toy import *

@vtune.hookimpl
def import_voice(base, source):
    folder = source.path
    lora = json.loads((folder / "voice.json").read_text())["lora"]
    shape = vtune.LoraSettings(lora["rank"], lora["alpha"], lora["dropout"], lora["rslora"], tuple(lora["targets"]))
    weights = load_file(str(folder / "adapter_model.safetensors"))
    CHANGE
    return ImportedVoice(
        "a voice of a toy", weights, read_conditioning(folder / "conditioning.safetensors"),
        [folder / "adapter_model.safetensors"], shape, "suggested", ["nothing is known"], FINGERPRINT,
    )
"""


@pytest.fixture
def imports(tmp_path: Path, make_voice: Callable[..., Any]) -> Callable[..., Any]:
    made = make_voice(tmp_path / "there" / "ann")

    def run(change: str = "pass", fingerprint: str = "None", **request: Any) -> Any:
        path = tmp_path / "engine.py"
        path.write_text(ENGINE.replace("CHANGE", change).replace("FINGERPRINT", fingerprint))
        return import_voice(ImportRequest(VoiceToImport(made.path), str(path), tmp_path / "voices", **request))

    return run


def test_an_imported_voice_is_a_voice_like_any_other(tmp_path: Path, imports: Callable[..., Any]) -> None:
    record = imports(consent={"person": "Ann", "statement": "agreed"})
    folder = VoiceFolder(tmp_path / "voices" / "suggested")
    assert read_record(folder) == record
    assert record.imported is not None
    assert list(record.imported.files) == ["adapter_model.safetensors"]
    assert record.imported.notes == ["nothing is known"]
    assert record.consent == {"person": "Ann", "statement": "agreed"}
    assert not record.has_recipe
    given = load_file(tmp_path / "there/ann/adapter_model.safetensors")
    kept = load_file(folder.path / "adapter_model.safetensors")
    assert given.keys() == kept.keys()
    assert all(torch.equal(given[name], kept[name]) for name in given)
    assert [path.name for path in sorted(folder.samples.iterdir())] == [
        "01.wav",
        "01_base.wav",
        "02.wav",
        "02_base.wav",
    ]
    assert list(open_voice(folder, "cpu").stream("hello", 1))
    assert "- nothing is known" in folder.card.read_text()


@pytest.mark.parametrize(
    ("change", "says", "kind"),
    [
        ("weights = {name: tensor * 0 for name, tensor in weights.items()}", "changes nothing", TrainingError),
        ("weights = {name: tensor * float('nan') for name, tensor in weights.items()}", "is no weight of", VoiceError),
        ("weights.popitem()", "does not fit the base: 1 tensors differ", VoiceError),
        ("return 3", "it must return an ImportedVoice with weights", EngineError),
        ("raise vtune.VoiceError('what is this?')", "what is this", VoiceError),
    ],
)
def test_what_is_wrong_leaves_no_folder(
    tmp_path: Path, imports: Callable[..., Any], change: str, says: str, kind: type[Exception]
) -> None:
    with pytest.raises(kind, match=says) as caught:
        imports(change)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "voices").glob("*")) if (tmp_path / "voices").exists() else True


def test_another_base_and_a_taken_name_are_refused(tmp_path: Path, imports: Callable[..., Any]) -> None:
    with pytest.raises(VoiceError, match="belongs to another base: network of this base differ"):
        imports(fingerprint="{'network': '0'}")
    imports(name="taken")
    before = json.loads((tmp_path / "voices/taken/voice.json").read_text())
    with pytest.raises(VoiceError, match="exists already; name the voice differently"):
        imports(name="taken")
    assert json.loads((tmp_path / "voices/taken/voice.json").read_text()) == before
    with pytest.raises(VoiceError, match="a voice cannot be named 'no name'; give --name"):
        imports(name="no name")
