from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from vtune.types import Conditioning
from vtune.voice_format.record import read_conditioning, write_conditioning
from vtune.voice_format.tensor_files import sort_metadata


def header(path: Path) -> dict[str, object]:
    content = path.read_bytes()
    result: dict[str, object] = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return result


def test_strings_are_in_order_and_everything_else_is_as_it_was(tmp_path: Path) -> None:
    strings = {name: f'ß "{name}"\n\x01\u2028' for name in "qwertyuiopasdfgh"}
    tensors = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.ones(3, dtype=np.int64)}
    path = tmp_path / "some.safetensors"
    save_file(tensors, str(path), metadata=strings)
    size = path.stat().st_size
    sort_metadata(path)
    metadata = header(path)["__metadata__"]
    assert isinstance(metadata, dict)
    assert list(metadata) == sorted(strings)
    assert path.stat().st_size == size
    with safe_open(str(path), framework="np") as file:
        assert file.metadata() == strings
        assert all(np.array_equal(file.get_tensor(name), tensors[name]) for name in tensors)


def test_the_same_conditioning_is_the_same_bytes(tmp_path: Path) -> None:
    strings = {name: name for name in "qwertyuiopasdfgh"}
    written = []
    for number in range(3):  # safetensors orders its strings differently at each call
        path = tmp_path / f"{number}.safetensors"
        write_conditioning(Conditioning({"pace": np.ones(1, dtype=np.float32)}, strings), path)
        written.append(path.read_bytes())
    assert written[0] == written[1] == written[2]
    assert read_conditioning(path).strings == strings
