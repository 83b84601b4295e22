"""Each verb, stopped by a signal in the middle of its writing: exit code, line, what it leaves, and its next run."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from forks import Forks
from waiting import alive

from vtune_cli import stopping
from vtune_cli.main import VERBS

pytestmark = pytest.mark.slow

SERVING_VERBS = frozenset({"serve", "review", "studio"})
"""Verbs that end only by a signal: with exit code 0."""

CONSENT = "I have the right to publish this voice"

RECIPE = """\
voice: {name}
engine: {engine}
data: [{{source: speech}}]
train: {{epochs: 1, batch_size: 4, learning_rate: 1e-2, validation: 0.25}}
evaluate:
  {{sentences: [hello], metrics: [delivery], source: held, checkpoint_sentences: 0, train_sentences: 0}}
"""

STUDY = "runs/ann/tuning/study/best.yaml"

CONVERTING = """
import json, vtune, vtune_toy
from safetensors.torch import load_file
from vtune.contract.imports import ImportedVoice
from vtune.voice_format.record import read_conditioning
from vtune_toy import *

@vtune.hookimpl
def convert(base, model, audio, conditioning, seed):
    yield vtune.Audio(audio.waveform * 0.5, audio.sample_rate, vtune.Ending.PLANNED)

@vtune.hookimpl
def import_voice(base, source):
    lora = json.loads((source.path / "voice.json").read_text())["lora"]
    shape = vtune.LoraSettings(lora["rank"], lora["alpha"], lora["dropout"], lora["rslora"], tuple(lora["targets"]))
    weights = load_file(str(source.path / "adapter_model.safetensors"))
    kept = read_conditioning(source.path / "conditioning.safetensors")
    return ImportedVoice("a voice of a toy", weights, kept, [source.path / "adapter_model.safetensors"], shape)
"""


@dataclass(frozen=True)
class Case:
    """A command, and what it makes.

    :param made: files and folders that are there completely or not at all.
    """

    arguments: tuple[str, ...]
    made: tuple[str, ...]

    @property
    def verb(self) -> str:
        return self.arguments[0]

    @property
    def exit_code(self) -> int | None:
        """The documented code after a signal; None: that of the signal."""
        return None if self.verb in stopping.SHORT_VERBS else 75


def case(line: str, *made: str) -> Case:
    return Case(tuple(line.split()) if "|" not in line else tuple(line.split("|")), made)


CASES = [
    case("run again.yaml", "voices/again"),
    case("train again.yaml"),
    case("tune ann.yaml --search lora.rank=2,4 --trials 2 --metric duration_ratio", STUDY),
    case("prepare raw out", "out/ledger.jsonl", "out/report.json", "out/talk0_001.wav"),
    case("transcribe cut --model tiny.pt --device cpu", "cut/transcript.csv"),
    case("evaluate ann evaluate.clips=2 --device cpu", "voices/ann/evaluation"),
    case("compare ann ben --texts lines.txt --out heard --device cpu", "heard"),
    case("merge ann whole --device cpu", "whole"),
    case("mix 0.5*ann+0.5*ben --name duo --device cpu", "voices/duo"),
    case("import voices/con --engine engine.py --name came --device cpu", "voices/came"),
    case(f"export|ann|copy|--to|peft|--without-consent|{CONSENT}", "copy"),
    case(f"export|ann|copy|--to|merged|--without-consent|{CONSENT}", "copy"),
    case("say ann hello --out said.wav --device cpu", "said.wav"),
    case("convert con held/clips/clip_050.wav --engine-file engine.py --out turned.wav --device cpu", "turned.wav"),
]


def name_of(case: Case) -> str:
    return "-".join(case.arguments[:1] if case.verb != "export" else ("export", case.arguments[4]))


@pytest.fixture
def world(tmp_path: Path, forks: Forks, speech: Callable[..., Path], template: Path) -> Path:
    """A folder with recordings, recipes, and the voices ``ann``, ``ben`` and ``con``; made once, and copied."""
    if not list(template.iterdir()):
        shutil.move(speech(), template / "speech")
        shutil.move(speech("held", 2, first=50), template / "held")
        (template / "engine.py").write_text(CONVERTING)
        for name, engine in {"ann": "toy", "ben": "toy", "again": "toy", "con": "engine.py"}.items():
            (template / f"{name}.yaml").write_text(RECIPE.format(name=name, engine=engine))
        (template / "lines.txt").write_text("first line\nsecond line\n")
        _write_recordings(template)
        torch.save(_tiny_whisper(), template / "tiny.pt")
        for name in ("ann", "ben", "con"):
            code, output = forks.run(template, "run", f"{name}.yaml", f"train.seed={len(name) + ord(name[0])}")
            assert code == 0, output
    world = tmp_path / "world"
    shutil.copytree(template, world)
    return world


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("template")


def _write_recordings(folder: Path) -> None:
    rate = 16_000
    times = np.arange(4 * rate) / rate
    silence = 1e-4 * np.random.default_rng(0).standard_normal(2 * rate)
    (folder / "raw").mkdir()
    (folder / "cut").mkdir()
    for number in range(2):
        pitch = 140 + 20 * number
        voice = 0.1 * sum(np.sin(2 * np.pi * pitch * n * times + n) / n for n in range(1, 20))
        soundfile.write(
            folder / f"raw/talk{number}.wav", np.concatenate([silence, voice, silence, voice, silence]), rate
        )
        noise = np.random.default_rng(number).normal(0, 0.2, rate)
        soundfile.write(folder / f"cut/{number}.wav", noise * np.clip(np.sin(31 * times[:rate]), 0, None) ** 2, rate)


def _tiny_whisper() -> dict[str, object]:
    from whisper.model import ModelDimensions, Whisper

    torch.manual_seed(0)
    dims = ModelDimensions(80, 1500, 16, 2, 1, 51865, 32, 16, 2, 1)
    whisper = Whisper(dims)
    for weight in whisper.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return {"dims": vars(dims), "model_state_dict": whisper.state_dict()}


TIMED = (
    "README.md",
    "voice.json",
    "export.json",
    "listen.html",
    ".jsonl",
    "scores.json",
    "said.changes",
    "said.1",
    "said.2",
)
"""Files that hold a time or a speed."""


def contents(folder: Path, made: tuple[str, ...]) -> dict[str, bytes]:
    """Return what lies at the places of a command's results; of files that hold a time, only that they are there."""
    files = {}
    for name in made:
        path = folder / name
        for file in [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file()):
            files[str(file.relative_to(folder))] = b"" if file.name.endswith(TIMED) else file.read_bytes()
    return files


