"""On a GPU, no tensor of hibari is on the wrong device."""

from __future__ import annotations

from pathlib import Path

from both_devices import lives_alike
from small_hibari import ALIGN_ANYTHING, write_small_onnx


def test_a_voice_lives_on_a_gpu_as_on_a_cpu(tmp_path: Path) -> None:
    base = write_small_onnx(tmp_path / "base")
    lives_alike("hibari", [{"base_model": str(base), **ALIGN_ANYTHING}], tmp_path)
