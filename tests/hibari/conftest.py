"""Small random bases of hibari; they speak noise."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_hibari import write_small_onnx


@pytest.fixture(scope="session")
def small_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small voice with matrices of 8 bits, in the published file format."""
    pytest.importorskip("onnxruntime")
    return write_small_onnx(tmp_path_factory.mktemp("small"))
