from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

from vtune import load_recipe, pipeline
from vtune.export.consent import CONSENT_SENTENCE
from vtune.export.targets import TARGETS

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a folder with the voices ``anna``, who gave consent, and ``ben``, whose consent is not known."""
    import soundfile

    from vtune.testing import made_clip

    root = tmp_path_factory.mktemp("voices")
    (root / "speech").mkdir()
    rows = [{"audio": f"{number}.wav", "text": f"sentence {number}"} for number in range(4)]
    for number, row in enumerate(rows):
        soundfile.write(root / "speech" / row["audio"], made_clip(8000, 0.6, number).waveform, 8000)
    (root / "speech" / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for name, consent in {"anna": {"person": "Anna", "statement": "She agreed."}, "ben": None}.items():
        recipe: dict[str, Any] = {
            "voice": name,
            "engine": "toy",
            "data": [{"source": str(root / "speech")}],
            "folders": {"runs": str(root / "runs"), "voices": str(root / "voices")},
            "lora": {"rank": 4, "alpha": 8},
            "train": {"epochs": 2, "batch_size": 2, "learning_rate": 1e-2, "validation": 0, "warmup": 0},
            "evaluate": {"sentences": ["hello there"], "metrics": ["delivery"]},
            "consent": consent,
        }
        (root / f"{name}.yaml").write_text(yaml.safe_dump(recipe))
        pipeline.run(load_recipe(root / f"{name}.yaml"))
    return root / "voices"


def test_the_verb_offers_every_target(vtune: Run) -> None:
    page = Path(__file__).parents[2] / "docs" / "how-to" / "export.md"
    for name, target in TARGETS.items():
        assert f"{name}: {target.description}" in " ".join(vtune("export", "--help").stdout.split())
        assert f"| `{name}` | {target.description}" in page.read_text(encoding="utf-8")


def test_a_mistyped_target_suggests_the_nearest(vtune: Run, made: Path, tmp_path: Path) -> None:
    result = vtune("export", "anna", str(tmp_path / "out"), "--to", "mergd", "--voices", str(made))
    assert result.exit_code == 1
    message = "there is no export target 'mergd' for voices of the engine 'toy'; did you mean 'merged'? (targets: "
    assert message in result.stderr


def test_help_imports_no_heavy_module() -> None:
    """NumPy and pydantic are not imported either: each of them takes as long as the whole help."""
    heavy = {"torch", "transformers", "peft", "numpy", "pydantic", "av", "vtune.engines"}
    code = f"import sys, vtune_cli.export; sys.exit({heavy} & sys.modules.keys() or 0)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_export_says_what_was_found(vtune: Run, made: Path, tmp_path: Path) -> None:
    result = vtune("export", "anna", str(tmp_path / "out"), "--to", "peft", "--voices", str(made))
    assert result.exit_code == 0
    first, second = result.stdout.splitlines()
    assert first == f"{tmp_path / 'out'}: anna as peft, fp32"
    assert second.startswith("checked: read back by plain PEFT")
    assert "answers within 0.0e+00 of the voice's on 1 of its sentences (allowed 1e-03)" in second
    assert (tmp_path / "out" / "export.json").is_file()


def test_without_a_consent_the_words_are_told_and_then_taken(vtune: Run, made: Path, tmp_path: Path) -> None:
    arguments = ["export", "ben", str(tmp_path / "out"), "--to", "merged", "--voices", str(made)]
    refused = vtune(*arguments)
    assert refused.exit_code == 1
    assert len(refused.stderr.splitlines()) == 1
    assert f"--without-consent {CONSENT_SENTENCE!r}" in refused.stderr
    wrong = vtune(*arguments, "--without-consent", "yes")
    assert wrong.exit_code == 1
    assert "word for word" in wrong.stderr
    assert not (tmp_path / "out").exists()
    assert vtune(*arguments, "--without-consent", CONSENT_SENTENCE).exit_code == 0
    assert "**Not stated.**" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ([], 2, "give DIRECTORY and --to TARGET, or --push OWNER/NAME"),
        (["--to", "peft", "--public"], 2, "--public needs --push"),
        (["--to", "onnx"], 1, "there is no export target 'onnx' for voices of the engine 'toy' (targets: "),
        (["--to", "merged", "--dtype", "int8"], 2, "'int8' is not one of"),
        (["--to", "gguf-ready"], 1, "is no llama"),
        (["--to", "vllm"], 1, "vLLM does not serve its network"),
        (
            ["--to", "peft", "--dtype", "bf16"],
            1,
            "--to peft writes fp32 only; --dtype bf16 goes with --to gguf-ready or merged",
        ),
        (["--to", "peft", "--set", "widht=3"], 1, "has no option 'widht'; did you mean 'width'?"),
        (["--to", "peft", "--set", "width=8"], 1, "trained on another network"),
    ],
)
def test_mistakes_are_one_line(
    vtune: Run, made: Path, tmp_path: Path, arguments: list[str], code: int, says: str
) -> None:
    result = vtune("export", "anna", str(tmp_path / "out"), *arguments, "--voices", str(made))
    assert result.exit_code == code
    assert says in result.stderr
    assert code == 2 or len(result.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_an_unknown_voice_suggests_the_nearest(vtune: Run, made: Path, tmp_path: Path) -> None:
    result = vtune("export", "ana", str(tmp_path / "out"), "--to", "peft", "--voices", str(made))
    assert result.exit_code == 1
    assert "did you mean 'anna'?" in result.stderr
