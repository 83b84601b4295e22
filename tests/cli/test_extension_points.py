"""Every module of the page "Write an extension" is installed and used through the command line."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import yaml
from click.testing import CliRunner, Result

from vtune.engines.contributions import extension_contributions
from vtune.serve.audio_output import AudioOutput
from vtune.serve.schemas import SpeechRequest
from vtune_cli.main import main

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "extensions.md"
MODULES = dict(re.findall(r'```python title="(\w+)\.py"\n(.*?)```', PAGE.read_text(encoding="utf-8"), re.DOTALL))

Run = Callable[..., Result]


def test_the_page_has_an_example_of_every_hook_of_extensions() -> None:
    from vtune.contract.hookspecs import HOOK_SECTIONS

    hooks = {hook for source in MODULES.values() for hook in re.findall(r"hookimpl.*\ndef (\w+)", source)}
    assert hooks - {"synthesize"} == set(HOOK_SECTIONS["Extensions"]) - {"watermark"}


def use(*arguments: str) -> Result:
    """Run the command line; a bug's traceback fails the test."""
    main.commands.clear()  # the extensions of this module were installed after others may have been looked for
    main.problems = ()
    result = CliRunner().invoke(main, list(arguments))
    main.commands.clear()
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Install each module of the page as a distribution of its own, as pip leaves it."""
    site = tmp_path_factory.mktemp("site")
    for module, source in MODULES.items():
        name = module.removeprefix("vtune_")
        info = site / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vtune-{name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[vtune.plugins]\n{name} = {module}\n")
        (site / f"{module}.py").write_text(source)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        importlib.invalidate_caches()
        extension_contributions.cache_clear()
        yield site
    extension_contributions.cache_clear()
    for module in MODULES:
        sys.modules.pop(module, None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, installed: Path) -> Path:
    """A folder with recordings, their words in a table of the extension's format, and the voice of a run."""
    from vtune.testing import made_clip

    root = tmp_path_factory.mktemp("extended")
    (root / "speech").mkdir()
    lines = ["no words here"]
    for number in range(8):
        soundfile.write(root / "speech" / f"{number}.wav", made_clip(8000, 0.8, number).waveform, 8000)
        lines.append(f"{number}.wav = sentence number {number}")
    (root / "speech" / "words.eq").write_text("\n".join(lines))
    recipe: dict[str, Any] = {
        "voice": "anna",
        "engine": "toy",
        "data": [{"source": str(root / "speech")}],
        "folders": {"runs": str(root / "runs"), "voices": str(root / "voices")},
        "lora": {"rank": 4, "alpha": 8},
        "train": {"epochs": 2, "batch_size": 2, "learning_rate": 1e-2, "log_every": 1, "warmup": 0, "validation": 0.3},
        "evaluate": {"sentences": ["hello there"], "metrics": ["level"]},
        "consent": {"person": "Anna", "statement": "She agreed."},
        "extensions": {"losses": {"file": str(root / "losses.txt")}, "gain": {"factor": 0.25}},
    }
    (root / "anna.yaml").write_text(yaml.safe_dump(recipe))
    use("run", str(root / "anna.yaml"))
    return root


def test_a_table_is_found_and_its_bad_line_is_named(folder: Path) -> None:
    ledger = (folder / "runs" / "anna" / "ledger.jsonl").read_text()
    assert "the line has no ' = '" in ledger
    report = use("plan", str(folder / "anna.yaml")).output
    assert "lines with an equals sign" in report
    assert "read by extension 'equals' (vtune-equals 1.0): table format" in report


def test_a_metric_is_in_the_scores(folder: Path) -> None:
    scores = json.loads((folder / "voices" / "anna" / "scores.json").read_text())
    recordings = [row for row in scores["utterances"] if row["system"] == "recording"]
    assert recordings
    assert {row["system"] for row in scores["utterances"]} >= {"recording", "voice"}
    for row in recordings:
        sound, _ = soundfile.read(folder / "speech" / f"{row['text'].split()[-1]}.wav")
        assert row["metrics"] == {"level_dbfs": pytest.approx(10 * np.log10(np.square(sound).mean()), abs=0.01)}


def test_a_callback_sees_each_logged_loss(folder: Path) -> None:
    lines = (folder / "losses.txt").read_text().split("\n")
    steps = json.loads((folder / "voices" / "anna" / "voice.json").read_text())["training"]["steps"]
    assert steps > 2
    assert [int(line.split()[0]) for line in lines if line] == list(range(1, steps + 1))


