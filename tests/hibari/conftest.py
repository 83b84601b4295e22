"""Small random bases of hibari; they speak noise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from asset_cache import assets_in
from small_hibari import write_small_onnx


@pytest.fixture(scope="session", autouse=True)
def assets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep aligners that tests make out of the user's cache."""
    with assets_in(tmp_path_factory.mktemp("assets")) as folder:
        yield folder


@pytest.fixture(scope="session")
def small_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small voice with matrices of 8 bits, in the published file format."""
    pytest.importorskip("onnxruntime")
    return write_small_onnx(tmp_path_factory.mktemp("small"))
