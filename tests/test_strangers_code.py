"""Nothing that a stranger brings runs as code: every verb, over every file that could carry some.

A payload leaves a mark when it runs. Each verb runs through the command line in this process, with "y" after "y" on its
standard input, in a copy of a project that was made once. Every verb with every file takes some minutes:
``pytest -m "proof or not proof" tests/test_strangers_code.py``; without that, each file meets the verbs that read it.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import vtune_toy
import yaml
from click.testing import CliRunner, Result

from vtune import pipeline
from vtune.engines import load_recipe
from vtune.serve.serving import serve
from vtune.train.checkpoints import seal
from vtune_cli.main import main

RECIPE = {
    "voice": "ann",
    "engine": "toy",
    "data": [{"source": "speech"}],
    "train": {
        "epochs": 2,
        "batch_size": 2,
        "learning_rate": 0.01,
        "validation": 0,
        "report_to": "none",
    },
    "evaluate": {
        "sentences": ["hello there"],
        "judges": ["speed"],
        "trained": 0,
        "during": 0,
        "source": "held",
        "clips": 2,
    },
    "prepare": {"examine": False},
    "consent": {"person": "Ann", "statement": "I agree."},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, make_voice: Callable[..., Any]) -> Path:
    """A project: clips, a run with its checkpoints, its voice, and another voice. Not to be written into."""
    folder = tmp_path_factory.mktemp("project")
    for name, first in (("speech", 0), ("held", 50)):
        write_speech(folder / name, first)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE, sort_keys=False))
    here = Path.cwd()
    os.chdir(folder)
    try:
        pipeline.run(load_recipe("recipe.yaml"))
    finally:
        os.chdir(here)
    make_voice(folder / "voices" / "ben", consent=RECIPE["consent"])
    return folder


def write_speech(folder: Path, first: int) -> None:
    import soundfile

    folder.mkdir()
    rows = ["filename,text"]
    for number in range(first, first + 4):
        sound = np.random.default_rng(number).normal(0, 0.1, 6000)
        soundfile.write(folder / f"{number}.wav", sound, 8000)
        rows.append(f"{number},sentence number {number}")
    (folder / "transcripts.csv").write_text("\n".join(rows) + "\n")


class Project:
    """A copy of the project, and what was run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.voice, self.run = folder, folder / "voices" / "ann", folder / "runs" / "ann"
        self.mark = folder.parent / "ran"

    @property
    def source(self) -> str:
        """Python that leaves the mark."""
        return f"import pathlib\npathlib.Path({str(self.mark)!r}).touch()\n"

    def engine(self, path: Path) -> Path:
        """Write a whole engine that leaves the mark."""
        path.write_text(
            self.source + Path(vtune_toy.__file__).read_text().replace("from __future__ import annotations", "")
        )
        return path

    def pickled(self, path: Path) -> Path:
        """Write a pickle that leaves the mark, in the form that the file's readers expect."""
        if path.suffix in {".bin", ".pt", ".pth"}:
            torch.save({"model_state_dict": Code(self.mark), "state": torch.ones(1)}, path)
        elif path.suffix in {".npy", ".npz"}:
            save = np.save if path.suffix == ".npy" else np.savez
            save(path, np.asarray([Code(self.mark)], dtype=object), allow_pickle=True)
        else:
            path.write_bytes(pickle.dumps(Code(self.mark), protocol=2))
        return path

    def rewrite(self, path: Path, **changes: Any) -> None:
        """Change keys of a JSON or YAML file."""
        read, write = (json.loads, json.dumps) if path.suffix == ".json" else (yaml.safe_load, yaml.safe_dump)
        path.write_text(write({**read(path.read_text()), **changes}))

    def vtune(self, *arguments: str) -> Result:
        """Run a verb, which ends well or says in one line why not."""
        result = CliRunner().invoke(main, list(arguments), input="y\n" * 50)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert "[y/N]" not in result.output, "it asked"
        assert result.exit_code in (0, 1), result.output
        told = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
        assert len(told) == result.exit_code, result.output
        return result

    def refuses(self, *arguments: str, told: str = "") -> None:
        """See that a verb says why not, and runs nothing."""
        result = self.vtune(*arguments)
        assert result.exit_code == 1, result.output
        assert told in result.stderr
        assert not self.mark.exists(), arguments

    def runs_nothing(self, *arguments: str) -> None:
        """See that a verb runs nothing, whether it ends well or not."""
        self.vtune(*arguments)
        assert not self.mark.exists(), arguments


