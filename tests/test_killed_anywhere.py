"""A run that is killed anywhere and run again is the run that was never stopped.

What a kill leaves is what lies on the disk at that moment. So one run is enough to be killed at every write: before
each of its writes the folder is copied, and once more with the file half written. Each copy is then run to its end.
Runs that are really killed, at moments by lot, stand beside that.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from adversarial import write_engine, write_recipe
from extensions import METRICS, extension

pytestmark = pytest.mark.slow

KILLER = """
import os, vtune
from transformers import TrainerCallback

class Killer(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        if str(state.global_step) == os.environ["KILL_AT"]:
            os.kill(os.getpid(), 9)

    def on_train_end(self, args, state, control, **kwargs):
        if os.environ["KILL_AT"] == "end":
            os.kill(os.getpid(), 9)

@vtune.hookimpl
def trainer_callbacks(recipe):
    return [Killer()]
"""

# Importing torch and similar packages takes most of a short run; so it is done once, and each run is a fork of that.
SERVER = '''
import gc, itertools, json, os, shutil, signal, sys, threading, time
import torch.utils.tensorboard, vtune.pipeline, vtune_toy
from vtune_cli import main

gc.freeze()

WRITES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink", "shutil.rmtree"}
NATIVE = [("safetensors.torch", "save_file", 1), ("safetensors.numpy", "save_file", 1), ("torch", "save", 1),
          ("safetensors.torch", "save_model", 1), ("peft.peft_model", "safe_save_file", 1), ("os", "fsync", 0)]


def watch(at, folder, spared):
    """Copy what lies in a folder before each write into it, as a kill would leave it."""
    folder, number, lock, busy = os.path.realpath(folder), itertools.count(), threading.Lock(), threading.local()
    os.makedirs(at)

    def snap(kind, path, half):
        copy = os.path.join(at, f"{next(number):05d}-{kind}" + "-half" * half)
        shutil.copytree(folder, copy, symlinks=True, ignore=lambda *_: [*spared, ".lock"])
        if half:
            with open(os.path.join(copy, os.path.relpath(path, folder)), "ab") as file:
                file.write(b'{"half')

    def seen(kind, path):
        if getattr(busy, "yes", False) or not isinstance(path, (str, os.PathLike)):
            return
        path = os.path.realpath(path)
        if not path.startswith(folder + os.sep) or path.endswith(".lock"):
            return
        busy.yes = True
        try:
            with lock:
                snap(kind, path, False)
                if kind in ("open", "native") and os.path.isdir(os.path.dirname(path)):
                    snap(kind, path, True)
        finally:
            busy.yes = False

    def hook(event, given):
        if event == "open" and isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            seen("open", given[0])
        elif event in WRITES:
            seen(event, given[0])

    def wrapped(call, place):
        def called(*given, **settings):
            path = given[place] if len(given) > place else settings.get("filename", settings.get("f"))
            if isinstance(path, int):  # os.fsync
                path = os.readlink(f"/proc/self/fd/{path}")
            seen("native" if place else "fsync", path)
            return call(*given, **settings)
        return called

    for module, name, place in NATIVE:
        module = __import__(module, fromlist=["x"])
        setattr(module, name, wrapped(getattr(module, name), place))
    sys.addaudithook(hook)


for line in sys.stdin:
    run = json.loads(line)
    child = os.fork()
    if not child:
        os.chdir(run["at"])
        sys.path[:0] = run["path"]
        for stream in (1, 2):
            os.dup2(os.open(f"{run['at']}/../{run['name']}.{stream}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
        if run.get("watched"):
            watch(run["watched"], run["at"], run["spared"])
        try:
            main(run["arguments"], prog_name="vtune")
        except SystemExit as ended:
            sys.stdout.flush()
            os._exit(ended.code or 0)
    if "after" in run:
        time.sleep(run["after"])
        os.kill(child, signal.SIGKILL)
    began = time.monotonic()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps([code, time.monotonic() - began]), flush=True)
'''


class Runs:
    """Runs of one recipe, each in a separate folder, as forks of one process."""

    def __init__(self, server: subprocess.Popen[str], recipe: Path, metrics: str) -> None:
        self._server, self.recipe, self._metrics = server, recipe, metrics

    def run(self, at: Path, *overrides: str, **how: Any) -> tuple[int, float]:
        """Return the exit code and the seconds of a run."""
        at.mkdir(parents=True, exist_ok=True)
        arguments = ["run", str(self.recipe), *overrides]
        asked = {"at": str(at), "name": at.name, "arguments": arguments, "path": [self._metrics], **how}
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.write(json.dumps(asked) + "\n")
        self._server.stdin.flush()
        code, seconds = json.loads(self._server.stdout.readline())
        return code, seconds


@pytest.fixture(scope="module")
def server() -> Iterator[subprocess.Popen[str]]:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "TRANSFORMERS_VERBOSITY": "error"}
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as process:
        yield process
        assert process.stdin
        process.stdin.close()


@pytest.fixture
def metrics(tmp_path: Path) -> str:
    return extension(tmp_path / "measures", "measures", METRICS)


@pytest.fixture
def runs(server: subprocess.Popen[str], tmp_path: Path, metrics: str, speech: Callable[..., Path]) -> Runs:
    speech(count=16)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "voice: someone\nengine: toy\ndata: [{source: speech}]\nlora: {dropout: 0.1}\n"
        "train: {batch_size: 2, learning_rate: 1e-2, log_every: 2}\n"
        "evaluate: {sentences: [hello], metrics: [intelligibility, speaker], train_sentences: 0}\n"
    )
    return Runs(server, recipe, metrics)


BY_LOSS = "evaluate.checkpoint_sentences=0"

# 16 clips in batches of two: eight steps an epoch, six where clips are held out for validation.
ENDINGS = {
    "max_steps inside an epoch": (BY_LOSS, "train.validation=0", "train.max_steps=7", "train.save_every=3"),
    "max_steps at an epoch's end": (
        BY_LOSS, "train.validation=0", "train.max_steps=8", "train.gradient_accumulation=2"
    ),
    "part of an epoch": (
        BY_LOSS, "train.validation=0.25", "train.epochs=1.5", "train.save_every=7", "train.log_every=5"
    ),
    "early stopping by loss": (
        BY_LOSS, "train.validation=0.25", "train.epochs=30", "train.early_stopping=2", "train.learning_rate=0.5",
        "train.scheduler=constant",
    ),
    "the best by ear": ("train.validation=0.25", "train.epochs=3", "train.save_every=2"),
    "early stopping by ear": (
        "train.validation=0.25", "train.epochs=9", "train.evaluate_every=2", "train.early_stopping=2"
    ),
    "every weight": (BY_LOSS, "train.validation=0.25", "train.method=full", "train.epochs=2", "train.save_every=4"),
}  # fmt: skip

QUICK = ("max_steps inside an epoch", "early stopping by ear", "every weight")
"""The endings that tox tries; all others are proofs."""

TIMES = frozenset(
    {
        "seconds",
        "clips_per_second",
        "tokens_per_second",
        "eval_runtime",
        "eval_samples_per_second",
        "eval_steps_per_second",
    }
)


def outcome(at: Path) -> dict[str, Any]:
    """Return everything that a run has made, by its file: bytes, or JSON without times."""
    (training,) = (at / "runs/someone/checkpoints").iterdir()
    (log,) = (at / "runs/someone/logs").glob("*/metrics.jsonl")
    result: dict[str, Any] = {
        path.name: path.read_bytes() for path in (training / "final").iterdir() if path.suffix == ".safetensors"
    }
    result["training.json"] = untimed(json.loads((training / "final/training.json").read_text()))
    result["metrics.jsonl"] = [untimed(json.loads(line)) for line in log.read_text().splitlines()]
    result["checkpoints"] = sorted(path.name for path in training.iterdir())
    newest = max(training.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    result |= {f"newest/{path.name}": path.read_bytes() for path in newest.glob("*.safetensors")}
    result["nothing half written"] = sorted(
        str(p.relative_to(at)) for p in at.rglob("*") if "partial" in p.name or "former" in p.name
    )
    result["runs/ledger"] = (at / "runs/someone/ledger.jsonl").read_bytes()
    return result | voice(at / "voices/someone")


def voice(folder: Path) -> dict[str, Any]:
    """Return every file of a voice, byte by byte, without the moment at which the voice was made."""
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    created = json.loads(files["voice.json"])["created"]
    files["voice.json"] = files["voice.json"].replace(created.encode(), b"")
    files["README.md"] = files["README.md"].replace(created[:10].encode(), b"")
    return files


def untimed(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: str(value) for name, value in facts.items() if name not in TIMES}


def differences(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """Name the files that differ."""
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))


def moments(runs: Runs, at: Path, overrides: Sequence[str]) -> tuple[dict[str, Any], list[Path]]:
    """Run to the end; return the result, and the content of the folder before each write, without repetitions."""
    copies = at.with_name(f"{at.name}-moments")
    code, _ = runs.run(at, *overrides, watched=str(copies), spared=[])
    assert code == 0, (at.parent / f"{at.name}.2").read_text()
    seen: set[Any] = set()
    different = []
    for copy in sorted(copies.iterdir()):
        state = tuple(sorted((str(p.relative_to(copy)), p.is_file() and p.read_bytes()) for p in copy.rglob("*")))
        if hash(state) not in seen:
            different.append(copy)
        seen.add(hash(state))
    return outcome(at), different


def resumed(runs: Runs, folder: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """Run a killed run to its end."""
    folder = folder.rename(
        folder.parents[1] / folder.name
    )  # where every run finds the same recordings by the same path
    code, _ = runs.run(folder, *overrides)
    assert code == 0, f"{folder.name}: {(folder.parent / f'{folder.name}.2').read_text()[-2000:]}"
    return outcome(folder)


def telling(places: Sequence[Path], ending: str) -> list[Path]:
    """Choose two moments: the last before the finished adapter exists, and a random one of a kind that changes each
    time.
    """
    unfinished = [folder for folder in places if not list(folder.glob("runs/someone/checkpoints/*/final"))]
    kinds = sorted({kind_of(folder) for folder in places})
    kind = kinds[list(ENDINGS).index(ending) % len(kinds)]
    return [unfinished[-1], random.Random(ending).choice([folder for folder in places if kind_of(folder) == kind])]


def kind_of(moment: Path) -> str:
    """Return the kind of write that comes next: open, os.rename, fsync ..."""
    return moment.name.split("-", 1)[1]


@pytest.mark.proof
@pytest.mark.parametrize("ending", ENDINGS)
def test_killed_at_every_write(runs: Runs, tmp_path: Path, ending: str) -> None:
    straight, places = moments(runs, tmp_path / "straight", ENDINGS[ending])
    print(f"{ending}: {len(places)} moments")
    wrong = {folder.name: differences(straight, resumed(runs, folder, ENDINGS[ending])) for folder in places}
    assert {name: difference for name, difference in wrong.items() if difference} == {}


@pytest.mark.parametrize(
    "ending", [ending if ending in QUICK else pytest.param(ending, marks=pytest.mark.proof) for ending in ENDINGS]
)
def test_killed_at_a_few_writes(runs: Runs, tmp_path: Path, ending: str) -> None:
    straight, places = moments(runs, tmp_path / "straight", ENDINGS[ending])
    wrong = {
        folder.name: differences(straight, resumed(runs, folder, ENDINGS[ending])) for folder in telling(places, ending)
    }
    assert {name: difference for name, difference in wrong.items() if difference} == {}


@pytest.mark.proof
@pytest.mark.parametrize("ending", ["early stopping by ear", "part of an epoch"])
def test_killed_at_random_moments(runs: Runs, tmp_path: Path, ending: str) -> None:
    """Ten runs are killed after random times, resumed, killed again, and run to their end."""
    code, seconds = runs.run(tmp_path / "straight", *ENDINGS[ending])
    assert code == 0
    straight, lot, wrong, killed = outcome(tmp_path / "straight"), random.Random(ending), {}, 0
    for number in range(10):
        at = tmp_path / f"killed-{number}"
        for _ in range(2):
            code, _ = runs.run(at, *ENDINGS[ending], after=lot.uniform(0.05, seconds))
            killed += code == -9
        code, _ = runs.run(at, *ENDINGS[ending])
        assert code == 0, (tmp_path / f"{at.name}.2").read_text()[-2000:]
        wrong[number] = differences(straight, outcome(at))
    print(f"{ending}: {killed} of 20 were killed before they had ended")
    assert {name: difference for name, difference in wrong.items() if difference} == {}


def build_orpheus(folder: Path) -> str:
    from vtune_orpheus.tiny_checkpoint import build

    build(folder)
    return f"engine: orpheus\nengine_options: {{base_model: {folder}, max_new_tokens: 35}}\n"


def build_indextts2(folder: Path) -> str:
    from vtune_indextts2 import nano_checkpoint

    nano_checkpoint.build(folder, width=32, layers=2)
    options = f"base_model: {folder}, normaliser: basic, max_codes: 20, flow_steps: 2"
    return f"engine: indextts2\nengine_options: {{{options}}}\n"


@pytest.mark.proof
@pytest.mark.parametrize("build", [build_orpheus, build_indextts2])
@pytest.mark.parametrize("ending", ["max_steps inside an epoch", "early stopping by ear"])
def test_real_networks_are_killed_too(
    server: subprocess.Popen[str], metrics: str, tmp_path: Path, speech: Callable[..., Path], build: Any, ending: str
) -> None:
    speech(count=16, rate=16_000)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"voice: someone\n{build(tmp_path / 'base')}data: [{{source: speech}}]\n"
        "lora: {rank: 4, alpha: 8, dropout: 0.1}\n"
        "train: {batch_size: 2, learning_rate: 1e-2, log_every: 2, gradient_checkpointing: true}\n"
        "evaluate: {sentences: [hello], metrics: [intelligibility, speaker], train_sentences: 0, count: 2}\n"
    )
    runs = Runs(server, recipe, metrics)
    straight, places = moments(runs, tmp_path / "straight", ENDINGS[ending])
    chosen = sorted({*telling(places, ending), *random.Random(0).sample(places, 6)})
    wrong = {folder.name: differences(straight, resumed(runs, folder, ENDINGS[ending])) for folder in chosen}
    print(f"{build.__name__}, {ending}: {len(wrong)} of {len(places)} moments")
    assert {name: difference for name, difference in wrong.items() if difference} == {}


@pytest.mark.proof
@pytest.mark.parametrize("mode", ["alternating", "simultaneous"])
@pytest.mark.parametrize("ending", ["max_steps inside an epoch", "early stopping by ear", "every weight"])
def test_several_optimizers_are_killed_too(
    server: subprocess.Popen[str], metrics: str, tmp_path: Path, speech: Callable[..., Path], mode: str, ending: str
) -> None:
    """The engine has a discriminator with its own optimizer, a posterior encoder inside the network, and an average."""
    engine = write_engine(tmp_path)
    train = {"ema": 0.8, "learning_rates": {"posterior": 3e-3}, "log_every": 2}
    sections = {
        "lora": {"rank": 2, "alpha": 4, "dropout": 0.1},
        "engine_options": {"mode": mode},
        "evaluate": {"sentences": ["hello"], "metrics": ["intelligibility", "speaker"], "train_sentences": 0},
        "folders": {},
    }
    runs = Runs(server, write_recipe(tmp_path, engine, speech(count=16), **sections, train=train), metrics)
    overrides = (*ENDINGS[ending], "--engine-file", str(engine))
    straight, places = moments(runs, tmp_path / "straight", overrides)
    chosen = sorted({*telling(places, ending), *random.Random(mode).sample(places, 12)})
    wrong = {folder.name: differences(straight, resumed(runs, folder, overrides)) for folder in chosen}
    print(f"{mode}, {ending}: {len(wrong)} of {len(places)} moments")
    assert {name: difference for name, difference in wrong.items() if difference} == {}
    assert ending == "every weight" or {"newest/parts.safetensors", "newest/raw_weights.safetensors"} <= straight.keys()


@pytest.mark.proof
@pytest.mark.parametrize("ending", ["max_steps inside an epoch", "early stopping by ear"])
@pytest.mark.parametrize("losses", ["one loss", "several optimizers"])
def test_two_processes_are_killed_too(runs: Runs, tmp_path: Path, metrics: str, losses: str, ending: str) -> None:
    killer = extension(tmp_path / "killer", "killer", KILLER)
    recipe, *further = str(runs.recipe), *ENDINGS[ending]
    if losses == "several optimizers":
        engine = write_engine(tmp_path)
        evaluate = {"sentences": ["hello"], "metrics": ["intelligibility", "speaker"], "train_sentences": 0}
        sections = {"evaluate": evaluate, "folders": {}, "train": {"ema": 0.8, "log_every": 2}}
        recipe = str(write_recipe(tmp_path, engine, tmp_path / "speech", **sections))
        further += ["--engine-file", str(engine)]

    def launch(name: str, *path: str, **environment: str) -> int:
        at = tmp_path / name
        at.mkdir(exist_ok=True)
        env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(path), **environment}
        command = [sys.executable, "-m", "vtune_cli", "run", recipe, *further, "--launch", "2"]
        with (tmp_path / f"{name}.2").open("ab") as log:
            return subprocess.run(command, cwd=at, env=env, stderr=log, check=False, timeout=500).returncode

    assert launch("straight", metrics) == 0
    for moment in ("3", "end"):
        assert launch(f"killed-{moment}", metrics, killer, KILL_AT=moment) != 0
        assert launch(f"killed-{moment}", metrics) == 0
        assert differences(outcome(tmp_path / "straight"), outcome(tmp_path / f"killed-{moment}")) == []


@pytest.mark.proof
@pytest.mark.parametrize("ending", ["the best by ear", "every weight"])
def test_the_same_recipe_is_the_same_voice_byte_for_byte(runs: Runs, tmp_path: Path, metrics: str, ending: str) -> None:
    """Two processes order sets differently. Only the time of the training and the speed of speaking may differ."""
    for name in ("first", "second"):
        at = tmp_path / name
        at.mkdir()
        env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": metrics, "PYTHONHASHSEED": str(len(name))}
        command = [sys.executable, "-m", "vtune_cli", "run", str(runs.recipe), *ENDINGS[ending]]
        subprocess.run(command, cwd=at, env=env, check=True, timeout=500)
    first, second = (outcome(tmp_path / name) for name in ("first", "second"))
    assert {"adapter_model.safetensors", "model.safetensors"} & first.keys()
    assert {"conditioning.safetensors", "samples/01.wav", "scores.json", "listen.html", "voice.json"} <= first.keys()
    assert differences(first, second) == []
