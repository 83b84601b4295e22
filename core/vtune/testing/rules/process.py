"""What hooks leave behind in the process, on the disk and in memory."""

from __future__ import annotations

import gc
import random
import threading
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from vtune.errors import in_a_line
from vtune.testing import life
from vtune.testing.checkup import engine_home
from vtune.testing.rule import BrokenRule, require, rule
from vtune.testing.rules.clips import encoding_repeats
from vtune.testing.rules.conditioning import conditioning_repeats
from vtune.testing.rules.loading import base_loads, fingerprint_is_stable
from vtune.testing.rules.losses import forward_returns_a_loss
from vtune.testing.rules.sound import speech_ends
from vtune.testing.rules.speech import seed_repeats_the_sound, speech_forgets_what_came_before
from vtune.testing.second_process import lived_in_second_process
from vtune.testing.subject import LONG_TEXT, OTHER_TEXT, TEXT, Subject, as_stored
from vtune.testing.watch import (
    Observed,
    cache_folders,
    observed_calls,
    process_state,
    restore_process,
    seed_everything,
    state_changes,
)

CALLS = 3
"""Calls of a hook after which something that is left behind by each of them is seen."""

NOISE_BYTES = 32_000
"""What Python and transformers keep after a first long utterance, whatever the engine: 11 kB were seen."""

SECOND_PROCESS_SECONDS = 90.0
"""The second process may still be importing torch, which takes seconds, and minutes on a busy machine."""

PROCESS_TOLERANCE = 1e-4
"""Largest difference of numbers between two processes, which may sum in another order."""


@rule(
    why="A training would not be repeatable: what it draws depends on what was encoded or spoken before. A hook that "
    "seeds the global generator makes every later random choice of vtune the same.",
    change="Draw from a generator of your own: torch.Generator().manual_seed(seed), np.random.default_rng(seed); "
    "around "
    "code that needs the global one, write `with torch.random.fork_rng(): torch.manual_seed(seed)`.",
    after=(seed_repeats_the_sound,),
)
def global_randomness_is_left_alone(subject: Subject) -> None:
    """Hooks neither seed nor use the global random generators; building an adapter and training may use them."""
    seed_everything(11)
    draws = []
    for seed in (1, 2):
        seed_everything(seed)
        base = subject.new_base()
        draws.append(_draws())
    for name, first in draws[0].items():
        require(first != draws[1][name], f"load_base seeds the global random generator of {name}.")
    for hook, step in life.steps(subject, base):
        # What is loaded at its first use may initialise weights at random, before they are filled.
        if life.attempted(step) is None:
            return
        if hook == "build_lora_model":
            continue
        for seed in (1, 2):
            seed_everything(seed)
            before = _draws()
            seed_everything(seed)
            step()
            after = _draws()
            for name, expected in before.items():
                require(after[name] == expected, f"{hook} changes the state of the global random generator of {name}.")


def _draws() -> dict[str, float]:
    return {"torch": float(torch.rand(())), "NumPy": float(np.random.random()), "Python's random": random.random()}


@rule(
    why="Other code of the process sees the change: another engine, a server, a training with its own threads.",
    change="Leave the process as it is, or restore what you change: `with torch.inference_mode():` instead of "
    "torch.set_grad_enabled(False), absolute paths instead of os.chdir.",
    after=(base_loads,),
)
def process_state_is_left_alone(subject: Subject) -> None:
    """Hooks change no state of the process: current folder, environment, threads of torch, default dtype, modes."""
    original = process_state()
    subject.restores_process = False
    try:
        for hook, step in life.steps_from_the_start(subject):
            before = process_state()
            made = life.attempted(step)
            changes = state_changes(before, process_state())
            require(not changes, f"{hook} changed {', '.join(changes)}.")
            if made is None:
                return
    finally:
        subject.restores_process = True
        restore_process(original)


def _observed_steps(subject: Subject) -> list[tuple[str, Observed]]:
    """Let the engine live once, and return what each hook did beside its work."""
    kept: list[tuple[str, Observed]] | None = vars(subject).get("observed")
    if kept is not None:
        return kept
    seen = []
    for hook, step in life.steps_from_the_start(subject):
        with observed_calls() as observed:
            made = life.attempted(step)
        seen.append((hook, observed))
        if made is None:
            break
    vars(subject)["observed"] = seen
    return seen


