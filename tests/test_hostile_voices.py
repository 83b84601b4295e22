"""Voices that a stranger damaged or armed, put before every verb that reads voices: one line, exit code 1, no hang.

One healthy voice is made; each case is a copy with one thing wrong. All verbs see a case in a child process under a
watchdog, so that what hangs inside a library fails its test and not the whole session.
"""

from __future__ import annotations

import json
import os
import pickle
import select
import shutil
import signal
import socket
import struct
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file

from vtune.errors import VtuneError
from vtune.runtime.paths import VoiceFolder
from vtune.serve.failures import VoiceBrokenError
from vtune_cli import compare, export, merge, mix, say, voices  # noqa: F401 -- once, and not in each child
from vtune_cli.main import main

PATIENCE_SECONDS = 60
"""For all verbs of one case together; a healthy machine takes less than two."""

RECIPE = """
voice: anna
engine: toy
data: [{source: nowhere}]
lora: {rank: 4, alpha: 8}
train: {batch_size: 1, gradient_accumulation: 1, learning_rate: 0.001, scheduler: cosine, epochs: 1}
evaluate: {sentences: [hi], metrics: [delivery], train_sentences: 0}
"""
TRAINING = {
    "steps": 1, "clips": 1, "seconds": 1.0, "processes": 1, "precision": "fp32", "best_step": 1,
    "loss": 1.0, "eval_loss": None,
}  # fmt: skip
LEDGER = {"clips": {"train": 1}, "seconds": {"train": 1.0}, "reasons": {}}

VERBS: dict[str, tuple[str, ...]] = {
    "voices": ("voices",),
    "say": ("say", "anna", "hi", "--out", "made/hi.wav"),
    "evaluate": ("evaluate", "anna", "--texts", "texts.txt", "--out", "made/evaluation"),
    "compare": ("compare", "ben", "anna", "--texts", "texts.txt", "--out", "made/comparison"),
    "merge": ("merge", "anna", "made/merged"),
    "mix": ("mix", "0.5*anna+0.5*ben", "--name", "both"),
    "export": ("export", "anna", "made/exported", "--to", "peft"),
}
FEW = {name: VERBS[name] for name in ("voices", "say", "mix")}
"""One verb for each way to read a voice; with the server's registry. ``pytest -m proof`` runs each case with all verbs.
"""

OPENING = frozenset({"say", "evaluate", "compare", "merge", "mix", "export", "serve"})
"""Verbs that read record, adapter and conditioning of a voice."""

CONSENT = {"person": "A tone", "statement": "Tones need not be asked."}

Answer = tuple[str, int, str, str]
"""A verb, its exit code, its output, and its errors; a traceback has the exit code 99."""


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory, make_voice: Callable[..., VoiceFolder]) -> Path:
    """Write a folder with two healthy voices and a text to say. Tests must not write into it."""
    root = tmp_path_factory.mktemp("healthy")
    for name in ("anna", "ben"):
        facts = {"consent": CONSENT, "training": TRAINING, "ledger": LEDGER}
        voice = make_voice(root / "voices" / name, seed=1, seconds=0.5, **facts)
        voice.recipe.write_text(RECIPE)
        voice.card.write_text("# A card\n")
        voice.scores.write_text('{"version": 3, "scores": [], "identical": []}')
        voice.samples.mkdir()
        from vtune.audio import write_wav
        from vtune.types import Audio

        write_wav(voice.samples / "01.wav", [Audio(np.zeros(4000, np.float32), 8000)], 8000)
    (root / "texts.txt").write_text("hi\n")
    return root


class Child:
    """A forked process that runs verbs, case after case; one that does not answer in time is killed and its case fails.

    It is the same process for all cases, because a new one would import and warm up everything again.
    """

    def __init__(self) -> None:
        self._asking, asked = os.pipe()[::-1]
        answering, answer_end = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._asking)
            os.close(answering)
            _serve_cases(os.fdopen(asked, "rb"), os.fdopen(answer_end, "wb"))
        os.close(asked)
        os.close(answer_end)
        self._told = os.fdopen(answering, "rb", buffering=0)

    def answers(self, root: Path, verbs: Mapping[str, tuple[str, ...]], serve: bool) -> list[Answer]:
        os.write(self._asking, pickle.dumps((root, verbs, serve)))
        received, end = b"", time.monotonic() + PATIENCE_SECONDS
        while not received.endswith(END):
            if not select.select([self._told], [], [], max(0, end - time.monotonic()))[0]:
                self.kill()
                pytest.fail(f"no answer in {PATIENCE_SECONDS} s")
            part = self._told.read(1 << 16)
            if not part:
                self.kill()
                pytest.fail("the process that ran the verbs died")
            received += part
        result: list[Answer] = pickle.loads(received.removesuffix(END))
        return result

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._asking)
        self._told.close()
        CHILDREN.remove(self)