def test_speech_is_written_and_sent_in_a_new_format(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "hello.ulaw"
    use("say", "anna", "Hello.", "--voices", str(folder / "voices"), "--out", str(out))
    use("say", "anna", "Hello.", "--voices", str(folder / "voices"), "--out", str(out.with_suffix(".wav")))
    result, _ = soundfile.read(out, format="RAW", subtype="ULAW", samplerate=8000, channels=1)
    expected, _ = soundfile.read(out.with_suffix(".wav"))
    assert np.abs(result - expected).max() <= 0.02 * np.abs(expected).max() + 1e-3  # 8 bits, finer where it is quiet
    request = SpeechRequest(input="Hello.", voice="anna", response_format="ulaw")
    tone = np.sin(np.arange(24_000) * 2 * np.pi * 440 / 24_000).astype(np.float32) / 2
    output = AudioOutput(request.response_format, 24_000)
    assert len(output.add(tone) + output.end()) == pytest.approx(8000, abs=2), "sent at the format's own rate"
    schema = SpeechRequest.model_json_schema()["properties"]["response_format"]
    assert "ulaw" in schema["enum"]
    assert "ulaw: G.711, for telephones" in schema["description"]


def test_a_recogniser_transcribes(folder: Path, tmp_path: Path) -> None:
    for name, loudness in (("a", 0.5), ("b", 0.02)):
        times = np.arange(2 * 16_000) / 16_000
        voiced = sum(np.sin(2 * np.pi * 120 * number * times) / number for number in range(1, 20))
        sound = loudness * voiced / np.abs(voiced).max() * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * times))
        soundfile.write(tmp_path / f"{name}.wav", sound, 16_000)
    use("transcribe", str(tmp_path), "--backend", "loudness", "--model", "0.1")
    rows = [line.split(",")[:2] for line in (tmp_path / "transcript.csv").read_text().splitlines()[1:]]
    assert rows == [["a", "loud"], ["b", "quiet"]]


def test_a_target_exports_and_is_compared(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = use("export", "anna", str(out), "--to", "npz", "--voices", str(folder / "voices"))
    assert "read back by the export target 'npz' of extension 'npz' (vtune-npz 1.0): answers within" in result.output
    with np.load(out / "weights.npz") as file:
        weights = {name: file[name] for name in file.files}
    from safetensors.numpy import load_file

    adapter = load_file(folder / "voices" / "anna" / "adapter_model.safetensors")
    (down,) = [array for name, array in adapter.items() if "outer.lora_A" in name]
    (up,) = [array for name, array in adapter.items() if "outer.lora_B" in name]
    from vtune_toy import ToyNetwork

    with torch.random.fork_rng():
        torch.manual_seed(0)
        base = ToyNetwork(16, 0.0).outer.weight.detach().numpy()
    assert np.allclose(weights["outer.weight"], base + 8 / 4 * up @ down, atol=1e-5)
    assert np.abs(up @ down).max() > 1e-4
    assert "# anna" in (out / "README.md").read_text()
    assert json.loads((out / "export.json").read_text())["target"] == "npz"


def test_a_command_is_listed_and_runs(folder: Path) -> None:
    assert "size        Print the bytes of VOICE." in use("--help").output
    voice = folder / "voices" / "anna"
    total = sum(path.stat().st_size for path in voice.rglob("*") if path.is_file())
    assert use("size", "anna", "--voices", str(voice.parent)).output == f"anna: {total:,} bytes\n"


def test_plugins_lists_each_with_its_hooks_and_what_it_adds(folder: Path, installed: Path) -> None:
    lines = use("plugins").output.splitlines()
    row = next(line for line in lines if line.startswith("ulaw "))
    assert row.split()[1:4] == ["extension", "1.0", "loaded"]
    assert row.endswith(f"vtune-ulaw, installed in {installed}")
    assert lines[lines.index(row) + 1 : lines.index(row) + 3] == ["    hooks: audio_formats", "    audio_formats: ulaw"]
    details = use("plugins", "gain").output
    assert "active: only in runs whose recipe has extensions.gain" in details
    assert "factor = 1.0 (affects speech): Factor of each sample." in details
    source = (installed / "vtune_gain.py").read_text().splitlines()
    match = re.search(r"wrapper of synthesize: (.*):(\d+)", details)
    assert match is not None
    assert match[1] == str(installed / "vtune_gain.py")
    assert "def synthesize" in "\n".join(source[int(match[2]) - 1 : int(match[2]) + 1])


def peak(folder: Path, out: Path, voice: str = "anna") -> float:
    use("say", voice, "Hello there.", "--voices", str(folder / "voices"), "--out", str(out))
    return float(np.abs(soundfile.read(out)[0]).max())


def test_a_voice_speaks_with_the_options_of_its_own_run(
    folder: Path, installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    record = json.loads((folder / "voices" / "anna" / "voice.json").read_text())
    assert record["extensions"]["gain"] == {
        "origin": "extension 'gain' (vtune-gain 1.0)", "options": {"factor": 0.25}, "wraps": ["synthesize"],
    }  # fmt: skip
    quiet = peak(folder, tmp_path / "a.wav")
    assert not caplog.records
    monkeypatch.setenv("VTUNE_BLOCK_PLUGINS", "gain")
    loud = peak(folder, tmp_path / "b.wav")
    assert quiet == pytest.approx(loud / 4, abs=1e-4)
    (warning,) = [entry.getMessage() for entry in caplog.records]
    assert warning == (
        "voice anna was made with extension 'gain' (vtune-gain 1.0), which is not loaded here: it speaks without what "
        "this extension does in synthesize"
    )
    monkeypatch.delenv("VTUNE_BLOCK_PLUGINS")
    # A voice of a run without the section speaks without the extension.
    (folder / "ben.yaml").write_text(
        f"extends: anna.yaml\nvoice: ben\nextensions: {{losses: {{file: {folder / 'ben.txt'}}}}}\n"
    )
    recipe = yaml.safe_load((folder / "anna.yaml").read_text())
    recipe |= {"voice": "ben", "extensions": {}}
    (folder / "ben.yaml").write_text(yaml.safe_dump(recipe))
    use("run", str(folder / "ben.yaml"))
    assert peak(folder, tmp_path / "c.wav", "ben") == pytest.approx(loud, abs=1e-4)
