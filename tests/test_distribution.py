"""The wheel and the sdist have everything, and a voice is made with the wheel alone, outside any checkout."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

pytestmark = pytest.mark.slow

DATA_SUFFIXES = {
    ".yaml",
    ".safetensors",
    ".json",
    ".html",
    ".txt",
    ".css",
    ".js",
    ".csv",
    ".flac",
    ".wav",
    ".opus",
    ".ogg",
}
"""Files beside modules that a package may read while it runs."""


def built(source: Path, target: Path, kind: str) -> Path:
    words = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(target)]
    answer = subprocess.run(words, cwd=source, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    (path,) = target.iterdir()
    return path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling")
    return built(ROOT, tmp_path_factory.mktemp("wheel"), "wheel")


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling")
    return built(ROOT, tmp_path_factory.mktemp("sdist"), "sdist")


def tracked(folder: str) -> set[str]:
    answer = subprocess.run(["git", "ls-files", folder], cwd=ROOT, capture_output=True, text=True, check=False)
    if answer.returncode:
        pytest.skip("this is no checkout of git")
    return set(answer.stdout.split("\n")) - {""}


def test_the_wheel_has_every_module_and_all_data(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("core", "cli", *(f"plugins/{path.name}" for path in (ROOT / "plugins").iterdir())):
        for path in tracked(folder):
            inside = Path(path).relative_to(folder)
            if len(inside.parts) > 1 and (inside.suffix == ".py" or inside.suffix in DATA_SUFFIXES):
                assert inside.as_posix() in names, inside
    for path in tracked("recipes"):
        assert f"vtune/{path}" in names
    assert not [name for name in names if name.startswith(("tests/", "docs/", "benchmarks/"))]
    assert sum(item.file_size for item in zipfile.ZipFile(wheel).infolist()) < 100_000_000  # PyPI's limit of a file


def test_the_sdist_builds_the_same_wheel(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (source,) = (tmp_path / "unpacked").iterdir()
    again = built(source, tmp_path / "again", "wheel")

    def contents(path: Path) -> dict[str, int]:
        return {item.filename: item.CRC for item in zipfile.ZipFile(path).infolist() if "RECORD" not in item.filename}

    assert contents(again) == contents(wheel)


def test_no_requirement_needs_a_c_compiler() -> None:
    """Packages of which PyPI has no wheels for CPython 3.11 on Linux, and which are no pure Python."""
    for extra, requirements in PROJECT["optional-dependencies"].items():
        for requirement in (*requirements, *PROJECT["dependencies"]):
            assert not requirement.lower().startswith(("webrtcvad>", "webrtcvad=", "resemblyzer")), extra
    assert "webrtcvad" not in [name.lower() for name in PROJECT["dependencies"]]


@pytest.fixture
def alone(wheel: Path, tmp_path: Path) -> Callable[..., str]:
    """Run Python in an empty folder with vtune from the wheel; what vtune requires comes from this environment."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    (tmp_path / "empty").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}

    def python(*words: str) -> str:
        answer = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path / "empty",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.returncode == 0, answer.stderr[-3000:]
        return answer.stdout

    return python


def test_the_wheel_finds_its_recipes_and_their_recordings(alone: Callable[..., str], tmp_path: Path) -> None:
    import vtune

    found = Path(alone("-c", "import vtune; print(vtune.__file__)").strip())
    assert found.is_relative_to(tmp_path / "site")
    assert not found.samefile(vtune.__file__)
    listed = {line.split()[0] for line in alone("-m", "vtune_cli", "recipe", "list").splitlines() if line.strip()}
    assert {"quickstart", "nano", "hibari_character", "orpheus_character", "indextts2_character"} <= listed
    pytest.importorskip("hibari", reason="the quickstart needs the package hibari-tts")
    plan = alone("-m", "vtune_cli", "plan", "quickstart")
    with (ROOT / "recipes" / "quickstart" / "train" / "transcripts.csv").open(newline="", encoding="utf-8") as file:
        clips = len(list(csv.DictReader(file)))
    assert re.search(rf"^clips +{clips} clips", plan, re.MULTILINE), plan
    assert re.search(r"^memory .*fits$", plan, re.MULTILINE), plan


@pytest.mark.proof
def test_a_voice_is_made_with_the_wheel_alone(alone: Callable[..., str], tmp_path: Path) -> None:
    pytest.importorskip("hibari", reason="the quickstart needs the package hibari-tts")
    short = ["train.max_steps=2", "train.epochs=1", "evaluate.clips=2", "evaluate.sentences=[]", "evaluate.seeds=1"]
    short += ["evaluate.checkpoint_sentences=0", "evaluate.train_sentences=0", "evaluate.metrics=[speaker, delivery]"]
    alone("-m", "vtune_cli", "run", "quickstart", *short)
    scores = json.loads((tmp_path / "empty" / "voices" / "quickstart" / "scores.json").read_text())
    assert "speaker_similarity" in {score["spec"]["name"] for score in scores["scores"]}
    alone("-m", "vtune_cli", "say", "quickstart", "Anything you like.", "--out", "anything.wav")
    assert (tmp_path / "empty" / "anything.wav").stat().st_size > 10_000
