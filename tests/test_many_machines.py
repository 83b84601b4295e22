"""Real ranks that cut, transcribe, examine and encode: killed in each step, and on two machines."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from forks import Forks

pytestmark = [pytest.mark.slow, pytest.mark.proof]

RATE = 8_000

# The toy engine; a rank kills itself at the place that AT names. A launch that has lost a rank ends after two seconds,
# in which the other rank may do all the rest but the share of the dead rank.
ENGINE = """
import os, signal, time, zlib
import vtune, vtune_toy
from vtune.ingest.prepare import cut_share
from vtune.ingest.transcribe import Transcript, recognise_share
from vtune_toy import *

counts = {}

def at(place):
    counts[place] = counts.get(place, 0) + 1
    if os.environ.get("AT") == f"{place} {counts[place]}" and os.environ["RANK"] == os.environ["AT_RANK"]:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep({"recording": 0.5, "batch": 0.1, "clip": 0}[place])  # so that both ranks get a share

class Listener:
    batch = 4

    def transcribe(self, sounds):
        at("batch")
        return [Transcript(f"sound {zlib.crc32(sound.tobytes())}", "en", 0.9, -0.2, 0.01) for sound in sounds]

def prepare_recording(*arguments, cut=cut_share.prepare_recording):
    at("recording")
    return cut(*arguments)

cut_share.prepare_recording = prepare_recording
recognise_share.open_recogniser = lambda settings: Listener()

@vtune.hookimpl
def prepare_sample(base, clip):
    at("clip")
    return vtune_toy.prepare_sample(base, clip)
"""


@pytest.fixture
def recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write eight recordings of 3 to 24 utterances, 96 clips in all."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(8):
        random = np.random.default_rng(number)
        time = np.arange(2 * RATE) / RATE
        envelope = 1 + 0.5 * np.sin(2 * np.pi * 4 * time)
        voice = 0.1 * envelope * sum(np.sin(2 * np.pi * (120 + number) * n * time) / n for n in range(1, 12))
        pause = np.zeros(2 * RATE)
        sound = np.concatenate([pause, *(part for _ in range(3 * number + 3) for part in (voice, pause))])
        soundfile.write(folder / f"r{number}.wav", sound + 1e-4 * random.standard_normal(len(sound)), RATE)
    return folder


@pytest.fixture
def recipe(tmp_path: Path, recordings: Path) -> Path:
    (tmp_path / "engine.py").write_text(ENGINE)
    path = tmp_path / "recipe.yaml"
    path.write_text(
        f"voice: someone\nengine: {tmp_path}/engine.py\ndata: [{{source: {recordings}}}]\n"
        "prepare: {min_seconds: 1, max_seconds: 3, processes: 1}\ntrain: {max_steps: 1, batch_size: 2}\n"
        "evaluate: {sentences: [hello], metrics: []}\n"
    )
    return path


def made(at: Path) -> dict[str, bytes]:
    """Return what the steps before the training write; names of this folder are removed."""
    run = at / "runs/someone"
    files = [path for path in (run / "clips").rglob("*") if path.is_file()]
    files += [run / "ledger.jsonl", run / "examination.json", run / "dataset/manifest.jsonl"]
    here = str(at).encode()
    contents = {str(path.relative_to(run)): path.read_bytes().replace(here, b"") for path in files}
    # Its key covers the times at which the clips were written.
    contents["examination.json"] = re.sub(rb'"key": "\w+"', b"", contents["examination.json"])
    return contents


def test_two_ranks_that_are_killed_in_each_step_make_what_one_process_makes(
    forks: Forks, tmp_path: Path, recipe: Path
) -> None:
    single, two = tmp_path / "one", tmp_path / "two"
    for at in (single, two):
        at.mkdir()
    assert forks.run(single, "train", str(recipe))[0] == 0
    launched = ("train", str(recipe), "--launch", "2")
    for index, rank in (
        ("recording 2", "1"),
        ("recording 1", "0"),
        ("batch 2", "1"),
        ("batch 1", "0"),
        ("clip 9", "1"),
    ):
        code, output = forks.run(two, *launched, AT=index, AT_RANK=rank)
        assert (code, output.count(f"Error: rank {rank} of 2")) == (137, 1), output
        assert "Traceback" not in output
    code, output = forks.run(two, *launched)
    assert code == 0, output
    assert output.count("recordings (") == 1, "the report of cutting is printed once"
    assert made(two) == made(single)
    assert len(made(single)) > 96


def test_two_machines_cut_what_one_process_cuts(tmp_path: Path, recordings: Path) -> None:
    """Each machine is a separate launch, as ``srun`` starts them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    prepare = ["-m", "vtune_cli", "prepare", str(recordings)]
    settings = ["--sample-rate", "8000", "--min-duration", "1", "--max-duration", "3", "--processes", "1"]
    launch = [
        sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
        "--num_machines", "2",
        "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_ip", "127.0.0.1",
        "--main_process_port", str(port), "--machine_rank",
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    start: Callable[[list[str]], subprocess.Popen[bytes]] = lambda command: subprocess.Popen(  # noqa: E731
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    single = start([sys.executable, *prepare, str(tmp_path / "one"), *settings])
    machines = [start([*launch, str(rank), *prepare, str(tmp_path / "two"), *settings]) for rank in (0, 1)]
    printed = [process.communicate(timeout=300) for process in (single, *machines)]
    assert [process.returncode for process in (single, *machines)] == [0, 0, 0], printed
    assert printed[1][0].replace(b"/two", b"/one") == printed[0][0]
    assert printed[2] == (b"", b"")
    one_files, two_files = (
        {
            str(path.relative_to(tmp_path / name)): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        for name in ("one", "two")
    )
    assert two_files == one_files
    assert len(one_files) > 96
