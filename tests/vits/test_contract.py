"""The engine keeps vtune's contract: one test for each rule, on a voice of Piper's checkpoints and on one of ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from small_voice import small_network, small_settings, write_piper_checkpoint, write_piper_pair

import vtune
import vtune.testing

FAST = {"discriminator_narrowing": 16, "posterior_steps": 4}


@pytest.fixture(scope="session")
def checkpoint_options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    pytest.importorskip("piper")
    network = small_network(small_settings(speakers=2, speaker_size=4))
    return {"base_model": str(write_piper_checkpoint(tmp_path_factory.mktemp("checkpoint"), network)), **FAST}


@pytest.fixture(scope="session")
def onnx_options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    pytest.importorskip("piper")
    pytest.importorskip("onnx")
    return {"base_model": str(write_piper_pair(tmp_path_factory.mktemp("onnx"))), **FAST}


def test_a_voice_carries_the_licence_that_its_base_names(tmp_path: Path) -> None:
    pytest.importorskip("piper")
    checkpoint = write_piper_checkpoint(tmp_path, small_network(small_settings()))
    engine = vtune.load_engine("vits")
    options = engine.info.options.model_validate({"base_model": str(checkpoint)})
    load = lambda: engine.load_base(options, torch.device("cpu"), torch.float32)  # noqa: E731
    assert engine.licence(load()).terms == engine.info.licence
    (checkpoint.parent / "MODEL_CARD").write_text("# Voice\n\n## Dataset\n\n* License: CC0 1.0\n")
    terms = engine.licence(load()).terms
    assert "name this licence: CC0 1.0" in terms
    assert engine.info.licence in terms


CHANGES = {"lexicon": {"line": "lyne"}, "language": "de", "speaker": 1}

test_a_checkpoint_keeps_the_contract = vtune.testing.conformance_tests(
    "vits", "checkpoint_options", option_changes=CHANGES
)
test_an_onnx_voice_keeps_the_contract = pytest.mark.proof(
    vtune.testing.conformance_tests("vits", "onnx_options", option_changes=CHANGES)
)

# What a base of ONNX has of its own: how it is read, the encoder that learns for it, and what is written.
ONNX_RULES = (
    "fingerprint-follows-the-files",
    "footprint-counts-what-is-trained",
    "loss-is-a-mean",
    "gradients-reach-the-adapter",
    "training-parts-are-separate",
    "exported-voice-speaks-alike",
    "merged-files-come-back",
    "run-makes-a-voice",
)


def test_an_onnx_voice_keeps_the_rules_of_learning_and_writing(onnx_options: dict[str, Any]) -> None:
    outcomes = vtune.testing.engine_outcomes("vits", onnx_options, rules=ONNX_RULES, option_changes=CHANGES)
    assert [
        outcome.paragraph or outcome.rule for outcome in outcomes if outcome.status not in ("pass", "skipped")
    ] == []
