"""How much memory the stages take at a size where a second copy of the network shows: 230 MB of float32 weights.

One process of its own goes through all of them, so that nothing else is in its memory; it counts what is anonymous, for
pages of mapped files can be given back. Run as a program, this file is that process.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

MB = 1e6
HIDDEN, LAYERS = 1024, 6
LAYER_BYTES = 4 * HIDDEN * 2 * HIDDEN
SLACK_BYTES = 50 * MB
"""What Python, allocators and imports need in addition."""

pytestmark = [
    pytest.mark.xdist_group("orpheus-memory"),
    pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory is read from /proc"),
]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    folder = tmp_path_factory.mktemp("memory")
    done = subprocess.run(
        [sys.executable, __file__, str(folder)], capture_output=True, text=True, timeout=600, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_weights_of_the_file_s_own_format_stay_in_the_file(measured: dict[str, float]) -> None:
    assert measured["load as stored"] < SLACK_BYTES


def test_weights_of_another_format_are_one_copy(measured: dict[str, float]) -> None:
    assert 0.45 * measured["base"] < measured["load narrowed"] < 0.5 * measured["base"] + SLACK_BYTES


def test_weights_for_another_device_are_not_on_the_host(measured: dict[str, float]) -> None:
    """The device is torch's `meta`, which stores nothing: what is left is what the host had."""
    assert measured["load to a device"] < SLACK_BYTES / 2


def test_nothing_behind_a_training_takes_more_than_the_training(measured: dict[str, float]) -> None:
    assert measured["training"] > 0
    assert measured["checks"] <= measured["training"] + SLACK_BYTES
    assert measured["voice"] <= measured["training"] + SLACK_BYTES


def test_merging_takes_one_network_and_one_layer(measured: dict[str, float]) -> None:
    assert measured["merge"] < measured["base"] + 3 * LAYER_BYTES + SLACK_BYTES


class Peak:
    """The largest anonymous memory since the start, in bytes above the memory at the start."""

    def __enter__(self) -> Peak:
        from vtune.runtime.device import release_memory

        release_memory()
        self._start = self._most = anonymous()
        self._on = True
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._on = False
        self._thread.join()

    @property
    def bytes(self) -> float:
        return self._most - self._start

    def restart(self) -> float:
        """Return the peak so far, and measure the next peak from here on, above the same start."""
        before, self._most = self.bytes, anonymous()
        return before

    def _watch(self) -> None:
        while self._on:
            self._most = max(self._most, anonymous())
            time.sleep(0.002)


def anonymous() -> float:
    match = re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())
    assert match is not None
    return int(match[1]) * 1024


def main(folder: Path) -> dict[str, float]:
    import numpy as np
    import soundfile
    import torch

    from vtune import pipeline
    from vtune.engines import load_recipe
    from vtune.export.merge import merge_voice
    from vtune.training import guards
    from vtune_orpheus import tiny_checkpoint
    from vtune_orpheus.base import OrpheusBase
    from vtune_orpheus.options import OrpheusOptions

    checkpoint = folder / "base"
    checkpoint.mkdir()
    tiny_checkpoint.build(checkpoint, hidden=HIDDEN, layers=LAYERS, heads=8)
    result: dict[str, Any] = {"base": (checkpoint / "model.safetensors").stat().st_size}
    for name, device, dtype in (
        ("warm up", "cpu", torch.float32),
        ("load as stored", "cpu", torch.float32),
        ("load narrowed", "cpu", torch.bfloat16),
        ("load to a device", "meta", torch.bfloat16),
    ):
        with Peak() as peak:
            OrpheusBase(OrpheusOptions(base_model=str(checkpoint)), torch.device(device), dtype).new_network()
        result[name] = peak.bytes

    clips = folder / "clips"
    clips.mkdir()
    rows = ["filename,text"]
    for number in range(2):
        noise = np.random.default_rng(number).normal(0, 0.1, 24_000).astype(np.float32)
        soundfile.write(clips / f"{number}.wav", noise, 24_000)
        rows.append(f"{number}.wav,sentence number {number}")
    (clips / "transcripts.csv").write_text("\n".join(rows))
    recipe = {
        "voice": "someone",
        "engine": "orpheus",
        "engine_options": {"base_model": str(checkpoint), "max_new_tokens": 14},
        "data": [{"source": str(clips)}],
        "folders": {"runs": str(folder / "runs"), "voices": str(folder / "voices")},
        "train": {"max_steps": 1, "precision": "fp32", "validation": 0, "warmup": 0, "learning_rate": 1e-3},
        "evaluate": {"sentences": ["hello"], "metrics": ["speed"], "train_sentences": 0, "checkpoint_sentences": 0},
    }
    (folder / "recipe.json").write_text(json.dumps(recipe))
    probe, begin = guards.probe_logits, pipeline._begin
    with Peak() as peak:

        def answered(*arguments: Any) -> Any:
            if "training" not in result:
                result["training"] = peak.restart()
            return probe(*arguments)

        def begun(step: int, what: str) -> None:
            if step == 3:
                result["checks"] = peak.restart()
            begin(step, what)

        guards.probe_logits, pipeline._begin = answered, begun
        (voice,) = pipeline.run(load_recipe(folder / "recipe.json"))
        result["voice"] = peak.bytes
    with Peak() as peak:
        merge_voice(voice, folder / "merged", "cpu")
    result["merge"] = peak.bytes
    return result


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