@rule(
    why="`vtune say --stream` writes sound to the standard output, and `--json` writes JSON there; both would be "
    "broken.",
    change="Log with logging.getLogger(__name__), or remove the print.",
    after=(base_loads,),
)
def hooks_print_nothing(subject: Subject) -> None:
    """Hooks write nothing to the standard output."""
    for hook, observed in _observed_steps(subject):
        require(not observed.printed, f"{hook} printed {observed.printed.strip()[:80]!r}.")


@rule(
    why="Users cannot change the code that warns; after a hundred warnings they read none.",
    change="Mend what the warning is about; tell what users must know with logging or in the documentation.",
    after=(base_loads,),
)
def hooks_warn_of_nothing(subject: Subject) -> None:
    """Lines of the engine's own files give no warnings."""
    home = engine_home(subject)
    for hook, observed in _observed_steps(subject):
        for warning in observed.warned:
            path = Path(warning.filename)
            own = home is not None and (path == home or home in path.parents)
            require(
                not own,
                f"{hook} gives the {warning.category.__name__} {str(warning.message)[:100]!r} at "
                f"{path.name}:{warning.lineno}.",
            )


@rule(
    why="What a stranger's voice or model brings must never run.",
    change="Load tensors with safetensors, or with torch.load(..., weights_only=True) (vtune.toolkit.read_tensors).",
    after=(base_loads,),
)
def nothing_is_unpickled(subject: Subject) -> None:
    """No hook loads a pickle that names classes."""
    for hook, observed in _observed_steps(subject):
        strange = [name for name in observed.unpickled if name.partition(".")[0] not in _TENSOR_MODULES]
        require(not strange, f"{hook} unpickled {', '.join(sorted(set(strange))[:3])}.")


_TENSOR_MODULES = frozenset({"collections", "copyreg", "torch", "multiprocessing"})


@rule(
    why="Users find files that they did not ask for, in folders that may be read-only or somebody else's.",
    change="Write into the folder that a hook is given; keep caches below vtune.toolkit.build_once or tempfile, and "
    "remove temporary files.",
    after=(base_loads,),
)
def no_files_are_left_behind(subject: Subject) -> None:
    """Hooks leave no files behind, except in caches."""
    allowed = [subject.folder.resolve(), *(path.resolve() for path in cache_folders())]
    for hook, observed in _observed_steps(subject):
        for name in observed.written:
            path = Path(name)
            in_cache = any(folder in path.resolve().parents for folder in allowed) or "__pycache__" in path.parts
            is_device = path.parts[:2] in (("/", "dev"), ("/", "proc"))
            require(in_cache or is_device or not path.is_file(), f"{hook} left the file {name} behind.")


@rule(
    why="After some hours of serving, no more files could be opened, or the machine would be full of threads.",
    change="Open files with `with`, and end threads and processes where you start them.",
    after=(speech_ends, forward_returns_a_loss),
)
def nothing_is_left_open(subject: Subject) -> None:
    """Repeated calls leave no open files, threads or processes behind."""
    base = subject.new_base()
    model = subject.model(base=base)
    calls: dict[str, Callable[[], Any]] = {
        "prepare_sample": lambda: subject.encode(subject.clips[0], base),
        "collate": lambda: subject.collate(subject.rows),
        "extract_conditioning": lambda: subject.condition(subject.clips, base),
        "synthesize": lambda: subject.speak(TEXT, base=base, model=model),
        "fingerprint": lambda: subject.engine.features_fingerprint(base),
    }
    process = psutil.Process()
    for hook, call in calls.items():
        kept = [call()]  # what is opened once at the first use may stay open
        del kept
        files, threads, children = _open_count(process), threading.active_count(), len(process.children())
        for _ in range(CALLS):
            call()
        after = _open_count(process)
        require(after - files < CALLS, f"{CALLS} calls of {hook} left {after - files} files open.")
        new_threads, new_children = threading.active_count() - threads, len(process.children()) - children
        require(new_threads < CALLS, f"{CALLS} calls of {hook} left {new_threads} threads running.")
        require(new_children < CALLS, f"{CALLS} calls of {hook} left {new_children} processes running.")