CHILDREN: list[Child] = []
END = b"\0the end of an answer\0"


@pytest.fixture(scope="module", autouse=True)
def no_child_is_left() -> Iterator[None]:
    yield
    for child in list(CHILDREN):
        child.kill()


def answers(root: Path, verbs: Mapping[str, tuple[str, ...]] = VERBS, *, serve: bool = True) -> list[Answer]:
    """Run verbs in ``root``, in a child of this process that is given ``PATIENCE_SECONDS``."""
    if not CHILDREN:
        CHILDREN.append(Child())
    return CHILDREN[0].answers(root, verbs, serve)


def _serve_cases(asked: BinaryIO, answer_end: BinaryIO) -> NoReturn:
    torch.set_num_threads(1)
    while True:
        try:
            root, verbs, serve = pickle.load(asked)
        except EOFError:
            os._exit(0)
        os.chdir(root)
        try:
            result = _all_answers(verbs, serve)
        except BaseException:
            result = [("the harness", 99, "", traceback.format_exc())]
        answer_end.write(pickle.dumps(result) + END)
        answer_end.flush()


def _all_answers(verbs: Mapping[str, tuple[str, ...]], serve: bool) -> list[Answer]:
    answers_so_far = []
    for verb, arguments in verbs.items():
        result = CliRunner().invoke(main, list(arguments))
        code, message = result.exit_code, result.stderr
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            code, message = 99, "".join(traceback.format_exception(result.exception))
        answers_so_far.append((verb, code, result.stdout, message))
    return [*answers_so_far, _served()] if serve else answers_so_far


def _served() -> Answer:
    """Let the server's registry find the voice, and load what the voice speaks with."""
    from vtune.serve.registry import VoiceRegistry
    from vtune.voices.speech import open_voice

    try:
        chosen = VoiceRegistry(Path("voices"), {}, {}, 8).find("anna")
        list(open_voice(chosen.parts[0].folder).stream("hi"))
    except (VoiceBrokenError, VtuneError) as error:
        return "serve", 1, "", f"Error: {error}\n"
    except Exception:
        return "serve", 99, "", traceback.format_exc()
    return "serve", 0, "", ""


def check(found: list[Answer], refused_by: frozenset[str]) -> None:
    """Require one line and exit code 1 from the verbs that must refuse, and that or a result from all others."""
    for verb, code, _, message in found:
        assert code in (0, 1), f"{verb}: {message}"
        errors = [line for line in message.splitlines() if line.startswith("Error")]
        if code == 1:
            assert len(errors) == 1, f"{verb}: {message}"
            assert message.endswith("\n"), f"{verb}: {message!r}"
            assert len(errors[0]) < 1500, f"{verb}: {message}"
            assert message.removesuffix("\n").isprintable() or len(message.splitlines()) > 1, f"{verb}: {message!r}"
        if verb in refused_by:
            assert code == 1, f"{verb} took it"
            assert message.splitlines()[-1].startswith("Error"), f"{verb}: {message}"


# What can be wrong


Harm = Callable[[Path], Any]


def record(**changes: Any) -> Harm:
    """Change keys of voice.json; a value of ``...`` leaves the key out."""

    def harm(voice: Path) -> None:
        path = voice / "voice.json"
        data = {**json.loads(path.read_text()), **changes}
        path.write_text(json.dumps({key: value for key, value in data.items() if value is not ...}))

    return harm


def lora(**changes: Any) -> Harm:
    def harm(voice: Path) -> None:
        record(lora={**json.loads((voice / "voice.json").read_text())["lora"], **changes})(voice)

    return harm


def config(**changes: Any) -> Harm:
    """Change keys of adapter_config.json."""

    def harm(voice: Path) -> None:
        path = voice / "adapter_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return harm


def both(*harms: Harm) -> Harm:
    return lambda voice: [harm(voice) for harm in harms]