def leftovers(folder: Path) -> list[str]:
    """Return what is half written."""
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if "partial" in path.name]


def test_every_verb_is_known_here() -> None:
    kinds = (stopping.RESUMING_VERBS, stopping.RESTARTING_VERBS, stopping.SHORT_VERBS, SERVING_VERBS)
    assert sum(len(kind) for kind in kinds) == len(frozenset().union(*kinds)) == len(VERBS)
    assert frozenset().union(*kinds) == VERBS.keys()
    silent = {"check", "doctor", "plan", "voices", "recipe", "engines", "engine", "plugins"}
    assert {case.verb for case in CASES} == VERBS.keys() - silent - SERVING_VERBS


SAMPLE = frozenset({"prepare", "evaluate", "merge", "say"})
"""A verb of each kind: it resumes from clips, from sentences, writes a folder, writes a file. The others are proofs."""


@pytest.mark.parametrize("case", [case for case in CASES if case.verb in SAMPLE], ids=name_of)
def test_a_verb_that_a_signal_stops_in_the_middle(forks: Forks, world: Path, tmp_path: Path, case: Case) -> None:
    check_stopping(forks, world, tmp_path, case, {"SIGTERM": 0.5})


@pytest.mark.proof
@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_a_verb_that_any_signal_stops(forks: Forks, world: Path, tmp_path: Path, case: Case) -> None:
    check_stopping(forks, world, tmp_path, case, {"SIGTERM": 0, "SIGINT": 0.5, "SIGHUP": 0.95, "SIGUSR1": 1})


def check_stopping(forks: Forks, world: Path, tmp_path: Path, case: Case, moments: dict[str, float]) -> None:
    """Stop a command by signals, each time from the start, and let it begin again: the result is that of one go.

    :param moments: for each signal, the share of the command's changes of files after which it arrives.
    """
    straight = tmp_path / "straight"
    shutil.copytree(world, straight)
    code, output = forks.run(straight, *case.arguments, SIGNAL_AT_CHANGE="0", SIGNAL="SIGTERM")
    assert code == 0, output
    changes = int((straight / "said.changes").read_text())
    expected = contents(straight, case.made)
    assert bool(expected) == bool(case.made)
    for name, share in moments.items():
        moment = max(1, min(round(share * changes), changes if share == 1 else changes - 2))
        at = tmp_path / name
        shutil.copytree(world, at)
        number = getattr(signal, name)
        code, output = forks.run(at, *case.arguments, SIGNAL_AT_CHANGE=str(moment), SIGNAL=name)
        where = f"{name} at {moment} of {changes} changes: {output}"
        assert "Traceback" not in output, where
        assert leftovers(at) == [], where
        if code == 0:  # the last change is behind all that can be stopped
            assert moment >= changes - 1, where
            assert contents(at, case.made) == expected, where
            continue
        assert code == (-number if case.exit_code is None else case.exit_code), where
        lines = [line for line in output.splitlines() if line.startswith("stopped")]
        assert len(lines) == (0 if case.exit_code is None else 1), where
        for line in lines:
            assert f"after {name}; " in line
            assert line == output.splitlines()[-1]
            assert line.endswith(("run the same command to resume", "run the same command again")), where
        for made in case.made:
            if (at / made).exists() and made != STUDY:  # the best of the trials so far
                assert contents(at, (made,)) == contents(straight, (made,)), where
        if case.verb in ("merge", "mix", "export") and (at / case.made[0]).exists():
            continue  # it was done, and would be refused now
        code, output = forks.run(at, *case.arguments)
        assert code == 0, where + output
        assert contents(at, case.made) == expected, where


@pytest.mark.parametrize(
    ("line", "name", "exit_code"),
    [
        ("serve --port 0 --device cpu", "SIGTERM", 0),
        ("serve --port 0 --device cpu", "SIGINT", 0),
        ("review speech --no-browser", "SIGINT", 0),
        ("studio --no-browser", "SIGINT", 0),
        ("studio --no-browser", "SIGTERM", 0),
        ("review speech --no-browser", "SIGTERM", -signal.SIGTERM),
    ],
)
def test_a_verb_that_runs_until_a_signal(forks: Forks, world: Path, line: str, name: str, exit_code: int) -> None:
    process = forks.start(world, *line.split())
    shown = [world / "said.1", world / "said.2"]
    while not any(path.is_file() and "Press Ctrl-C to end" in path.read_text() for path in shown):
        assert alive(process), (world / "said.2").read_text()
        time.sleep(0.05)
    os.kill(process, getattr(signal, name))
    assert forks.wait(process) == exit_code
    assert "Traceback" not in (world / "said.2").read_text()
    assert leftovers(world) == []
