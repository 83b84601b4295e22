"""Fixtures for all tests: libraries are kept quiet, and clips are synthesised."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the models are tiny: threads would only wait for each other
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import csv
import gc
import importlib
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import soundfile
from forks import Forks

WHISPER = os.environ.get("VTUNE_WHISPER", "")

FROZEN_MODULES = pytest.StashKey[int]()

# A slow machine is no failure.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


os.fsync = os.fstat  # type: ignore[assignment]  # no test cuts the power; a descriptor must still be an open file


def pytest_configure(config: pytest.Config) -> None:
    """Many tests use the third-party engine in ``tests/toy``, which must be installed as a user installs one."""
    # Tests send signals, and what runs in the background or under nohup ignores some, which its children inherit.
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        # A tester's weights are for the tests that ask for them; elsewhere a run with scores would load them each time.
        # Of xdist's processes the one that runs no test keeps them, for its workers have its environment.
        os.environ.pop("VTUNE_WHISPER", None)
    if not entry_points(group="vtune.engines", name="toy"):
        raise pytest.UsageError("the toy engine is not installed: pip install --no-deps --editable tests/toy")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest group first: begun last, it would keep one process busy for minutes after the others are done."""
    items.sort(key=lambda item: item.path.name != "test_quickstart.py")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Keep the objects of imported modules out of every later garbage collection, which takes a second with them.

    A training collects garbage about four times; the tests train some hundred times. Modules come late, for vtune
    imports them late, so this looks again before each test.
    """
    if len(sys.modules) > item.config.stash.get(FROZEN_MODULES, 0) + 200:
        gc.collect()
        gc.freeze()
        item.config.stash[FROZEN_MODULES] = len(sys.modules)


def pytest_sessionfinish() -> None:
    """Let the interpreter end as it does without a frozen heap: some extension modules complain of leaks otherwise."""
    gc.unfreeze()


@pytest.fixture(autouse=True)
def no_engine_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the engine files that an earlier test has named."""
    monkeypatch.setattr("vtune.engines.single_file._named", [])


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of the test module, for property tests, which cannot have ``tmp_path``.
    The folder that holds every ``tmp_path`` is no place for files: a voice's files there make it a voice folder.
    """
    return tmp_path_factory.mktemp("scratch")


def pytest_make_parametrize_id(val: object) -> str | None:
    """Call a case by the beginning of its text where that is long, so that lists of tests stay readable."""
    return repr(val[:40]) if isinstance(val, str | bytes) and len(val) > 100 else None


@pytest.fixture(scope="session")
def benchmark() -> Callable[[str], Any]:
    """Import a script of ``benchmarks/`` by its name."""
    folder = str(Path(__file__).parents[1] / "benchmarks")

    def load(name: str) -> Any:
        sys.path.insert(0, folder)  # where its neighbours are, as when it runs
        try:
            return importlib.import_module(name)
        finally:
            sys.path.remove(folder)

    return load


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """Start a process that has imported everything; it forks commands, which spares each of them seven seconds."""
    started = Forks()
    yield started
    started.close()


@pytest.fixture(scope="session")
def whisper_weights() -> Path:
    """Return the file of a real openai-whisper model if there is one: tox downloads tiny.en."""
    if not os.path.isfile(WHISPER):
        pytest.skip(f"VTUNE_WHISPER names no file ({WHISPER!r}): tools/fetch_whisper.py fetches one")
    return Path(WHISPER)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start a real browser: the Chromium that ``VTUNE_CHROMIUM`` names, or one on the path.
    The browser ends with its module, for while playwright runs, asyncio counts as running in every test of the process.
    """
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    path = os.environ.get("VTUNE_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("there is no Chromium (VTUNE_CHROMIUM says where one is)")
    with api.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def speech(tmp_path: Path) -> Callable[..., Path]:
    """Make a folder of clips beside ``transcripts.csv``; each clip is a tone of its own with noise."""

    def make(name: str = "speech", count: int = 8, rate: int = 8000, shortest: float = 0.6, first: int = 0) -> Path:
        folder = tmp_path / name
        (folder / "clips").mkdir(parents=True)
        with (folder / "transcripts.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["filename", "text"])
            for number in range(first, first + count):
                seconds = shortest + 0.1 * (number % 5)
                times = np.arange(int(seconds * rate)) / rate
                noise = np.random.default_rng(number).normal(0, 0.02, len(times))
                sound = 0.2 * np.sin(2 * np.pi * (200 + 10 * number) * times) + noise
                soundfile.write(folder / "clips" / f"clip_{number:03d}.wav", sound, rate)
                table.writerow([f"clip_{number:03d}", f"this is sentence number {number}"])
        return folder

    return make


@pytest.fixture(scope="session")
def make_voice() -> Callable[..., Any]:
    """Write a voice that nothing was trained for: a random adapter over an engine's base, and all that goes with it.

    With ``method="full"``, each weight of the network is changed at random in place of an adapter.
    """

    def make(
        path: Path, engine: str = "toy", *, lora: dict[str, Any] | None = None, seed: int = 0, seconds: float = 1.0,
        loudness: float = 0.1, **record: Any,
    ) -> Any:  # fmt: skip
        import torch
        from peft import PeftModel

        from vtune.engines import load_engine
        from vtune.recipe import LoraRecipe
        from vtune.runtime.paths import VoiceFolder, write_json
        from vtune.testing import made_clip
        from vtune.voice_format.record import VoiceRecord

        loaded = load_engine(engine)
        shape = LoraRecipe(**{"rank": 4, "alpha": 8, **(lora or {})})
        options = loaded.info.options.model_validate(record.pop("engine_options", {}))
        base = loaded.load_base(options, torch.device("cpu"), torch.float32)
        clip = replace(made_clip(loaded.info.sample_rate, seconds, seed), voice=path.name)
        kept = loaded.extract_conditioning(base, [clip], options)
        model = loaded.build_model(base, shape.settings(), record.get("method", "lora"))
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in model.named_parameters():
            if not isinstance(model, PeftModel):
                parameter.data += torch.randn(parameter.shape, generator=generator) * loudness
            elif "lora_" in name:
                parameter.data = torch.randn(parameter.shape, generator=generator) * loudness
        path.mkdir(parents=True)
        loaded.export_voice(base, model, kept, path)
        defaults = {
            "name": path.name,
            "engine": engine,
            "engine_origin": loaded.origin,
            "engine_options": options.model_dump(mode="json"),
            "method": "lora",
            "sample_rate": loaded.info.sample_rate,
            "fingerprint": loaded.fingerprint(base),
            "servable": True,
            "lora": shape.model_dump(),
            "training": {},
            "ledger": {},
            "consent": None,
            "licence": loaded.info.licence,
            "vtune": "0.1.0",
            "created": "2025-01-01T00:00:00+00:00",
        }
        write_json(VoiceFolder(path).record, VoiceRecord(**{**defaults, **record}).model_dump())
        return VoiceFolder(path)

    return make