def weights(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Harm:
    def harm(voice: Path) -> None:
        path = voice / "adapter_model.safetensors"
        save_file(change({name: tensor.clone() for name, tensor in load_file(path).items()}), path)

    return harm


def first_weight(value: float) -> Harm:
    def change(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        next(iter(tensors.values())).view(-1)[0] = value
        return tensors

    return weights(change)


def conditioning(**arrays: Any) -> Harm:
    def harm(voice: Path) -> None:
        path = voice / "conditioning.safetensors"
        kept = {**load_arrays(path), **arrays}
        save_arrays({name: array for name, array in kept.items() if array is not ...}, path, {"voice": "anna"})

    return harm


def content(name: str, data: bytes | str) -> Harm:
    return lambda voice: (voice / name).write_bytes(data.encode() if isinstance(data, str) else data)


def instead(name: str, make: Callable[[Path], Any]) -> Harm:
    """Replace a file by something else."""

    def harm(voice: Path) -> None:
        (voice / name).unlink()
        make(voice / name)

    return harm


def bound_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        before = os.getcwd()
        os.chdir(path.parent)  # the length of a socket's path is limited
        try:
            made.bind(path.name)
        finally:
            os.chdir(before)


def header(entries: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(dtype: str, shape: Any, start: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


A = "base_model.model.inner.lora_A.weight"
ADAPTER, CONDITIONING = "adapter_model.safetensors", "conditioning.safetensors"
PACE = np.asarray([0.05], np.float32)
DEEP = "[" * 100_000

RECORDS: dict[str, Harm] = {
    "empty": content("voice.json", ""),
    "cut": content("voice.json", '{"name": "an'),
    "a list": content("voice.json", "[1, 2]"),
    "null": content("voice.json", "null"),
    "not UTF-8": content("voice.json", b'{"name": "\xff\xfe"}'),
    "UTF-16": content("voice.json", '{"name": "anna"}'.encode("utf-16")),
    "nothing but NUL": content("voice.json", b"\0" * 1000),
    "deep": content("voice.json", DEEP),
    "deep inside": record(training={"a": json.loads("[" * 500 + "]" * 500)}),
    "50 MB": content("voice.json", b" " * 50_000_000 + b"{}"),
    "a string of 50 MB": record(name="x" * 50_000_000),
    "a long string": record(licence="x" * 1_000_000),
    "a number without end": content("voice.json", '{"sample_rate": ' + "9" * 100_000 + "}"),
    "a key twice": content("voice.json", '{"name": "anna", "name": "ben"}'),
    "no engine": record(engine=...),
    "an engine of nobody": record(engine="nobody"),
    "an engine with escapes": record(engine="\x1b[2J\n\x1b]0;owned\x07"),
    "an engine that is a list": record(engine=["toy"]),
    "rank -1": lora(rank=-1),
    "rank 0": lora(rank=0),
    "rank 10**9": lora(rank=10**9),
    "rank 10**30": lora(rank=10**30),
    "a rank in words": lora(rank="eight"),
    "rank true": lora(rank=True),
    "alpha NaN": lora(alpha=float("nan")),
    "alpha infinite": lora(alpha=float("inf")),
    "alpha -1": lora(alpha=-1),
    "dropout 7": lora(dropout=7),
    "targets null": lora(targets=None),
    "targets numbers": lora(targets=[1, 2]),
    "no targets": lora(targets=[]),
    "targets of nobody": lora(targets=["nobody"]),
    "a target that is slow": lora(targets=["(([a-z])+.)+[A-Z]([a-z])+$", "(.*)*(.*)*(.*)*(.*)*x{9}"]),
    "a target of a megabyte": lora(targets=["(" * 20_000]),
    "a target that is no expression": lora(targets=["(inner"]),
    "a lora that is a list": record(lora=[]),
    "a lora of tomorrow": lora(shape="round"),
    "a sample rate of 0": record(sample_rate=0),
    "a sample rate of 10**12": record(sample_rate=10**12),
    "a sample rate in words": record(sample_rate="8000"),
    "a method of nobody": record(method="magic"),
    "a fingerprint that is a list": record(fingerprint=[]),
    "a fingerprint of numbers": record(fingerprint={"network": 16}),
    "a fingerprint of another": record(fingerprint={"network": "\x1b[31m width 99"}),
    "engine options that are a list": record(engine_options=[]),
    "engine options of wrong types": record(engine_options={"width": "wide"}),
    "engine options out of range": record(engine_options={"width": 10**9}),
    "engine options of nobody": record(engine_options={"wid\nth": 16}),
    "engine options that are NaN": record(engine_options={"pitch": float("nan")}),
    "a consent that is a list": record(consent=["yes"]),
    "a consent of numbers": record(consent={"person": 1, "statement": 2}),
    "a training that is a list": record(training=[1]),
    "a ledger that is text": record(ledger="all"),
    "a mix of nothing": record(mix={"parts": [], "rank": 4}),
    "a mix with a weight that is NaN": record(
        mix={"parts": [{"voice": "a", "weight": float("nan"), "adapter": "", "consent": None}], "rank": 4}
    ),
}

CONFIGS: dict[str, Harm] = {
    "empty config": content("adapter_config.json", ""),
    "config of an empty object": content("adapter_config.json", "{}"),
    "config that is a list": content("adapter_config.json", "[]"),
    "deep config": content("adapter_config.json", DEEP),
    "config of 50 MB": content("adapter_config.json", b" " * 50_000_000),
    "r in words": config(r="eight"),
    "another r": config(r=16),
    "r true": config(r=True),
    "alpha in words": config(lora_alpha="8"),
    "another alpha": config(lora_alpha=800),
    "alpha that is NaN": config(lora_alpha=float("nan")),
    "rslora": config(use_rslora=True),
    "DoRA": config(use_dora=True),
    "bias": config(bias="all"),
    "whole modules": config(modules_to_save=["outer"]),
    "a pattern of ranks": config(rank_pattern={"inner": 400}),
    "a pattern of alphas": config(alpha_pattern={"inner": 400}),
    "another kind of adapter": config(peft_type="IA3"),
    "a kind of tomorrow": config(use_magic=True),
    "targets as text": config(target_modules="(.*)*"),
    "fewer targets": config(target_modules=["inner"]),
    "more targets": config(target_modules=["inner", "outer", "letters"]),
    "targets that are numbers": config(target_modules=[1]),
}

WEIGHTS: dict[str, Harm] = {
    "a weight that is NaN": first_weight(float("nan")),
    "a weight that is infinite": first_weight(float("inf")),
    "a weight of minus infinity": first_weight(float("-inf")),
    "an absurd weight": first_weight(1e30),
    "a weight above the limit": first_weight(10_001),
    "weights of whole numbers": weights(lambda all_: {**all_, A: torch.ones_like(all_[A], dtype=torch.int64)}),
    "complex weights": weights(lambda all_: {**all_, A: all_[A].to(torch.complex64)}),
    "weights of eight bits": weights(lambda all_: {**all_, A: all_[A].to(torch.float8_e4m3fn)}),
    "a weight of another shape": weights(lambda all_: {**all_, A: torch.zeros(4, 3)}),
    "a weight of rank 0": weights(lambda all_: {**all_, A: torch.tensor(1.0)}),
    "a weight of size 0": weights(lambda all_: {**all_, A: torch.zeros(0, 16)}),
    "a weight of nine axes": weights(lambda all_: {**all_, A: torch.zeros(*[1] * 9)}),
    "a weight less": weights(lambda all_: {name: t for name, t in all_.items() if name != A}),
    "a weight more": weights(lambda all_: {**all_, "base_model.model.\x1b[2J.lora_A.weight": torch.zeros(4, 4)}),
    "no weights": content(ADAPTER, header({})),
    "an empty file": content(ADAPTER, b""),
    "a pickle": content(ADAPTER, pickle.dumps({"a": 1})),
    "a header that is longer than the file": content(ADAPTER, header({}, length=10**6)),
    "a header of 2**63 bytes": content(ADAPTER, header({}, length=2**63)),
    "a header that is deep": content(ADAPTER, header(DEEP.encode())),
    "a header that is a list": content(ADAPTER, header([])),
    "a header with a tensor twice": content(ADAPTER, header(b'{"a":1,"a":2}')),
    "a million tensors": content(
        ADAPTER, header(b"{" + b",".join(b'"%d":%s' % (n, b'{"dtype":"F32"}') for n in range(10**6)) + b"}")
    ),
    "a shape that is negative": content(ADAPTER, header({A: tensor("F32", [-1], 0, 4)}, b"1234")),
    "a shape that is text": content(ADAPTER, header({A: tensor("F32", "4", 0, 4)}, b"1234")),
    "a shape beyond memory": content(ADAPTER, header({A: tensor("F32", [10**9, 10**9], 0, 4)}, b"1234")),
    "a dtype of nobody": content(ADAPTER, header({A: tensor("F99", [1], 0, 4)}, b"1234")),
    "offsets that overlap": content(
        ADAPTER, header({A: tensor("F32", [1], 0, 4), "b": tensor("F32", [1], 0, 4)}, b"1234")
    ),
    "offsets behind the end": content(ADAPTER, header({A: tensor("F32", [1], 100, 104)}, b"1234")),
    "offsets with a hole": content(
        ADAPTER, header({A: tensor("F32", [1], 0, 4), "b": tensor("F32", [1], 8, 12)}, b"1" * 12)
    ),
}

CONDITIONINGS: dict[str, Harm] = {
    "conditioning that is NaN": conditioning(pace=PACE * np.nan),
    "conditioning that is infinite": conditioning(pace=PACE * np.inf),
    "absurd conditioning": conditioning(pace=PACE * 1e30),
    "whole numbers": conditioning(pace=np.asarray([2**62])),
    "conditioning of BF16": content(CONDITIONING, header({"pace": tensor("BF16", [1], 0, 2)}, b"12")),
    "conditioning of complex numbers": content(CONDITIONING, header({"pace": tensor("C64", [1], 0, 8)}, b"1" * 8)),
    "metadata that are numbers": content(
        CONDITIONING, header({"__metadata__": {"a": 1}, "pace": tensor("F32", [1], 0, 4)}, b"1234")
    ),
    "cut conditioning": content(CONDITIONING, header({"pace": tensor("F32", [4], 0, 16)}, b"1234")),
    "empty conditioning": content(CONDITIONING, b""),
}

CASES = {**RECORDS, **CONFIGS, **WEIGHTS, **CONDITIONINGS}

SPOKEN: dict[str, Harm] = {
    "conditioning that never ends": conditioning(pace=PACE * 1e6),
    "conditioning that is negative": conditioning(pace=-PACE),
    "conditioning of size 0": conditioning(pace=PACE[:0]),
    "conditioning of two axes": conditioning(pace=np.ones((3, 3), np.float32)),
    "conditioning without its tensor": conditioning(pace=..., other=PACE),
}
"""Damage that only the engine can notice: it refuses to speak with the voice; verbs that do not speak may accept it."""

PARTS = ("voice.json", "adapter_config.json", ADAPTER, CONDITIONING)
ODD: dict[str, Callable[[Path], Any]] = {
    "a FIFO": lambda path: os.mkfifo(path),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a socket": bound_socket,
    "a folder": lambda path: path.mkdir(),
}


def case_of(healthy: Path, tmp_path: Path, harm: Harm) -> Path:
    root = tmp_path / "here"
    shutil.copytree(healthy, root)
    (root / "made").mkdir()
    harm(root / "voices" / "anna")
    return root


def test_the_healthy_voice_passes_every_verb(healthy: Path, tmp_path: Path) -> None:
    result = answers(case_of(healthy, tmp_path, lambda voice: None))
    assert [(verb, code) for verb, code, _, _ in result] == [(verb, 0) for verb in (*VERBS, "serve")], result


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_voice_is_refused_in_one_line(healthy: Path, tmp_path: Path, name: str) -> None:
    check(answers(case_of(healthy, tmp_path, CASES[name]), FEW), OPENING)


@pytest.mark.proof
@pytest.mark.parametrize("name", CASES)
def test_every_verb_refuses_a_hostile_voice_in_one_line(healthy: Path, tmp_path: Path, name: str) -> None:
    check(answers(case_of(healthy, tmp_path, CASES[name])), OPENING)


@pytest.mark.parametrize("name", SPOKEN)
def test_what_an_engine_cannot_speak_with_is_refused(healthy: Path, tmp_path: Path, name: str) -> None:
    check(answers(case_of(healthy, tmp_path, SPOKEN[name])), frozenset({"say", "evaluate", "compare", "serve"}))


@pytest.mark.parametrize("file", PARTS)
@pytest.mark.parametrize("kind", ODD)
def test_something_else_in_the_place_of_a_file_is_refused_at_once(
    healthy: Path, tmp_path: Path, file: str, kind: str
) -> None:
    check(answers(case_of(healthy, tmp_path, instead(file, ODD[kind])), FEW), OPENING)


@pytest.mark.parametrize("file", ["recipe.yaml", "scores.json", "README.md", "samples/01.wav"])
@pytest.mark.parametrize("kind", ODD)
def test_something_else_in_the_place_of_a_file_beside_hangs_nobody(
    healthy: Path, tmp_path: Path, file: str, kind: str
) -> None:
    reading = {name: VERBS[name] for name in ("say", "compare", "export")}
    check(answers(case_of(healthy, tmp_path, instead(file, ODD[kind])), reading), frozenset())
