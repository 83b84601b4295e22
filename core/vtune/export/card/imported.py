"""The card's section about a voice that other software trained."""

from __future__ import annotations

from vtune.voice_format.record import ImportRecord


def provenance(imported: ImportRecord, shape: str) -> str:
    """Write which files the voice was made of, and what they do not say.

    :param shape: what was trained, such as the rank of the adapter.
    """
    rows = "".join(f"\n| `{name}` | `{digest}` |" for name, digest in imported.files.items())
    notes = "".join(f"\n- {note}" for note in imported.notes)
    return (
        f"Imported from {imported.layout}; not trained by vtune: {shape}. Which recordings it was trained on, how "
        f"long, and with which settings is not known.\n\n| file | hash of its content |\n|---|---|{rows}"
        + (f"\n\nWhat was found:\n{notes}" if notes else "")
    )
