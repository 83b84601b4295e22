"""A base and a conditioning from a stranger are refused in one line, by this engine or by the code that loads
for it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vtune import Conditioning, VtuneError
from vtune_orpheus.base import OrpheusBase
from vtune_orpheus.conditioning import expected_tokens, prompt_of
from vtune_orpheus.options import OrpheusOptions

STRINGS = {"voice": "anna", "voice_prefix": "true", "seconds_per_character": "0.06"}


def one_line(call: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(VtuneError) as caught:
        call(*arguments)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 600
    return message


@pytest.mark.parametrize(
    "ids",
    [
        np.asarray([-1]),
        np.asarray([10**6]),
        np.asarray([0.5], np.float32),
        np.asarray([[1, 2]]),
        np.asarray(3),
        np.zeros(0, np.int64),
        np.asarray([True]),
    ],
)
def test_reference_clips_that_are_no_tokens_are_refused(base: OrpheusBase, ids: np.ndarray) -> None:
    assert "'reference_0'" in one_line(prompt_of, base, Conditioning({"reference_0": ids}, STRINGS), "hi")


@pytest.mark.parametrize("name", STRINGS)
def test_a_string_that_is_missing_or_endless_is_named(base: OrpheusBase, name: str) -> None:
    def speak(strings: dict[str, str]) -> None:
        prompt_of(base, Conditioning({}, strings), "hi")
        expected_tokens(Conditioning({}, strings), "hi")

    speak(STRINGS)
    assert name in one_line(speak, {key: value for key, value in STRINGS.items() if key != name})
    assert name in one_line(speak, {**STRINGS, name: "x" * 100_000})


@pytest.mark.parametrize("pace", ["nan", "inf", "-1", "1e9", "", "fast\x1b[2J"])
def test_a_pace_of_nobody_is_refused(pace: str) -> None:
    message = one_line(expected_tokens, Conditioning({}, {**STRINGS, "seconds_per_character": pace}), "hi")
    assert "seconds_per_character" in message


def load(folder: Path) -> None:
    base = OrpheusBase(OrpheusOptions(base_model=str(folder)), torch.device("cpu"), torch.float32)
    base.fingerprint()
    base.new_network()
    assert base.codec is not None


FILES = ("config.json", "tokenizer.json", "model.safetensors", "snac/config.json", "snac/model.safetensors")


@pytest.mark.parametrize("kind", ["FIFO", "device"])
@pytest.mark.parametrize("file", FILES)
def test_a_base_with_a_file_that_never_ends_is_refused_at_once(
    tiny: Path, tmp_path: Path, file: str, kind: str
) -> None:
    folder = tmp_path / "base"
    shutil.copytree(tiny, folder)
    (folder / file).unlink()
    os.mkfifo(folder / file) if kind == "FIFO" else (folder / file).symlink_to("/dev/zero")
    assert file in one_line(load, folder)


DAMAGES = {
    "empty": b"",
    "cut": b"{",
    "list": b"[]",
    "deep": b"[" * 100_000,
    "not UTF-8": b"\xff\xfe",
    "NUL": b"\0" * 99,
    "wrong type": b'{"vocab_size": "many"}',
    "number": b"9" * 5000,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", FILES)
def test_a_base_with_a_damaged_file_is_one_line(tiny: Path, tmp_path: Path, file: str, damage: str) -> None:
    folder = tmp_path / "base"
    shutil.copytree(tiny, folder)
    (folder / file).write_bytes(DAMAGES[damage])
    one_line(load, folder)


@pytest.mark.parametrize("changes", [{"hidden_size": -1}, {"num_hidden_layers": "x"}, {"vocab_size": None}])
def test_a_base_of_impossible_sizes_is_one_line(tiny: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = tmp_path / "base"
    shutil.copytree(tiny, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))
    one_line(load, folder)
