"""What is made again when an option of a finished run changes: nothing, the voice, the adapter, or the features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import Trainer

from vtune import load_recipe, pipeline
from vtune.engines import Engine
from vtune.runtime.paths import VoiceFolder
from vtune.voice_format.record import read_record
from vtune.voices.speech import open_voice


@dataclass(frozen=True)
class Case:
    """An engine with small options, and for each effect a change of an option that has this effect."""

    engine: str
    options: dict[str, Any]
    rate: int
    runtime: dict[str, Any]
    sampling: dict[str, Any]
    speech: dict[str, Any]
    training: dict[str, Any]
    features: dict[str, Any]


@pytest.fixture(params=["toy", "orpheus", "indextts2"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    if request.param == "toy":
        return Case(
            "toy", {}, 8000,
            runtime={"codec_device": "auto"}, sampling={"pitch": 330.0}, speech={"pace": 2.0},
            training={"dropout": 0.5}, features={"max_frames": 999},
        )  # fmt: skip
    tiny = tmp_path_factory.mktemp("tiny")
    if request.param == "orpheus":
        from vtune_orpheus.tiny_checkpoint import CODEC_CONFIG, build

        build(
            tiny, hidden=32, layers=1, codec={**CODEC_CONFIG, "encoder_dim": 4, "decoder_dim": 32, "codebook_size": 32}
        )
        return Case(
            "orpheus", {"base_model": str(tiny), "max_new_tokens": 14}, 16_000,
            runtime={"codec_device": "auto", "attn_implementation": "eager", "codec": str(tiny / "snac")},
            sampling={"temperature": 0.0}, speech={"reference_clips": 1}, training={"loss_among": "sound"},
            features={"voice_prefix": False},
        )  # fmt: skip
    from vtune_indextts2 import nano_checkpoint

    nano_checkpoint.build(tiny, width=32, layers=1)
    options = {"base_model": str(tiny), "normaliser": "basic", "max_codes": 8, "flow_steps": 1}
    return Case(
        "indextts2", options, 16_000,
        runtime={"frozen_device": "cpu"}, sampling={"segment_pause": 1.0}, speech={"reference": "average"},
        training={"dropout": 0.2}, features={"normaliser": "auto"},
    )  # fmt: skip


class Trained(Exception):
    """A training step was about to be made."""


def test_a_change_makes_again_what_its_option_affects_and_nothing_else(
    case: Case, tmp_path: Path, speech: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings, work = speech(count=3, rate=case.rate), Counter[str]()

    def counted(name: str) -> None:
        original = getattr(Engine, name)

        def count(*args: Any, **settings: Any) -> Any:
            work[name] += 1
            return original(*args, **settings)

        monkeypatch.setattr(Engine, name, count)

    def run(**changes: Any) -> tuple[VoiceFolder, set[str]]:
        recipe = {
            "voice": "someone",
            "engine": case.engine,
            "engine_options": {**case.options, **changes},
            "data": [{"source": str(recordings)}],
            "folders": {"runs": str(tmp_path / "runs"), "voices": str(tmp_path / "voices")},
            "lora": {"rank": 4, "alpha": 8},
            "train": {"epochs": 1, "batch_size": 3, "validation": 0, "warmup": 0, "report_to": ["none"]},
            "evaluate": {"sentences": ["hello"], "metrics": ["delivery"]},
        }
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(recipe))
        work.clear()
        try:
            (folder,) = pipeline.run(load_recipe(path))
        except Trained:
            return VoiceFolder(Path()), {"training", *work}
        return folder, set(work)

    for name in ("prepare_sample", "synthesize", "synthesize_together"):
        counted(name)
    folder, _ = run()
    monkeypatch.setattr(Trainer, "training_step", lambda *_, **__: (_ for _ in ()).throw(Trained))
    samples = {path.name: path.read_bytes() for path in folder.samples.iterdir()}

    assert run(**case.runtime) == (folder, set())
    assert case.runtime.items() <= read_record(folder).engine_options.items()

    assert run(**case.sampling) == (folder, set())
    assert case.sampling.items() <= open_voice(folder, "cpu").base.options.model_dump().items()
    assert {path.name: path.read_bytes() for path in folder.samples.iterdir()} == samples

    made_again, done = run(**case.speech)
    assert made_again == folder
    assert "synthesize" in done
    assert "prepare_sample" not in done

    assert run(**case.training)[1] == {"training"}
    assert run(**case.features)[1] == {"training", "prepare_sample"}
