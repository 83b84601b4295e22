"""``lora.arguments`` as a user sees it: what a recipe may say, and what a DoRA voice can and cannot do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile
import yaml
from click.testing import CliRunner, Result

from vtune.testing import made_clip
from vtune_cli.main import main

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a folder with the voices ``dora`` and ``plain``."""
    root = tmp_path_factory.mktemp("dora")
    (root / "speech").mkdir()
    rows = [{"audio": f"{number}.wav", "text": f"sentence {number}"} for number in range(4)]
    for number, row in enumerate(rows):
        soundfile.write(root / "speech" / row["audio"], made_clip(8000, 0.6, number).waveform, 8000)
    (root / "speech" / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for name, arguments in {"dora": {"use_dora": True}, "plain": {}}.items():
        recipe: dict[str, Any] = {
            "voice": name,
            "engine": "toy",
            "data": [{"source": str(root / "speech")}],
            "folders": {"runs": str(root / "runs"), "voices": str(root / "voices")},
            "lora": {"rank": 4, "arguments": arguments},
            "train": {"epochs": 2, "batch_size": 2, "learning_rate": 1e-2, "validation": 0, "warmup": 0},
            "evaluate": {"sentences": ["hello there"], "metrics": ["delivery"]},
            "consent": {"person": "A tone", "statement": "Tones need not be asked."},
        }
        (root / f"{name}.yaml").write_text(yaml.safe_dump(recipe))
        result = CliRunner().invoke(main, ["run", str(root / f"{name}.yaml")])
        assert result.exit_code == 0, result.output
    return root / "voices"


def test_what_is_written_of_a_dora_voice_is_true(made: Path) -> None:
    records = {name: json.loads((made / name / "voice.json").read_text()) for name in ("dora", "plain")}
    assert {name: record["servable"] for name, record in records.items()} == {"dora": False, "plain": True}
    assert records["dora"]["lora"]["arguments"] == {"use_dora": True}
    cards = {name: (made / name / "README.md").read_text() for name in records}
    assert "| method | LoRA (DoRA), rank 4, alpha 8, dropout 0, targets all |" in cards["dora"]
    assert "Servers such as vLLM take this adapter merged only" in cards["dora"]
    assert "| method | LoRA, rank 4, alpha 8" in cards["plain"]
    assert "The adapter can be served unmerged beside others." in cards["plain"]


def test_a_training_without_arguments_is_the_same_as_before_there_were_any(made: Path) -> None:
    (identity,) = (made.parent / "runs/plain/checkpoints").glob("*/identity.json")
    assert sorted(json.loads(identity.read_text())["lora"]) == [
        "alpha", "dropout", "modules_to_save", "rank", "rslora", "targets",
    ]  # fmt: skip
    (identity,) = (made.parent / "runs/dora/checkpoints").glob("*/identity.json")
    assert json.loads(identity.read_text())["lora"]["arguments"] == {"use_dora": True}


def test_a_dora_voice_speaks_and_is_merged_and_exported(vtune: Run, made: Path, tmp_path: Path) -> None:
    result = vtune("say", str(made / "dora"), "hello there", "--out", str(tmp_path / "said.wav"))
    assert result.exit_code == 0, result.output
    assert soundfile.info(tmp_path / "said.wav").frames
    assert vtune("merge", str(made / "dora"), str(tmp_path / "merged")).exit_code == 0
    exported = vtune("export", str(made / "dora"), str(tmp_path / "peft"), "--to", "peft")
    assert exported.exit_code == 0, exported.output
    assert json.loads((tmp_path / "peft/adapter_config.json").read_text())["use_dora"] is True


def test_what_a_dora_voice_cannot_do_is_one_sentence(vtune: Run, made: Path, tmp_path: Path) -> None:
    refused = vtune("export", str(made / "dora"), str(tmp_path / "vllm"), "--to", "vllm")
    assert refused.exit_code == 1
    assert "vLLM does not serve an adapter with DoRA; export it --to merged" in refused.output
    mixed = vtune("mix", "0.5*dora+0.5*plain", "--name", "both", "--voices", str(made))
    assert mixed.exit_code == 1
    assert mixed.output.strip().splitlines() == [
        "Error: voice 'dora' is a DoRA adapter, and such adapters cannot be added up; merge it to use it alone "
        "('vtune merge'), or train it without lora.arguments.use_dora to mix it"
    ]


@pytest.mark.parametrize(
    ("arguments", "line", "message"),
    [
        ("{use_dorra: true}", 5, "unknown key 'use_dorra' in section 'lora.arguments'; did you mean 'use_dora'?"),
        ("{r: 8}", 5, "'lora.arguments.r' cannot be set here: write it as the key 'lora.rank'"),
        ("{target_modules: [inner]}", 5, "write it as the key 'lora.targets'"),
        ("{task_type: CAUSAL_LM}", 5, "'lora.arguments.task_type' cannot be set here: the engine sets it"),
        ("\n    layer_replication: [[0, 1]]", 6, "it gives the network more layers than the voice's base has"),
        ("\n    use_dora: perhaps", 6, "'lora.arguments.use_dora' must be true or false"),
        (
            "\n    rank_pattern: {inner: many}",
            6,
            "'lora.arguments.rank_pattern.inner' must be a",
        ),
        ("\n    init_lora_weights: pissa", 6, "pissa changes the weights of the base, which other voices on that base"),
        ("\n    init_lora_weights: eva", 6, "eva begins from calibration data, and vtune collects none (found 'eva')"),
        ("{lora_bias: true, use_dora: true}", 5, "lora_bias and use_dora cannot be combined; choose one"),
    ],
)
def test_an_argument_that_cannot_be_is_one_line_with_its_place(
    vtune: Run, tmp_path: Path, arguments: str, line: int, message: str
) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(f"voice: a\nengine: toy\ndata: [{{source: x}}]\nlora:\n  arguments: {arguments}\n")
    result = vtune("recipe", "check", str(path))
    assert result.exit_code == 1
    (problem,) = result.output.strip().splitlines()
    assert f"{path}:{line}:" in problem or f"r.yaml:{line}" in problem, problem
    assert message in problem


def test_an_argument_is_an_override_too(vtune: Run, tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("voice: a\nengine: toy\ndata: [{source: x}]\n")
    shown = vtune("recipe", "show", str(path), "lora.arguments.use_dora=true")
    assert yaml.safe_load(shown.output)["lora"]["arguments"] == {"use_dora": True}