def _open_count(process: psutil.Process) -> int:
    return int(process.num_fds()) if hasattr(process, "num_fds") else len(process.open_files())


@rule(
    why="A run encodes 100,000 clips and a server speaks for weeks: memory would run out.",
    change="Keep nothing of a clip or an utterance: no list of clips, no cache without a limit, no tensors on the "
    "base or "
    "the network after the hook has returned.",
    after=(speech_forgets_what_came_before, forward_returns_a_loss),
)
def memory_does_not_grow(subject: Subject) -> None:
    """Nothing of a clip, a batch or an utterance is kept when its hook has returned."""
    base = subject.new_base()
    model = subject.model(base=base)
    subject.encode(subject.clips[0], base)
    subject.speak(LONG_TEXT, base=base, model=model)  # tables of positions may grow once
    subject.condition(subject.clips, base)
    with _garbage_of_now():
        _require_nothing_kept(subject, base, model)


@contextmanager
def _garbage_of_now() -> Iterator[None]:
    """Keep what is there already out of every garbage collection of this block: it would take a second each time."""
    gc.collect()
    is_frozen = gc.get_freeze_count() > 0
    gc.freeze()
    try:
        yield
    finally:
        tracemalloc.stop()
        if not is_frozen:
            gc.unfreeze()


def _require_nothing_kept(subject: Subject, base: Any, model: Any) -> None:
    for hook, alive in _kept_arrays(subject, base, model).items():
        require(not alive, f"{hook} keeps {alive} after it has returned.")
    clip_bytes = subject.clips[0].waveform.nbytes
    jobs: dict[str, Callable[[int], Any]] = {
        "prepare_sample": lambda number: subject.encode(subject.clip(0.9, 20 + number), base),
        "extract_conditioning": lambda number: subject.condition([subject.clip(0.9, 40 + number)], base),
        "synthesize": lambda number: subject.speak(f"{TEXT} {number}", base=base, model=model),
    }
    for hook, job in jobs.items():
        grown = _growth(job)
        require(
            grown < clip_bytes / 4,
            f"Each call of {hook} keeps {grown / 1000:.0f} kB of memory, measured over {CALLS} calls; a clip of 0.9 "
            "s has "
            f"{clip_bytes / 1000:.0f} kB.",
        )
    short = _held_after(lambda: subject.speak(TEXT, base=base, model=model))
    long = _held_after(lambda: subject.speak(LONG_TEXT, base=base, model=model))
    require(
        long - short < max(clip_bytes / 4, NOISE_BYTES),
        f"After a long text, {(long - short) / 1000:.0f} kB more are kept than after a short one.",
    )


def _kept_arrays(subject: Subject, base: Any, model: Any) -> dict[str, str]:
    """Give each hook things of its own, and tell by weak references which of them it keeps."""
    clip = subject.with_prepared_text(subject.clip(0.9, 30), base)
    waveform = weakref.ref(clip.waveform)
    features = subject.call("prepare_sample", base=base, clip=clip)
    watched: dict[str, list[tuple[str, Any]]] = {"prepare_sample": [("the waveform of its clip", waveform)]}
    watched["prepare_sample"] += [(f"the feature {name!r}", weakref.ref(array)) for name, array in features.items()]
    clip = subject.with_prepared_text(subject.clip(0.9, 31), base)
    watched["extract_conditioning"] = [("the waveform of a clip", weakref.ref(clip.waveform))]
    subject.call("extract_conditioning", base=base, clips=[clip])
    pieces = subject.speak(OTHER_TEXT, base=base, model=model)
    watched["synthesize"] = [("the sound of its utterance", weakref.ref(piece.waveform)) for piece in pieces[:3]]
    rows = [{**as_stored(features), "lot": np.asarray(0.5)}]
    batch = subject.engine.collate(base, rows)
    watched["the model's forward"] = [(f"the tensor {name!r} of a batch", weakref.ref(t)) for name, t in batch.items()]
    with torch.no_grad():
        model(**batch)
    del clip, features, pieces, rows, batch
    gc.collect()
    return {hook: next((what for what, alive in refs if alive() is not None), "") for hook, refs in watched.items()}