class Code:
    """What a pickle may hold to be run by whoever reads it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    shutil.copytree(made, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 50))
    before = dict(main.commands)
    yield Project(tmp_path / "project")
    main.commands.clear()
    main.commands.update(before)


VOICE_VERBS = {
    "say": ["say", "ann", "hello", "--out", "out.wav"],
    "say a path": ["say", "../voices/ann", "hello", "--out", "out.wav"],
    "say the base": ["say", "ann", "hello", "--base", "--out", "out.wav"],
    "say a mix": ["say", "0.5*ann+0.5*ben", "hello", "--out", "out.wav"],
    "mix": ["mix", "0.5*ann+0.5*ben", "--name", "carl"],
    "merge": ["merge", "ann", "merged"],
    "evaluate": ["evaluate", "ann"],
    "evaluate against": ["evaluate", "ben", "--against", "ann"],
    "compare": ["compare", "ann", "base", "--text", "hello"],
    "compare a checkpoint": ["compare", "ann@best", "--text", "hello"],
    **{
        f"export {target}": ["export", "ann", "exported", "--to", target]
        for target in ("peft", "merged", "gguf-ready", "vllm")
    },
}
RECIPE_VERBS = {
    "recipe check": ["recipe", "check"],
    "recipe show": ["recipe", "show"],
    "run": ["run"],
    "train": ["train"],
    "plan": ["plan"],
    "tune": ["tune", "--search", "lora.rank=2,4", "--trials", "1"],
}
QUICK = {"say", "say a mix", "mix", "merge", "evaluate", "export peft", *RECIPE_VERBS} - {"tune", "train"}


def each(verbs: Iterable[str]) -> list[Any]:
    """Every verb; those that take long, or go ways that others go too, are proofs."""
    return [pytest.param(verb, marks=[] if verb in QUICK else pytest.mark.proof) for verb in verbs]


def proof(*values: Any) -> Any:
    """A case that takes long."""
    return pytest.param(*values, marks=pytest.mark.proof)


# The control: the payloads work.


def test_a_file_runs_where_the_user_names_it(project: Project) -> None:
    project.engine(project.folder / "mine.py")
    project.rewrite(Path("recipe.yaml"), engine="./mine.py")
    assert project.vtune("plan", "recipe.yaml").exit_code == 0
    assert project.mark.exists()


@pytest.mark.parametrize("verb", each(verb for verb in VOICE_VERBS if verb != "evaluate against"))
def test_a_voice_made_with_a_file_is_used_where_the_user_names_the_file(project: Project, verb: str) -> None:
    mine = project.engine(project.folder.parent / "mine.py")
    for name in ("ann", "ben"):
        project.rewrite(Path("voices") / name / "voice.json", engine="./mine.py")
    project.rewrite(project.voice / "recipe.yaml", engine="./mine.py")
    result = project.vtune(*VOICE_VERBS[verb], "--engine-file", str(mine))
    assert project.mark.exists()
    assert result.exit_code == 0 or verb in ("export vllm", "export gguf-ready"), result.stderr


@pytest.mark.parametrize("name", ["a.pt", "a.bin", "a.pth", "a.pkl", "a.npy"])
def test_a_pickle_runs_where_it_is_unpickled(project: Project, name: str) -> None:
    path = project.pickled(project.folder / name)
    if path.suffix == ".pkl":
        pickle.loads(path.read_bytes())
    elif path.suffix == ".npy":
        np.load(path, allow_pickle=True)
    else:
        torch.load(path, weights_only=False)
    assert project.mark.exists()


# Names of engines.


@pytest.mark.parametrize("verb", each(VOICE_VERBS))
def test_a_voice_runs_no_engine_that_it_brings(project: Project, verb: str) -> None:
    evil = project.engine(project.voice / "evil.py")
    for name in ("evil.py", "./voices/ann/evil.py", str(evil), "../ann/evil.py", "voices/../voices/ann/evil.py"):
        for voice in ("ann", "ben"):
            project.rewrite(Path("voices") / voice / "voice.json", engine=name)
        project.refuses(*VOICE_VERBS[verb], told="is a Python file" if "against" not in verb else "")
    for voice in ("ann", "ben"):
        project.rewrite(Path("voices") / voice / "voice.json", engine="evil.py")
    os.chdir(project.voice)  # where the name leads to the file
    project.refuses(*VOICE_VERBS[verb], "--voices", "..")


@pytest.mark.parametrize("verb", ["evaluate", "compare"])
def test_the_recipe_of_a_voice_runs_no_engine(project: Project, verb: str) -> None:
    evil = project.engine(project.voice / "evil.py")
    for name in ("evil.py", str(evil)):
        project.rewrite(project.voice / "recipe.yaml", engine=name)
        project.refuses(*VOICE_VERBS[verb], told="is a Python file")


OTHERS = ("ann/evil.py", "/evil.py", ".py", "os", "vtune_cli", "evil:evil", "EVIL.PY")


@pytest.mark.parametrize("engine", ["evil.py", *map(proof, OTHERS)])
def test_a_server_runs_no_engine_that_a_voice_brings(project: Project, engine: str, caplog: Any) -> None:
    project.engine(project.voice / "evil.py")
    for voice in ("ann", "ben"):
        project.rewrite(Path("voices") / voice / "voice.json", engine=engine)

    class StopError(Exception):
        pass

    def stop(url: str) -> None:
        raise StopError

    config = Path("serve.yaml")
    config.write_text("preload: [ann, ben, 0.5*ann+0.5*ben]\n")
    with pytest.raises(StopError):
        serve(Path("voices"), config=config, started=stop)
    assert caplog.text.count("cannot be loaded") == 3
    assert not project.mark.exists()


@pytest.mark.parametrize("verb", each(RECIPE_VERBS))
@pytest.mark.parametrize("place", ["the voice", "the run", "inherited from the voice", "inherited from the run"])
def test_the_recipe_of_a_voice_or_a_run_runs_no_engine(project: Project, verb: str, place: str) -> None:
    folder = project.voice if "voice" in place else project.run
    evil = project.engine(folder / "evil.py")
    recipe = folder / "recipe.yaml"
    for name in ("evil.py", str(evil)):
        project.rewrite(recipe, engine=name)
        if "inherited" in place:
            Path("mine.yaml").write_text(f"extends: {recipe.relative_to(project.folder)}\nvoice: mine\n")
        named = "mine.yaml" if "inherited" in place else str(recipe)
        project.refuses(*RECIPE_VERBS[verb], named, told="evil.py")


def test_a_recipe_is_looked_at_without_running_its_engine(project: Project) -> None:
    mine = project.engine(project.folder / "mine.py")
    project.rewrite(Path("recipe.yaml"), engine="./mine.py")
    for verb in ("check", "show"):
        project.refuses("recipe", verb, "recipe.yaml", told="is a Python file, which would have to run")
    assert project.vtune("recipe", "check", "recipe.yaml", "--engine-file", str(mine)).exit_code == 0
    assert project.mark.exists()


# Files in the place of those that vtune reads, and beside them.

BESIDE = (
    "adapter_model.bin", "pytorch_model.bin", "model.bin", "conditioning.pt", "conditioning.pkl", "conditioning.npy",
    "conditioning.npz", "conditioning.bin", "training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth",
    "scaler.pt", "study.pkl", "evaluation.pkl", "tokenizer.pkl",
)  # fmt: skip
SOURCES = (
    "__init__.py", "conftest.py", "setup.py", "sitecustomize.py", "handler.py", "modeling_ann.py", "toy.py", "torch.py",
    "vtune_toy.py", "custom_generate/generate.py", "evil.pth",
)  # fmt: skip
READ = (
    "voice.json", "recipe.yaml", "adapter_config.json", "adapter_model.safetensors", "conditioning.safetensors",
    "scores.json", "samples/01.wav",
)  # fmt: skip


@pytest.mark.parametrize("verb", each(VOICE_VERBS))
def test_a_voice_with_code_beside_its_files_speaks_and_runs_none(project: Project, verb: str) -> None:
    for name in BESIDE:
        project.pickled(project.voice / name)
    for name in SOURCES:
        path = project.voice / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(project.source)
    auto = {
        "auto_mapping": {"base_model_class": "Evil", "parent_library": "evil"},
        "auto_map": {"AutoModel": "evil.Evil"},
    }
    (project.voice / "evil.py").write_text(project.source)
    project.rewrite(project.voice / "adapter_config.json", **auto)
    os.chdir(project.voice)
    project.runs_nothing(*VOICE_VERBS[verb], "--voices", "..")


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("verb", ["say", *(proof(verb) for verb in VOICE_VERBS if verb != "say")])
def test_a_voice_that_is_a_pickle_in_any_place_runs_nothing(project: Project, name: str, verb: str) -> None:
    for write in (lambda path: torch.save({"x": Code(project.mark)}, path), project.pickled):
        write(project.voice / name)
        project.runs_nothing(*VOICE_VERBS[verb])
    project.runs_nothing("voices")


def test_a_fully_tuned_voice_that_is_a_pickle_runs_nothing(project: Project) -> None:
    project.rewrite(project.voice / "voice.json", method="full")
    torch.save({"x": Code(project.mark)}, project.voice / "model.safetensors")
    project.pickled(project.voice / "pytorch_model.bin")
    project.refuses("say", "ann", "hello", "--out", "out.wav", told="model.safetensors cannot be loaded")


def test_no_pickle_takes_the_place_of_a_missing_file(project: Project) -> None:
    for name, other in (
        ("adapter_model.safetensors", "adapter_model.bin"),
        ("conditioning.safetensors", "conditioning.pt"),
    ):
        (project.voice / name).rename(project.voice / "away")
        project.pickled(project.voice / other)
        project.refuses("say", "ann", "hello", "--out", "out.wav", told=name)
        (project.voice / "away").rename(project.voice / name)


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.mkdir [MARK]", "!!python/name:os.system", "!mine {a: 1}"])
def test_yaml_makes_no_objects(project: Project, tag: str) -> None:
    text = tag.replace("MARK", str(project.mark))
    for path in (project.voice / "recipe.yaml", project.run / "recipe.yaml", Path("recipe.yaml")):
        path.write_text(f"{path.read_text()}\nfurther: {text}\n")
        for verb in RECIPE_VERBS.values():
            project.refuses(*verb, str(path), told="is not used here")
    project.refuses("evaluate", "ann")
    config = Path("serve.yaml")
    config.write_text(f"aliases: {text}\n")
    project.refuses("serve", "--config", str(config))
    Path("space.yaml").write_text(f"lora.rank: {text}\n")
    project.refuses("tune", "recipe.yaml", "--space", "space.yaml")


# A run that somebody else began.


def unfinished(project: Project) -> list[Path]:
    """Leave the run as if it had been killed during its training; returns its checkpoints."""
    shutil.rmtree(project.voice)
    (training,) = (path for path in (project.run / "checkpoints").iterdir() if path.is_dir())
    shutil.rmtree(training / "final")
    shutil.rmtree(training / "checkpoint-4")  # the end
    return [training / "checkpoint-2"]


STATE = ("optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin", "scaler.pt", "adapter_model.bin")


def test_a_run_goes_on_from_a_checkpoint(project: Project, caplog: Any) -> None:
    # else the tests below would prove nothing
    (newest,) = unfinished(project)
    (newest / "complete.json").unlink()
    seal(newest)
    assert {"optimizer.pt", "scheduler.pt", "rng_state.pth"} <= {path.name for path in newest.iterdir()}
    assert project.vtune("run", "recipe.yaml").exit_code == 0
    assert f"going on from {newest.relative_to(project.folder)}" in caplog.text


@pytest.mark.parametrize("name", ["optimizer.pt", *(proof(name) for name in STATE[1:])])
def test_a_checkpoint_that_is_a_pickle_in_any_place_runs_nothing(project: Project, name: str) -> None:
    for checkpoint in unfinished(project):
        if name == "adapter_model.bin":
            (checkpoint / "adapter_model.safetensors").unlink()
        project.pickled(checkpoint / name)
        (checkpoint / "complete.json").unlink()
        seal(checkpoint)  # whoever changes a file can write the list of files anew
    project.runs_nothing("run", "recipe.yaml")


@pytest.mark.proof
def test_a_run_with_code_beside_its_files_goes_on_and_runs_none(project: Project) -> None:
    unfinished(project)
    for folder in [project.run, *(path for path in project.run.rglob("*") if path.is_dir())]:
        for name in BESIDE:
            if not (folder / name).exists():
                project.pickled(folder / name)
        for name in SOURCES:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(project.source)
    project.runs_nothing("run", "recipe.yaml")


@pytest.mark.parametrize("pattern", ["dataset/*.arrow", proof("ledger.jsonl"), proof("checkpoints/*/identity.json")])
def test_a_run_that_is_a_pickle_in_any_place_runs_nothing(project: Project, pattern: str) -> None:
    unfinished(project)
    found = list(project.run.glob(pattern))
    assert found
    for path in found:
        project.pickled(path)
    project.runs_nothing("run", "recipe.yaml")
