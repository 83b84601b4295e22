"""The engine keeps vtune's contract: one test for each rule, on a small voice in the published file format."""

from __future__ import annotations

from typing import Any

import pytest
from small_hibari import ALIGN_ANYTHING, write_small_onnx

import vtune.testing


@pytest.fixture(scope="session")
def small_options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    pytest.importorskip("hibari")
    pytest.importorskip("onnxruntime")
    return {"base_model": str(write_small_onnx(tmp_path_factory.mktemp("small"))), **ALIGN_ANYTHING}


test_a_small_voice_keeps_the_contract = vtune.testing.conformance_tests(
    "hibari", "small_options", option_changes={"lexicon": {"line": "lyne"}, "accent": "british"}
)