def _growth(job: Callable[[int], Any]) -> float:
    """Return the bytes that each call keeps."""
    job(0)
    before = _held_after(lambda: job(1))
    for number in range(CALLS):
        job(2 + number)
    return (_held_after(lambda: job(2 + CALLS)) - before) / (CALLS + 1)


def _held_after(call: Callable[[], Any]) -> int:
    """Return the bytes of all living tensors, and of what Python and NumPy have allocated, after a call."""
    if not tracemalloc.is_tracing():
        tracemalloc.start(1)
    call()
    gc.collect()
    gc.collect()
    storages: dict[int, int] = {}
    for thing in gc.get_objects():
        if type(thing) in (torch.Tensor, torch.nn.Parameter):
            try:
                storage = thing.untyped_storage()
            except (RuntimeError, NotImplementedError):
                continue
            storages[storage.data_ptr()] = storage.nbytes()
    traced, _ = tracemalloc.get_traced_memory()
    return sum(storages.values()) + traced


@rule(
    why="Each process of a run asks for it, and a voice is opened in another one: it would be refused there.",
    change="Use hashlib (vtune.toolkit.hash_file), not hash(), whose values differ in each process; sort sets, and "
    "leave "
    "out id(), process ids and the time.",
    after=(fingerprint_is_stable,),
    seconds=SECOND_PROCESS_SECONDS,
)
def fingerprint_is_equal_in_two_processes(subject: Subject) -> None:
    """Another process, in which texts hash differently, has the same fingerprint."""
    here = subject.engine.features_fingerprint(subject.base)
    there = lived_in_second_process(subject)
    require(not there.error or there.fingerprint, *_stopped("fingerprint", there.error))
    for name in {**here, **there.fingerprint}:
        require(
            here.get(name) == there.fingerprint.get(name),
            f"The part {name!r} of the fingerprint is {here.get(name)!r} here, and {there.fingerprint.get(name)!r} in "
            "another process.",
        )


@rule(
    why="A run has a process for each GPU, and a server opens what a training has made: they must agree.",
    change="Sort what comes from a set, a dict of another library or a folder (sorted(path.iterdir())); use no "
    "hash() of "
    "a text, no id() and no time.",
    after=(fingerprint_is_equal_in_two_processes, encoding_repeats, conditioning_repeats, seed_repeats_the_sound),
    seconds=SECOND_PROCESS_SECONDS,
)
def results_are_equal_in_two_processes(subject: Subject) -> None:
    """Another process, in which texts hash differently, makes the same features, loss, conditioning and speech."""
    elsewhere = lived_in_second_process(subject)
    for hook, step in life.steps(subject, subject.new_base()):
        here, there = life.attempted(step), elsewhere.arrays.get(hook)
        if here is None:
            return
        if hook in ("fingerprint", "build_lora_model"):
            continue
        if there is None:
            raise BrokenRule(*_stopped(hook, elsewhere.error))
        for name, made in here.items():
            array, other = np.asarray(made), there.get(name)
            require(other is not None, f"In another process, {hook} did not make {name}.")
            same = (
                other is not None
                and other.shape == array.shape
                and np.allclose(other, array, rtol=PROCESS_TOLERANCE, atol=PROCESS_TOLERANCE, equal_nan=True)
            )
            require(same, f"In another process, {hook} made another result: {name} differs.")


def _stopped(hook: str, error: str) -> tuple[str, str]:
    """Describe what the second process did not do, and what to change."""
    return (
        f"In another process, which has the same files and options, the engine did not get as far as {hook}: "
        f"{in_a_line(error).rstrip('.')[:300]}.",
        "Let a second process use the engine at the same time: hold no lock, port or device that there is only once, "
        "and keep nothing in the first process that the second one would need.",
    )
