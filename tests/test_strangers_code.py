"""No file of a stranger is executed as code: every verb is run with every file that could contain code.

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
import subprocess
import sys
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
from vtune.runtime.distributed.launch import launch
from vtune.serve.serve import serve
from vtune.training.checkpoints import seal
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
        "metrics": ["speed"],
        "train_sentences": 0,
        "checkpoint_sentences": 0,
        "source": "held",
        "clips": 2,
    },
    "prepare": {"examine": False},
    "consent": {"person": "Ann", "statement": "I agree."},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, make_voice: Callable[..., Any]) -> Path:
    """Make a project: clips, a run with its checkpoints, its voice, and another voice. Tests must not write into it."""
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
        swell = (
            np.clip(np.sin(np.arange(8000) * 2 * np.pi * 5 / 8000), 0, None) ** 2
        )  # a level meter takes it for speech
        sound = np.pad(np.random.default_rng(number).normal(0, 0.2, 8000) * swell, 2400).clip(-1, 1)
        soundfile.write(folder / f"{number}.wav", sound, 8000)
        rows.append(f"{number},sentence number {number}")
    (folder / "transcripts.csv").write_text("\n".join(rows) + "\n")


class Project:
    """A copy of the project, and the verbs that were run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.voice, self.run = folder, folder / "voices" / "ann", folder / "runs" / "ann"
        self.mark = folder.parent / "ran"

    @property
    def source(self) -> str:
        """Return Python code that leaves the mark."""
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
        """Run a verb, which must succeed or say in one line why it does not."""
        result = CliRunner().invoke(main, list(arguments), input="y\n" * 50)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert "[y/N]" not in result.output, "it asked"
        assert result.exit_code in (0, 1), result.output
        errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
        assert len(errors) == result.exit_code or arguments[0] == "doctor", result.output
        return result

    def refuses(self, *arguments: str, message: str = "") -> None:
        """Check that a verb refuses with a reason, and executes nothing."""
        result = self.vtune(*arguments)
        assert result.exit_code == 1, result.output
        assert message in result.stderr
        assert not self.mark.exists(), arguments

    def runs_nothing(self, *arguments: str) -> None:
        """Check that a verb executes nothing, whether it succeeds or not."""
        self.vtune(*arguments)
        assert not self.mark.exists(), arguments


class Code:
    """An object whose pickle executes code when it is read."""

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
QUICK = {"say", "mix", "merge", *RECIPE_VERBS} - {"tune", "train"}


def each(verbs: Iterable[str]) -> list[Any]:
    """Return every verb; verbs that take long, or use the same code as others, are proofs."""
    return [pytest.param(verb, marks=[] if verb in QUICK else pytest.mark.proof) for verb in verbs]


def proof(*values: Any) -> Any:
    """Mark a case that takes long."""
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
        project.refuses(*VOICE_VERBS[verb], message="is a Python file" if "against" not in verb else "")
    for voice in ("ann", "ben"):
        project.rewrite(Path("voices") / voice / "voice.json", engine="evil.py")
    os.chdir(project.voice)  # where the name leads to the file
    project.refuses(*VOICE_VERBS[verb], "--voices", "..")


@pytest.mark.parametrize("verb", ["evaluate", "compare"])
def test_the_recipe_of_a_voice_runs_no_engine(project: Project, verb: str) -> None:
    evil = project.engine(project.voice / "evil.py")
    for name in ("evil.py", str(evil)):
        project.rewrite(project.voice / "recipe.yaml", engine=name)
        project.refuses(*VOICE_VERBS[verb], message="is a Python file")


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
        project.refuses(*RECIPE_VERBS[verb], named, message="evil.py")


