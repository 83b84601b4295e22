"""`vtune engine new` writes an engine that installs as any distribution does, trains unchanged and learns."""

from __future__ import annotations

import os
import re
import site
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from vtune.audio.made_speech import MadeSpeaker
from vtune_cli.main import main

TEMPLATES = ("language-model", "acoustic")
TEXT = "a lion sees the moon"  # the sentence of the recipes


@pytest.fixture(scope="module", params=TEMPLATES)
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a new engine and a virtual environment in which the engine is installed."""
    folder = tmp_path_factory.mktemp(request.param)
    made = CliRunner().invoke(main, ["engine", "new", "my-tts", "--template", request.param, "--into", str(folder)])
    assert made.exit_code == 0, made.output
    environment = folder / "venv"
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
    parents = [path for path in {*site.getsitepackages(), sysconfig.get_path("purelib")} if Path(path).is_dir()]
    (packages / "parent.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in parents))
    install = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--editable"]
    run([sys.executable, "-m", "pip", "--python", str(python), *install, str(folder / "my-tts")], folder)
    return folder / "my-tts"


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture
def python(project: Path) -> Callable[..., str]:
    def call(*arguments: str) -> str:
        return run([str(project.parent / "venv" / "bin" / "python"), *arguments], project.parent)

    return call


@pytest.mark.slow
def test_a_new_engine_trains_unchanged_and_its_voice_sounds_like_the_recordings(
    project: Path, python: Callable[..., str]
) -> None:
    python("-m", "vtune_cli", "run", "my-tts", "evaluate.metrics=[delivery]")

    samples = project.parent / "voices" / "demo" / "samples"
    recorded = spectrum(MadeSpeaker().speak(TEXT, 8000, seed=1))
    voice, base = (spectrum(soundfile.read(samples / name)[0]) for name in ("01.wav", "01_base.wav"))
    distances = [float(np.abs(sound - recorded).mean()) for sound in (voice, base)]
    assert distances[0] < 0.6 * distances[1], f"dB to the recordings: voice {distances[0]}, base {distances[1]}"


def spectrum(waveform: np.ndarray) -> np.ndarray:
    """Return the share of the energy in each of 16 bands of 250 Hz, in dB, ``[16]``; silence counts as -40 dB."""
    power = np.square(np.abs(np.fft.rfft(waveform, 8000)))[:4000].reshape(16, 250).sum(axis=1)
    return 10 * np.log10(power / power.sum() + 1e-4)


@pytest.mark.proof
def test_a_new_engine_passes_its_own_tests_style_and_types(project: Path, python: Callable[..., str]) -> None:
    started = time.monotonic()
    lines = python("-W", "ignore", "-m", "pytest", "-q", "-p", "no:cacheprovider", str(project)).splitlines()
    print(f"tests of {project.parent.name}: {time.monotonic() - started:.0f} s, {lines[-1]}")
    for command in (["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]):
        run([str(project.parent / "venv" / "bin" / "python"), "-m", *command], project)


def test_the_tutorial_shows_the_files_and_the_answer_as_they_are(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "tutorial" / "first-engine.md").read_text(encoding="utf-8")

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        result = CliRunner().invoke(main, ["engine", "new", "my-tts", "--template", "acoustic"])

    assert f"```text\n{result.output}```" in page
    assert "(errors * mask).sum() / count" in (tmp_path / "my-tts" / "my_tts" / "network.py").read_text()
    written = {path.name for path in (tmp_path / "my-tts").rglob("*")}
    for name in re.findall(r"`(?:[\w.-]+/)*(\w+\.(?:py|toml|yaml|yml))`", page):
        assert name in written, f"the tutorial names {name}"
    known = (tmp_path / "my-tts" / "my_tts" / "options.py").read_text()
    for option in re.findall(r"^    (\w+) = .* \(affects", page, re.MULTILINE):
        assert f"    {option}: " in known


def test_a_mistake_is_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["engine", "new", "My TTS", "--into", str(tmp_path)])

    assert result.exit_code == 1
    assert result.output.startswith("Error: engine name 'My TTS': use lower-case letters")
    assert len(result.output.splitlines()) == 1


def test_the_answer_names_the_next_commands(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["engine", "new", "my-tts", "--into", str(tmp_path)])

    assert result.exit_code == 0
    for command in (f"pip install -e {tmp_path / 'my-tts'} pytest", "vtune engine check my-tts", "vtune run my-tts"):
        assert command in result.output
