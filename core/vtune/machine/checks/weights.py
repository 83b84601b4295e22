"""Weights that listen: Whisper, and the network that compares speakers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vtune.machine.finding import Finding, MachineCheck, note, ok, warning
from vtune.machine.this_machine import Machine

SIZES = ("tiny.en", "tiny", "base.en", "base", "small.en", "small", "medium.en", "medium", "large-v3", "large-v3-turbo")


def run(machine: Machine) -> Iterator[Finding]:
    """Look for Whisper's files, and import both libraries."""
    yield _whisper(machine)
    yield _similarity(machine)


def _whisper(machine: Machine) -> Finding:
    tried = machine.tried("import whisper")["import whisper"]
    if not tried.works:
        return warning(
            f"Whisper cannot be imported: {tried.problem}; words cannot be measured.",
            "pip install --force-reinstall openai-whisper",
        )
    cache = Path(machine.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "whisper"
    there = [size for size in SIZES if machine.is_file(cache / f"{size}.pt")]
    if there:
        return ok(f"Whisper's weights are there: {', '.join(there)}.")
    return note(
        "No weights of Whisper are there: the first transcription downloads them (75 MB for tiny, 1.5 GB for medium).",
        "python -c 'import whisper; whisper.load_model(\"tiny.en\")'",
    )


def _similarity(machine: Machine) -> Finding:
    if machine.version("resemblyzer") is None:
        return note(
            "Resemblyzer is not installed: how alike two speakers are is not measured.",
            "pip install 'vtune-tts[similarity]'",
        )
    tried = machine.tried("import resemblyzer")["import resemblyzer"]
    if tried.works:
        return ok("Resemblyzer is there, with its weights.")
    return warning(
        f"Resemblyzer cannot be imported: {tried.problem}.", "pip install 'vtune-tts[similarity]' 'setuptools<81'"
    )


CHECK = MachineCheck("weights", 110, "Are the networks there that measure words and likeness?", run)
