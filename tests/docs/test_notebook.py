"""The notebook for Colab and Kaggle works: a kernel executes its cells, with other values in the first cell."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import nbclient
import nbformat
import pytest
import yaml

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "tutorial" / "recordings-to-voice.ipynb"


def read_notebook() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]


def with_values(notebook: nbformat.NotebookNode, **values: object) -> nbformat.NotebookNode:
    """Replace values in the first cell of code, which holds only values."""
    cell = next(cell for cell in notebook.cells if cell.cell_type == "code")
    for name, value in values.items():
        cell.source, count = re.subn(rf"^{name} = .*$", lambda _: f"{name} = {value!r}", cell.source, flags=re.M)  # noqa: B023
        assert count == 1, f"the notebook has no value {name}"
    return notebook


def printed(notebook: nbformat.NotebookNode) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return "".join(output.get("text", "") for output in outputs)


def execute(notebook: nbformat.NotebookNode, seconds: float) -> nbformat.NotebookNode:
    client = nbclient.NotebookClient(notebook, timeout=int(seconds), kernel_name="python3")
    return client.execute()  # type: ignore[no-any-return]


def test_the_notebook_is_valid_and_keeps_no_outputs() -> None:
    notebook = read_notebook()
    nbformat.validate(notebook)  # type: ignore[no-untyped-call]
    assert not [cell for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")]


def test_the_cells_make_a_voice_and_let_it_speak(
    tmp_path: Path, speech: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings = speech(count=8)
    recipe = {
        "voice": "someone",
        "engine": "toy",
        "data": [{"source": str(recordings)}],
        "train": {"max_steps": 2, "batch_size": 2, "learning_rate": 1e-2},
        "evaluate": {"sentences": ["hello there"], "metrics": ["delivery"], "clips": 1, "checkpoint_sentences": 0},
    }
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(recipe))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), *_import_folders()])))
    mine = {**recipe, "voice": "mine"}
    values = {"INSTALL": None, "RECIPE": str(tmp_path / "toy.yaml"), "WORK": str(tmp_path), "MY_VOICE": mine}
    done = execute(with_values(read_notebook(), **values, TEXT="hello there"), 300)
    text = printed(done)
    assert "2 steps" in text
    assert "someone 8000 Hz" in text
    assert "ended by end token" in text
    assert "mine" in text
    sounds = [output for cell in done.cells for output in cell.get("outputs", ()) if "audio" in str(output.get("data"))]
    assert len(sounds) == 3
    assert {"tuned.wav", "mine.wav", "voices", "runs"} <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.proof
def test_the_notebook_as_it_stands_makes_the_quickstart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), *_import_folders()])))
    text = printed(execute(with_values(read_notebook(), INSTALL=None, WORK=str(tmp_path)), 3600))
    assert "quickstart 24000 Hz" in text
    assert "ended by end token" in text


def _import_folders() -> list[str]:
    """Return where this process imports vtune from, for a kernel whose environment has no installed vtune."""
    import vtune_toy

    import vtune
    import vtune_cli

    return [str(Path(str(module.__file__)).resolve().parents[1]) for module in (vtune, vtune_cli, vtune_toy)]