def test_a_recipe_is_looked_at_without_running_its_engine(project: Project) -> None:
    mine = project.engine(project.folder / "mine.py")
    project.rewrite(Path("recipe.yaml"), engine="./mine.py")
    for verb in ("check", "show"):
        project.refuses("recipe", verb, "recipe.yaml", message="is a Python file, which vtune runs only if you name it")
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
    project.refuses("say", "ann", "hello", "--out", "out.wav", message="model.safetensors cannot be loaded")


def test_no_pickle_takes_the_place_of_a_missing_file(project: Project) -> None:
    for name, other in (
        ("adapter_model.safetensors", "adapter_model.bin"),
        ("conditioning.safetensors", "conditioning.pt"),
    ):
        (project.voice / name).rename(project.voice / "away")
        project.pickled(project.voice / other)
        project.refuses("say", "ann", "hello", "--out", "out.wav", message=name)
        (project.voice / "away").rename(project.voice / name)


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.mkdir [MARK]", "!!python/name:os.system", "!mine {a: 1}"])
def test_yaml_makes_no_objects(project: Project, tag: str) -> None:
    text = tag.replace("MARK", str(project.mark))
    for path in (project.voice / "recipe.yaml", project.run / "recipe.yaml", Path("recipe.yaml")):
        path.write_text(f"{path.read_text()}\nfurther: {text}\n")
        for verb in RECIPE_VERBS.values():
            project.refuses(*verb, str(path), message="YAML tags are not allowed")
    project.refuses("evaluate", "ann")
    config = Path("serve.yaml")
    config.write_text(f"aliases: {text}\n")
    project.refuses("serve", "--config", str(config))
    Path("space.yaml").write_text(f"lora.rank: {text}\n")
    project.refuses("tune", "recipe.yaml", "--space", "space.yaml")


# A run that somebody else began.


def unfinished(project: Project) -> list[Path]:
    """Leave the run as if it had been killed during its training; return its checkpoints."""
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
    assert f"resuming from {newest.relative_to(project.folder)}" in caplog.text


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
    result = list(project.run.glob(pattern))
    assert result
    for path in result:
        project.pickled(path)
    project.runs_nothing("run", "recipe.yaml")


# What the code of a project is named by, beside its engine: bases, recordings, folders, searches.


