from __future__ import annotations

from pathlib import Path

import pytest

import vtune


def test_a_sub_module_that_hides_a_hook_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "hiding_engine"
    package.mkdir()
    (package / "__init__.py").write_text("from vtune_toy import *\nfrom hiding_engine import footprint\n")
    (package / "footprint.py").write_text("")
    info = tmp_path / "hiding-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hiding\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[vtune.engines]\nhiding = hiding_engine\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(vtune.EngineError, match=r"'hiding' \(hiding 1\.0\): a module named 'footprint' hides the hook"):
        vtune.load_engine("hiding")


def test_options_are_finite_and_true_is_no_number() -> None:
    with pytest.raises(ValueError, match="must be a number"):
        vtune.load_engine("toy").info.options.model_validate({"width": True})
    with pytest.raises(ValueError, match="finite"):
        vtune.load_engine("toy").info.options.model_validate({"pitch": float("nan")})
