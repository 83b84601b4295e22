"""Let an engine do its work in a second process, whose texts hash differently, to compare the results."""

from __future__ import annotations

import atexit
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from vtune.engines import engine_files, use_engine_files
from vtune.errors import VtuneError, reason
from vtune.testing import life
from vtune.testing.checkup import without_title
from vtune.testing.subject import Subject
from vtune.testing.watch import refused_network
from vtune.types import Clip


@dataclass(frozen=True, slots=True)
class Lived:
    """What the hooks of an engine have made in another process.

    :param arrays: by hook, then by name.
    :param error: what stopped it before the end, if anything did.
    """

    fingerprint: Mapping[str, str]
    arrays: Mapping[str, Mapping[str, np.ndarray]]
    error: str


_process: subprocess.Popen[str] | None = None
_lock = threading.Lock()


def start_second_process() -> None:
    """Start the second process, which takes seconds to import torch while this process goes on."""
    with _lock:
        _running()


def lived_in_second_process(subject: Subject) -> Lived:
    """Let the engine live in a second process; the result is kept with the subject."""
    kept: Lived | None = vars(subject).get("lived")
    if kept is None:
        kept = _ask(subject)
        vars(subject)["lived"] = kept
    return kept


def _running() -> subprocess.Popen[str]:
    global _process
    if _process is None or _process.poll() is not None:
        seed = "1" if os.environ.get("PYTHONHASHSEED") == "2" else "2"
        folders = [path for path in sys.path if path]
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(folders)}
        _process = subprocess.Popen(
            [sys.executable, "-m", "vtune.testing.second_process"], text=True, env=environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        atexit.register(_end, _process)
    return _process


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()


def _ask(subject: Subject) -> Lived:
    folder = subject.new_folder("second-process")
    clips = {f"{index}": clip.waveform for index, clip in enumerate(subject.clips)}
    np.savez(folder / "clips.npz", **clips)  # type: ignore[arg-type]
    described = [[clip.id, clip.voice, clip.text, clip.sample_rate] for clip in subject.clips]
    request = {
        "name": subject.name,
        "files": [str(path) for path in engine_files() if path.is_file()],  # one of an earlier check may be gone
        "options": subject.engine_options.model_dump(mode="json"),
        "seed": subject.seed,
        "folder": str(folder),
        "clips": described,
    }
    with _lock:
        process = _running()
        assert process.stdin is not None
        assert process.stdout is not None
        answer = ""
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            answer = _read_line(process.stdout)
        finally:
            if not answer:  # it has died, or this thread is stopped: the next answer would be of this request
                _end(process)
    if not answer:
        return Lived({}, {}, "the process ended without an answer")
    reply = json.loads(answer)
    arrays: dict[str, dict[str, np.ndarray]] = {}
    with np.load(folder / "made.npz") as file:
        for key, (hook, name) in reply["names"].items():
            arrays.setdefault(hook, {})[name] = file[key]
    return Lived(reply["fingerprint"], arrays, reply["error"])


def _read_line(stream: IO[str]) -> str:
    """Read a line in a way that a time limit can stop: in short waits for a thread that reads it."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=lambda: lines.put(stream.readline()), name="second process", daemon=True).start()
    while True:
        with suppress(queue.Empty):
            return lines.get(timeout=0.2)


def _live(request: Mapping[str, Any]) -> dict[str, Any]:
    """Do in this process what another one asks for, and write the arrays into its folder."""
    use_engine_files(map(Path, request["files"]))
    folder = Path(request["folder"])
    with np.load(folder / "clips.npz") as file:
        clips = [
            Clip(name, voice, text, file[str(index)], rate)
            for index, (name, voice, text, rate) in enumerate(request["clips"])
        ]
    subject = Subject(request["name"], request["options"], folder, clips, request["seed"])
    names: dict[str, tuple[str, str]] = {}
    arrays: dict[str, np.ndarray] = {}
    fingerprint: dict[str, str] = {}
    error = ""
    try:
        with refused_network():
            base = subject.base
            fingerprint = subject.engine.features_fingerprint(base)
            for hook, step in life.steps(subject, base):
                for name, array in step().items():
                    names[str(len(names))] = (hook, name)
                    arrays[str(len(arrays))] = array
    except Exception as problem:  # the rule that compares says where it stopped
        error = without_title(problem) if isinstance(problem, VtuneError) else reason(problem)
    np.savez(folder / "made.npz", **arrays)  # type: ignore[arg-type]
    return {"fingerprint": fingerprint, "names": names, "error": error}


def _serve(requests: IO[str], replies: IO[str]) -> None:
    for line in requests:
        print(json.dumps(_live(json.loads(line))), file=replies, flush=True)


if __name__ == "__main__":
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what an engine prints must not be taken for a reply
    _serve(sys.stdin, replies)