@pytest.fixture(scope="module")
def orpheus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a small base of Orpheus. Tests must not write into it."""
    from vtune_orpheus.tiny_checkpoint import CODEC_CONFIG, build

    folder = tmp_path_factory.mktemp("orpheus")
    build(folder, hidden=32, layers=1, codec={**CODEC_CONFIG, "encoder_dim": 4, "decoder_dim": 32, "codebook_size": 32})
    return folder


def onto(project: Project, base: Path) -> Path:
    """Copy a base into the project, and turn its recipe into one for Orpheus with this base."""
    shutil.copytree(base, "base")
    recipe = {**RECIPE, "engine": "orpheus", "engine_options": {"base_model": "base"}, "voice": "eve"}
    Path("recipe.yaml").write_text(yaml.safe_dump(recipe))
    return Path("base")


def with_code(project: Project, base: Path, model_type: str) -> None:
    named = {
        kind: f"evil.{kind}"
        for kind in ("AutoConfig", "AutoModel", "AutoModelForCausalLM", "AutoTokenizer", "AutoProcessor")
    }
    for name in ("config.json", "tokenizer_config.json"):
        project.rewrite(base / name, auto_map=named)
    project.rewrite(base / "config.json", model_type=model_type)
    for name in ("evil.py", "__init__.py", "custom_generate/generate.py", "snac/__init__.py"):
        (base / name).parent.mkdir(exist_ok=True)
        (base / name).write_text(project.source)


def test_a_base_of_a_known_kind_brings_no_code(project: Project, orpheus: Path) -> None:
    with_code(project, onto(project, orpheus), "llama")
    assert project.vtune("plan", "recipe.yaml").exit_code == 0
    project.runs_nothing("train", "recipe.yaml", "train.max_steps=1")
    assert list(Path("runs/eve/dataset").glob("*.arrow")), "it was not read at all"


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_a_base_of_an_unknown_kind_is_refused(project: Project, orpheus: Path, verb: str) -> None:
    with_code(project, onto(project, orpheus), "evil")
    project.refuses(verb, "recipe.yaml", message="cannot be loaded without its own code (evil.py)")


def test_a_base_that_names_attention_on_the_hub_is_refused(project: Project, orpheus: Path) -> None:
    project.rewrite(onto(project, orpheus) / "config.json", attn_implementation="stranger/kernel")
    project.refuses("run", "recipe.yaml", message="asks for code from the Hub")


@pytest.mark.parametrize("name", ["model.safetensors", proof("snac/model.safetensors"), proof("tokenizer.json")])
def test_a_base_that_is_a_pickle_in_any_place_is_refused(project: Project, orpheus: Path, name: str) -> None:
    base = onto(project, orpheus)
    project.pickled(base / name)
    project.refuses("run", "recipe.yaml", "train.max_steps=1")
    if name != "tokenizer.json":
        (base / name).unlink()
        project.pickled((base / name).with_name("pytorch_model.bin"))
        project.refuses("run", "recipe.yaml", "train.max_steps=1", message="more than tensors, and vtune runs no code")


@pytest.mark.proof
@pytest.mark.parametrize("name", ["gpt.pth", "s2mel.pth", "wav2vec2bert_stats.pt", "feat1.pt", "config.yaml"])
def test_a_base_of_indextts2_that_is_a_pickle_runs_nothing(project: Project, name: str) -> None:
    from vtune_indextts2 import nano_checkpoint

    Path("base").mkdir()
    nano_checkpoint.build(Path("base"), width=32, layers=2)
    (path,) = list(Path("base").rglob(name))[:1] or [Path("base") / name]
    project.pickled(path)
    recipe = {**RECIPE, "engine": "indextts2", "engine_options": {"base_model": "base"}, "voice": "eve"}
    Path("recipe.yaml").write_text(yaml.safe_dump(recipe))
    project.runs_nothing("run", "recipe.yaml", "train.max_steps=1")


@pytest.mark.parametrize(
    ("backend", "name"), [("whisper", "model.pt"), proof("transformers", "folder"), proof("faster-whisper", "folder")]
)
def test_a_recogniser_runs_nothing(project: Project, orpheus: Path, backend: str, name: str) -> None:
    model = Path(name)
    if name == "folder":
        shutil.copytree(orpheus, model)
        with_code(project, model, "evil")
        project.pickled(model / "model.bin")
    else:
        project.pickled(model)
    project.refuses("transcribe", "speech", "--backend", backend, "--model", str(model))


@pytest.mark.parametrize("verb", ["doctor", proof("plan"), proof("run"), proof("prepare")])
def test_a_folder_of_recordings_runs_nothing(project: Project, verb: str) -> None:
    for name in (*SOURCES, "speech.py", "dataset.py"):
        (Path("speech") / name).parent.mkdir(exist_ok=True)
        (Path("speech") / name).write_text(project.source)
    for name in ("data.pkl", "train.npy", "0.npy", "state.pt", "extra.wav", "x.tar"):
        project.pickled(Path("speech") / name)
    rest = {"doctor": ["speech", "--no-speakers", "--processes", "1"], "prepare": ["speech", "cut"]}
    project.runs_nothing(verb, *rest.get(verb, ["recipe.yaml"]))


@pytest.mark.parametrize("form", ["script", "pickles", "metadata", "saved"])
def test_a_data_set_runs_nothing(project: Project, form: str) -> None:
    data = Path("data")
    data.mkdir()
    (data / "data.py").write_text(project.source)
    project.pickled(data / "train.pkl")
    if form == "metadata":
        card = "---\nconfigs:\n- config_name: default\n  data_files: train.pkl\nbuilder_name: pandas\n---\n"
        (data / "README.md").write_text(card)
    if form == "saved":
        state = {"_data_files": [{"filename": "train.pkl"}], "_format_type": "evil", "_fingerprint": "x"}
        (data / "state.json").write_text(json.dumps({**state, "_format_kwargs": {}, "_format_columns": None}))
        (data / "dataset_info.json").write_text(
            json.dumps({"builder_name": "data", "features": {"a": {"_type": "Evil"}}})
        )
    if form == "script":
        (data / "train.pkl").unlink()
    project.refuses("doctor", "data", "--no-speakers", "--processes", "1")
    recipe = {**RECIPE, "data": [{"source": "data"}]}
    Path("recipe.yaml").write_text(yaml.safe_dump(recipe))
    project.refuses("plan", "recipe.yaml")


def test_the_database_of_a_search_that_is_a_pickle_runs_nothing(project: Project) -> None:
    pytest.importorskip("optuna")
    study = project.run / "tuning" / "study"
    study.mkdir(parents=True)
    for name in ("study.db", "sampler.pkl", "study.pkl", "pruner.pkl"):
        project.pickled(study / name)
    project.refuses("tune", "recipe.yaml", "--search", "lora.rank=2,4", "--trials", "1", "--metric", "rate")


MODULES = ("torch", "yaml", "click", "vtune", "vtune_cli", "numpy", "evil", "sitecustomize", "usercustomize", "pluggy")


@pytest.mark.parametrize(
    "verb", [["voices", "--voices", ".."], proof(["engines"]), proof(["say", "ben", "hi", "--voices", ".."])]
)
def test_the_current_folder_brings_no_code(project: Project, verb: list[str]) -> None:
    """A user in a stranger's folder imports nothing from it, and finds no engine or extension there."""
    for name in MODULES:
        (project.voice / f"{name}.py").write_text(project.source)
    installed = project.voice / "evil-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[vtune.engines]\nevil = evil\n[vtune.plugins]\nevil = evil\n")
    script = Path(sys.executable).with_name("vtune")
    done = subprocess.run([script, *verb], cwd=project.voice, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert not project.mark.exists()


def test_the_processes_of_a_launch_import_nothing_from_the_current_folder(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    for name in MODULES:
        (project.voice / f"{name}.py").write_text(project.source)
    os.chdir(project.voice)
    with pytest.raises(SystemExit) as ended:
        launch(["recipe", "list"], 1)
    assert ended.value.code == 0
    assert not project.mark.exists()


def test_the_recipe_of_a_voice_writes_nowhere(project: Project) -> None:
    """The folders that a stranger's recipe names may be read, but nothing is written into them."""
    away = project.folder.parent / "away"
    project.rewrite(
        project.voice / "recipe.yaml",
        folders={"runs": str(away / "runs"), "voices": str(away / "voices")},
        data=[{"source": str(away / "data")}],
        train={"arguments": {"output_dir": str(away / "out"), "logging_dir": str(away / "logs"), "push_to_hub": True}},
    )
    before = sorted(str(path) for path in project.folder.rglob("*") if project.voice not in path.parents)
    Path("texts.txt").write_text("hello\n")
    project.vtune("evaluate", "ann", "--texts", "texts.txt")
    assert not away.exists()
    Path("texts.txt").unlink()
    assert before == sorted(str(path) for path in project.folder.rglob("*") if project.voice not in path.parents)


def test_a_page_runs_no_script_of_a_voice(project: Project) -> None:
    sentence = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    project.rewrite(project.voice / "recipe.yaml", evaluate={**RECIPE["evaluate"], "sentences": [sentence]})
    Path("texts.txt").write_text(f"{sentence}\n")
    assert project.vtune("evaluate", "ann", "--texts", "texts.txt").exit_code == 0
    page = (project.voice / "evaluation" / "listen.html").read_text()
    assert "alert(1)" in page
    assert "<script>alert" not in page
    assert "<img src=x" not in page
