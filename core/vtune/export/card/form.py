"""The folder that a card describes: a voice's own, or an exported one."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Literal

from vtune.errors import printable
from vtune.voice_format.record import VoiceRecord


@dataclass(frozen=True, slots=True)
class Form:
    """What is in a card's folder.

    :param what: what the folder holds, at the beginning of a sentence.
    :param relation: relation to the base, as the Hub names it.
    :param library: library that loads the folder, as the Hub names it.
    :param use: how the folder is used, in Markdown.
    :param files: path from the card to the files with its numbers; empty, or a folder with its slash.
    :param page: whether the folder has ``listen.html``.
    :param checked: results of the checks when the folder was written, one sentence each.
    :param overridden: who passed the voice on without a stated consent, and their reason; None if nobody did.
    """

    what: str
    relation: Literal["adapter", "finetune"]
    library: str
    use: str
    files: str = ""
    page: bool = False
    checked: tuple[str, ...] = ()
    overridden: str | None = None


def voice_form(record: VoiceRecord) -> Form:
    """Return the form of a voice's own folder."""
    use = f"```sh\nvtune say {shlex.quote(printable(record.name))} 'Hello, this is my own voice.' --out hello.wav\n```"
    if record.method == "full":
        return Form("Every weight of a voice", "finetune", "transformers", use, page=True)
    return Form("A voice", "adapter", "peft", use, page=True)
