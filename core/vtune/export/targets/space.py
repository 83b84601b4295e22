"""``--to space``: a Space of the Hub that speaks with the voice: a Gradio page, what it needs, and the voice in it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from vtune.export.result import ExportResult
from vtune.export.target import FolderTarget
from vtune.export.targets import voice as voice_target
from vtune.runtime.paths import write_text

if TYPE_CHECKING:
    from vtune.export.source import ExportSource

VOICE_FOLDER = "voice/"
"""Folder of the voice in the Space."""

_USE = """The page is `app.py`. To try it on this machine:

```sh
pip install gradio -r requirements.txt
python app.py
```

A base that asks for a licence to be accepted needs a token of the Hub: set the secret `HF_TOKEN` in the settings of
the Space."""


def write(source: ExportSource, directory: Path, destination: Path, dtype: str | None) -> ExportResult:
    """Write the page, the list of what it needs, and the voice; the voice is read back as a voice is opened.

    :param destination: what ``directory`` becomes.
    """
    from vtune.export.card import Form

    (directory / VOICE_FOLDER).mkdir()
    result = voice_target.write_voice_files(source, directory / VOICE_FOLDER)
    write_text(directory / "app.py", _app())
    write_text(directory / "requirements.txt", f"{requirement(source.voice.record.engine)}\n")
    form = Form("A Space that speaks with a voice", "adapter", "gradio", _USE, VOICE_FOLDER, space=True)
    return ExportResult(form, result.compared, voice_target.DTYPE, result.base)


def requirement(engine: str) -> str:
    """Return what pip has to install for voices of an engine: ``vtune-tts[vits]==0.1.0``, or another distribution."""
    from importlib.metadata import entry_points, metadata

    own = metadata("vtune-tts")
    name = f"{own['Name']}=={own['Version']}"
    dist = next((entry.dist for entry in entry_points(group="vtune.engines", name=engine)), None)
    if dist is not None and dist.name != own["Name"]:
        return f"{name}\n{dist.name}=={dist.version}"
    extra = f"[{engine}]" if engine in (own.get_all("Provides-Extra") or ()) else ""
    return f"{own['Name']}{extra}=={own['Version']}"


def _app() -> str:
    return resources.files("vtune.export").joinpath("space_app.py.txt").read_text(encoding="utf-8")


TARGET = FolderTarget(
    "space", "a page on the Hub that speaks with the voice", (voice_target.DTYPE,), voice_target.check, write
)
