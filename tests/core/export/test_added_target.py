"""An export target of an engine: the written files are read back, computed anew and compared, or nothing is kept."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vtune.errors import EngineError, VoiceError, VtuneError
from vtune.export.export import export
from vtune.runtime.paths import VoiceFolder
from vtune.voices.speech import open_voice

ENGINE = '''
"""The toy engine, which writes its network for NumPy."""
import numpy as np

import vtune
from vtune.contract.exports import ExportTarget, ReadBack
from vtune_toy import (
    build_lora_model, collate, engine_info, extract_conditioning, fingerprint, load_base, prepare_sample, synthesize
)


def write(voice, directory):
    weights = {name: tensor.numpy() for name, tensor in voice.merge().state_dict().items()}
    np.savez(directory / "network.npz", **weights)


def logits(weights, letters, before):
    """Compute the network without torch."""
    hidden = weights["letters.weight"][letters] + weights["levels.weight"][before]
    hidden = np.tanh(hidden @ weights["inner.weight"].T + weights["inner.bias"])
    return hidden @ weights["outer.weight"].T + weights["outer.bias"]


def compare(voice, directory):
    with np.load(directory / "network.npz") as weights:
        for sentence, batch in zip(voice.sentences, voice.batches, strict=True):
            answer = logits(weights, batch["letters"].numpy(), batch["before"].numpy())
            yield ReadBack(sentence, voice.model(letters=batch["letters"], before=batch["before"])["logits"], answer)


@vtune.hookimpl
def export_targets():
    return [ExportTarget("npz", "the network for NumPy", write, compare, use="Read `network.npz` with NumPy.")]
'''

MODULE = "exporting_engine"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Install the engine ``exporting`` with some of its source replaced."""
    info = tmp_path / "site" / "exporting-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: exporting\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[vtune.engines]\nexporting = {MODULE}\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))

    def make(old: str = "", new: str = "") -> None:
        assert old in ENGINE
        (tmp_path / "site" / f"{MODULE}.py").write_text(ENGINE.replace(old, new, 1))
        sys.modules.pop(MODULE, None)
        importlib.invalidate_caches()

    make()
    yield make
    sys.modules.pop(MODULE, None)


@pytest.fixture
def own(install: Callable[..., None], voice: VoiceFolder, tmp_path: Path) -> VoiceFolder:
    """Make a voice of the engine, which has the network of the toy engine."""
    shutil.copytree(voice.path, tmp_path / "anna")
    folder = VoiceFolder(tmp_path / "anna")
    record = json.loads(folder.record.read_text())
    folder.record.write_text(json.dumps({**record, "engine": "exporting", "engine_origin": "exporting 1.0"}))
    return folder


def test_an_engine_writes_its_own_format_and_its_numbers_are_compared(own: VoiceFolder, tmp_path: Path) -> None:
    exported = export(own, tmp_path / "out", "npz")
    letters, before = np.arange(9) + 90, np.arange(9)
    with np.load(tmp_path / "out" / "network.npz") as file:
        result = sys.modules[MODULE].logits(file, letters, before)
    with torch.inference_mode():
        inputs = {"letters": torch.as_tensor(letters)[None], "before": torch.as_tensor(before)[None]}
        expected = open_voice(own).model(**inputs)["logits"][0].numpy()
        untuned = open_voice(own, untuned=True).model(**inputs)["logits"][0].numpy()
    assert np.allclose(result, expected, atol=1e-5)
    assert np.abs(untuned - expected).max() > 1e-2
    compared = exported.result.compared
    assert [prompt.text for prompt in compared.prompts] == ["hello there", "one more line"]
    assert 0 < compared.difference < 1e-5
    assert compared.how == "read back by the export target 'npz' of engine 'exporting' (exporting 1.0)"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"network.npz", "README.md", "export.json", "voice"}
    assert {path.name for path in (tmp_path / "out" / "voice").iterdir()} >= {"voice.json", "conditioning.safetensors"}
    card = (tmp_path / "out" / "README.md").read_text()
    assert "Read `network.npz` with NumPy." in card
    assert "library_name: npz" in card
    assert json.loads((tmp_path / "out" / "export.json").read_text())["checked"]["how"] == compared.how


def test_the_targets_of_an_engine_are_for_its_own_voices(own: VoiceFolder, voice: VoiceFolder, tmp_path: Path) -> None:
    with pytest.raises(VoiceError, match="there is no export target 'npz' for voices of the engine 'toy' "):
        export(voice, tmp_path / "out", "npz")
    with pytest.raises(VoiceError) as caught:
        export(own, tmp_path / "out", "npy")
    assert str(caught.value) == (
        "there is no export target 'npy' for voices of the engine 'exporting'; did you mean 'npz'? "
        "(targets: gguf-ready, merged, peft, space, vllm, voice, npz)"
    )


TITLE = "engine 'exporting' (exporting 1.0): export target 'npz'"
READ = 'with np.load(directory / "network.npz") as weights:'


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tensor.numpy()", "tensor.numpy() * 1.01", "gives other numbers than the voice: they differ by"),
        ("voice.merge()", "voice.model.base_model.model", f"{TITLE}: compare raised KeyError"),
        ("np.tanh(", "np.sinh(", "gives other numbers than the voice: they differ by"),
        ('["outer.weight"].T', '["outer.weight"].T * np.nan', "by inf of the largest number for 'hello there'"),
        ('batch["letters"].numpy()', 'batch["letters"].numpy()[..., None]', "has the shape [1, "),
        ("sentence, voice.model", "sentence, 1 + 0 * voice.model", "gives other numbers than the voice"),
        ("], answer)", "], answer[:, :-1])", "has the shape [1, "),
        (
            READ,
            "weights = {name: tensor.numpy() for name, tensor in voice.merge().state_dict().items()}\n    if True:",
            f"{TITLE}: compare gives the same numbers without the files, so it does not read them back",
        ),
        ("for sentence, batch in zip(voice.sentences, voice.batches, strict=True):", "for sentence, batch in []:",
         f"{TITLE}: compare gave no numbers to compare, so the files are not checked"),
        ("yield ReadBack(", "yield (", f"{TITLE}: compare gives ('hello there', tensor("),
        ("], answer)", "], np.array(['a']))", f"{TITLE}: compare gives array(['a']"),
        ("np.savez(", "(lambda *a, **b: None)(", f"{TITLE}: write wrote no file into the folder"),
        ('np.savez(directory / "network.npz", **weights)', '(directory / "README.md").write_text("x")',
         f"{TITLE}: write wrote 'README.md', which vtune writes itself"),
        ("np.savez(", "voice.options['x'](", f"{TITLE}: write raised TypeError 'ToyOptions' object is not "),
        ("    weights = {", "    raise vtune.VoiceError('too small')\n    weights = {", "too small"),
    ],
)  # fmt: skip
def test_a_target_that_is_wrong_keeps_nothing(
    own: VoiceFolder, install: Callable[..., None], tmp_path: Path, old: str, new: str, message: str
) -> None:
    install(old, new)
    with pytest.raises(VtuneError) as caught:
        export(own, tmp_path / "out", "npz")
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_an_error_names_the_line_of_the_engine(own: VoiceFolder, install: Any, tmp_path: Path) -> None:
    install('weights["levels.weight"]', 'weights["levels"]')
    line = next(number for number, text in enumerate(ENGINE.splitlines(), 1) if 'weights["levels.weight"]' in text)
    with pytest.raises(EngineError, match=rf"compare raised KeyError .*levels.* at {MODULE}\.py:{line}$"):
        export(own, tmp_path / "out", "npz")
