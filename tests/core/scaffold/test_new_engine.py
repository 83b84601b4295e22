"""A new engine is written completely or not at all, and only its name differs from the template."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import soundfile

from vtune.errors import EngineError
from vtune.scaffold import templates, write_engine
from vtune.scaffold.new_engine import TEMPLATES, checked_name

NAMES = ("it", "my-tts", "a-name-of-thirty-characters-32")


def test_there_is_a_template_for_each_family() -> None:
    assert templates() == ["acoustic", "language-model"]


@pytest.mark.parametrize("template", templates())
@pytest.mark.parametrize("name", NAMES)
def test_no_trace_of_the_template_is_left(template: str, name: str, tmp_path: Path) -> None:
    folder = write_engine(name, template, tmp_path)

    package = name.replace("-", "_")
    files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    texts = {path: (folder / path).read_text() for path in files if not path.endswith(".flac")}
    old = template.replace("-", "[-_]") + "[-_]engine"
    assert not [path for path, text in texts.items() if re.search(old, path + text)]
    required = {
        ".github/workflows/test.yml", ".gitignore", "README.md", "pyproject.toml", "tests/test_contract.py",
        "tests/test_learning.py", f"{package}/__init__.py", f"{package}/py.typed", f"{package}/recipes/{name}.yaml",
    }  # fmt: skip
    assert required <= set(files)
    project = tomllib.loads(texts["pyproject.toml"])
    assert project["project"]["entry-points"]["vtune.engines"] == {name: package}
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == [package]


@pytest.mark.parametrize("template", templates())
@pytest.mark.parametrize("name", NAMES)
def test_the_style_does_not_depend_on_the_length_of_the_name(template: str, name: str, tmp_path: Path) -> None:
    pytest.importorskip("ruff", reason="ruff is in the group lint")
    folder = write_engine(name, template, tmp_path)

    for arguments in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *arguments, "."], cwd=folder, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout


def test_every_recording_has_its_words(tmp_path: Path) -> None:
    folder = write_engine("my-tts", "acoustic", tmp_path)

    recordings = folder / "my_tts" / "recipes" / "recordings"
    rows = (recordings / "transcripts.csv").read_text().splitlines()
    names = [row.partition(",")[0] for row in rows[1:]]
    assert sorted(names) == sorted(path.name for path in (recordings / "clips").iterdir())
    lengths = [soundfile.info(recordings / "clips" / name).duration for name in names]
    assert min(lengths) > 1
    assert sum(lengths) > 30


def test_caches_of_tools_are_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    templates_copy = tmp_path / "templates"
    shutil.copytree(TEMPLATES, templates_copy)
    cache = templates_copy / "acoustic" / "acoustic_engine" / "__pycache__"
    cache.mkdir(exist_ok=True)
    (cache / "base.pyc").write_bytes(b"\xff\xfe")
    (templates_copy / "acoustic" / ".ruff_cache").mkdir(exist_ok=True)
    (templates_copy / "acoustic" / ".ruff_cache" / "x").write_bytes(b"\xff\xfe")
    monkeypatch.setattr("vtune.scaffold.new_engine.TEMPLATES", templates_copy)

    folder = write_engine("my-tts", "acoustic", tmp_path)

    assert not [path for path in folder.rglob("*") if "cache" in path.name]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("My TTS", "engine name 'My TTS': use lower-case letters, digits and single hyphens, a letter first, 30 "
         "characters at most; did you mean 'my-tts'?"),
        ("my_tts", "did you mean 'my-tts'?"),
        ("", "engine name ''"),
        ("a" * 31, "30 characters at most"),
        ("9lives", "did you mean 'lives'?"),
        ("../up", "did you mean 'up'?"),
        ("class", "a word of Python's own; try 'class-tts'"),
        ("match", "a word of Python's own"),
        ("json", "the package 'json' is installed already, and two packages of one name hide each other; try 'json-"
         "tts'"),
        ("torch", "the package 'torch' is installed already"),
        ("vtune", "the package 'vtune' is installed already"),
        ("orpheus", "engine 'orpheus' is installed already, by vtune-tts"),
    ],
)  # fmt: skip
def test_a_name_that_is_not_usable_is_refused_in_one_line(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(EngineError) as error:
        write_engine(name, "acoustic", tmp_path)

    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_the_suggested_name_is_usable() -> None:
    for name in ("My TTS", "9lives", "../up", "tts!", "Ünïcode"):
        with pytest.raises(EngineError) as error:
            checked_name(name)
        suggested = re.search(r"did you mean '(.*)'\?", str(error.value))
        assert suggested is not None
        checked_name(suggested[1])


def test_an_unknown_template_is_told_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no template 'acustic'; did you mean 'acoustic'"):
        write_engine("my-tts", "acustic", tmp_path)

    assert not list(tmp_path.iterdir())


def test_what_exists_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "my-tts").mkdir()
    (tmp_path / "my-tts" / "mine.txt").write_text("mine")

    with pytest.raises(EngineError, match="exists already; choose another name"):
        write_engine("my-tts", "acoustic", tmp_path)

    assert [path.name for path in (tmp_path / "my-tts").iterdir()] == ["mine.txt"]


def test_nothing_half_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vtune.scaffold.new_engine.write_recordings", full_disk)

    with pytest.raises(Exception, match=r"[Nn]o space left"):
        write_engine("my-tts", "acoustic", tmp_path)

    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".")]
    assert not list(tmp_path.rglob("*.py"))
