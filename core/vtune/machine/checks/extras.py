"""Extras: what else of vtune could be installed."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.requirements import InvalidRequirement, Requirement

from vtune.machine.command_lines import install
from vtune.machine.finding import Finding, MachineCheck, note, ok
from vtune.machine.this_machine import Machine

DISTRIBUTION = "vtune-tts"


PURPOSES = {
    "faster-whisper": "faster transcripts on a processor",
    "hibari": "small English voices that any machine can train",
    "indextts2": "the engine IndexTTS2",
    "indextts2-ja": "Japanese with IndexTTS2",
    "loudness": "loudness in LUFS",
    "numbers": "numbers written out in about 50 languages",
    "qlora": "training with weights of 4 or 8 bits",
    "quality": "DNSMOS: how clean a voice sounds",
    "quickstart": "the quickstart with its scores",
    "serve": "voices over HTTP",
    "similarity": "the pitch of a voice",
    "spreadsheet": "tables from Excel and LibreOffice",
    "tune": "the search for better settings",
    "vad": "speech told from music and noise",
    "vits": "the engine VITS: voices for Piper",
}
"""What each extra is for; a test compares the names with the package's metadata."""


def run(machine: Machine) -> Iterator[Finding]:
    """Compare the installed distributions with those of each extra."""
    complete = []
    for extra, requirements in sorted(_extras(machine).items()):
        missing = [text for requirement in requirements if (text := _missing(machine, requirement))]
        if missing:
            purpose = PURPOSES.get(extra, "an extra")
            yield note(
                f"The extra {extra} ({purpose}) is not complete: {', '.join(missing)}.",
                install(f"{DISTRIBUTION}[{extra}]"),
            )
        else:
            complete.append(extra)
    if complete:
        yield ok(f"These extras are installed: {', '.join(complete)}.")


def _missing(machine: Machine, requirement: Requirement) -> str:
    """Return what is wrong with a distribution; an empty text: nothing."""
    version = machine.version(requirement.name)
    if version is None:
        return f"{requirement.name} is not installed"
    if not requirement.specifier.contains(version, prereleases=True):
        return f"{requirement.name} is {version}, and not {requirement.specifier}"
    return ""


def _extras(machine: Machine) -> dict[str, list[Requirement]]:
    """Return the requirements of each extra; those of an extra that names others of vtune are theirs."""
    extras: dict[str, list[Requirement]] = {}
    for text in machine.requirements():
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        marker = str(requirement.marker or "")
        if "extra ==" in marker:
            name = marker.partition("extra ==")[2].strip().split()[0].strip("\"'")
            extras.setdefault(name, []).append(requirement)
    return {name: list(_expanded(requirements, extras)) for name, requirements in extras.items()}


def _expanded(requirements: list[Requirement], extras: dict[str, list[Requirement]]) -> Iterator[Requirement]:
    for requirement in requirements:
        if requirement.name == DISTRIBUTION:
            for name in sorted(requirement.extras):
                yield from _expanded(extras.get(name, []), extras)
        else:
            yield requirement


CHECK = MachineCheck("extras", 120, "Which extras are installed?", run)
