"""A voice that does not fit into memory is refused in one line, before anything of its base is loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import vtune_toy

from vtune.contract.exports import ExportTarget
from vtune.engines import Engine
from vtune.engines.contributions import Contribution
from vtune.engines.memory import merging_stage, speaking_stage
from vtune.errors import EngineError, VoiceError
from vtune.export.export import export
from vtune.export.merge import merge_voice
from vtune.export.source import open_export_source
from vtune.runtime.memory import GIB, Limit
from vtune.runtime.paths import VoiceFolder
from vtune.serve.registry import VoiceRegistry
from vtune.serve.shared_base import SharedBase
from vtune.types import Footprint
from vtune.voices import memory
from vtune.voices.mixing import open_named
from vtune.voices.speech import open_voice

WEIGHTS, ADAPTER_PARAMETERS = 3 * GIB, GIB // 8
SHAPE = Footprint(
    parameters=GIB, trainable=ADAPTER_PARAMETERS, tensors=8, tokens_per_second=50, tokens_per_clip=10,
    weight_bytes=WEIGHTS, token_bytes=1, token_bytes_checkpointed=1, token_flops=1, codec_bytes=GIB,
    speaking_bytes=GIB / 4, largest_bytes=GIB / 4, tensor_bytes=GIB / 2,
)  # fmt: skip
CONSENT = "I have the right to publish this voice"


@pytest.fixture
def voice(tmp_path: Path, make_voice: Callable[..., Any]) -> VoiceFolder:
    made: VoiceFolder = make_voice(tmp_path / "voices" / "anna")
    make_voice(tmp_path / "voices" / "ben", seed=1)
    made.recipe.write_text("voice: anna\nengine: toy\ndata: []\n")
    return made


@pytest.fixture(autouse=True)
def large_base(monkeypatch: pytest.MonkeyPatch, voice: VoiceFolder) -> list[Any]:
    """Let the toy engine's footprint be that of a large one, and note whether its base is loaded."""
    loaded: list[Any] = []
    load = Engine.load_base

    def noted(self: Engine, *arguments: Any) -> Any:
        loaded.append(arguments)
        return load(self, *arguments)

    monkeypatch.setattr(Engine, "load_base", noted)
    monkeypatch.setattr(Engine, "footprint", lambda self, *arguments: SHAPE)
    return loaded


def limit(monkeypatch: pytest.MonkeyPatch, gib: float) -> None:
    monkeypatch.setattr(memory, "host_limit", lambda: Limit(gib * GIB, "the control group"))


def test_the_stages_are_what_they_hold() -> None:
    """Program 0.45, codec 1, weights 3, adapter 0.5, speaking 0.25; a merge has 4 of weights and three of 0.25."""
    assert speaking_stage(SHAPE, "lora", on_gpu=False).host_bytes == pytest.approx(5.2 * GIB)
    assert speaking_stage(SHAPE, "full", on_gpu=False).host_bytes == pytest.approx(4.7 * GIB)
    assert merging_stage(SHAPE, "lora", on_gpu=False).host_bytes == pytest.approx(6.7 * GIB)
    on_gpu = speaking_stage(SHAPE, "lora", on_gpu=True)
    assert (on_gpu.device_bytes, on_gpu.host_bytes) == (3.75 * GIB, pytest.approx((0.45 + 1.5 + 1 + 2 * 0.5) * GIB))
    assert merging_stage(SHAPE, "lora", on_gpu=True).device_bytes == 5.25 * GIB


def test_speaking_is_refused_before_the_base_is_loaded(
    voice: VoiceFolder, large_base: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(monkeypatch, 5.1)
    opened: list[Callable[[], Any]] = [
        lambda: open_voice(voice),
        lambda: open_named("0.5*anna+0.5*ben", voice.path.parent),
    ]
    for open_it in opened:
        with pytest.raises(VoiceError) as caught:
            open_it()
        assert str(caught.value).endswith(
            " does not fit into memory: speaking needs about 5.2 GiB, and there are 5.1 GiB of memory (the control "
            "group). Try a machine with more memory"
        )
    assert large_base == []
    limit(monkeypatch, 5.3)
    for open_it in opened:
        open_it()
    assert large_base


def test_merging_needs_more_and_is_refused_before_the_base_is_loaded(
    voice: VoiceFolder, large_base: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    limit(monkeypatch, 6)
    message = "'anna' does not fit into memory: merging needs about 6.7 GiB, and there are 6.0 GiB of memory"
    with pytest.raises(VoiceError, match=message):
        merge_voice(voice, tmp_path / "out")
    for target in ("merged", "gguf-ready"):
        with pytest.raises(VoiceError, match=message):
            export(voice, tmp_path / "out", target, without_consent=CONSENT)
    assert large_base == []
    assert not (tmp_path / "out").exists()


def test_targets_are_estimated_as_what_they_do(
    voice: VoiceFolder, large_base: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A target of an engine has two networks of 4 GiB in memory, an adapter's export one; speaking would need 5.2."""

    def target(name: str) -> ExportTarget:
        return ExportTarget(name, "files", lambda *_: None, lambda *_: [])

    monkeypatch.setattr(Engine, "export_targets", lambda self: [Contribution("engine 'toy'", target("two"))])
    limit(monkeypatch, 10)
    with pytest.raises(VoiceError, match=r"'anna' does not fit into memory: exporting needs about 10\.7 GiB"):
        export(voice, tmp_path / "out", "two", without_consent=CONSENT)
    limit(monkeypatch, 6)
    with pytest.raises(VoiceError, match=r"'anna' does not fit into memory: exporting needs about 6\.7 GiB"):
        export(voice, tmp_path / "out", "peft", without_consent=CONSENT)
    assert large_base == []
    limit(monkeypatch, 0.1)
    open_export_source(voice)  # whoever calls it has checked the memory for what follows
    assert large_base


def test_what_the_gpu_cannot_hold_is_told_with_what_helps(
    voice: VoiceFolder, large_base: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(monkeypatch, 100)
    monkeypatch.setattr(memory, "pick_device", lambda name: torch.device("cuda"))
    monkeypatch.setattr(memory, "memory_of", lambda device: 3.5 * GIB)

    class Quantised(vtune_toy.ToyOptions):
        quantization: str = vtune_toy.vtune.option("none", affects="training")

    monkeypatch.setattr(memory, "options_of", lambda *arguments: Quantised())
    with pytest.raises(VoiceError) as caught:
        open_voice(voice, precision="fp32")
    assert str(caught.value) == (
        "voice 'anna' does not fit into memory: speaking needs about 3.8 GiB, and there are 3.5 GiB on the GPU. Try "
        "--set quantization=4bit, or --device cpu, or a machine with more memory"
    )
    assert large_base == []


def test_an_engine_without_an_estimate_is_loaded(
    voice: VoiceFolder, large_base: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(monkeypatch, 0.001)

    def unknown(self: Engine, *arguments: Any) -> Any:
        raise EngineError("the base is not there")

    for footprint in (lambda self, *arguments: None, unknown):
        monkeypatch.setattr(Engine, "footprint", footprint)
        open_voice(voice)
    assert len(large_base) == 2


def test_a_server_refuses_it_too(voice: VoiceFolder, large_base: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    limit(monkeypatch, 5.1)
    chosen = VoiceRegistry(voice.path.parent, {}, {}, 8).find("anna")
    with pytest.raises(VoiceError, match="voice 'anna' does not fit into memory: speaking needs about 5"):
        SharedBase(chosen, "cpu", {}, 4)
    assert large_base == []
