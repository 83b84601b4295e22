"""What a card is the card of: a voice's own folder, or one that was exported."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Literal

from vtune.errors import printable
from vtune.voice_format.record import VoiceRecord


@dataclass(frozen=True, slots=True)
class Form:
    """What lies in a card's folder.

    :param what: it is, at the beginning of a sentence.
    :param relation: to the base, as the Hub names it.
    :param library: that loads it, as the Hub names it.
    :param use: how it is used, in Markdown.
    :param files: from the card to the files that the figures come from; empty, or a folder with its slash.
    :param page: whether ``listen.html`` lies there.
    :param checked: what was found when it was written, a sentence each.
    :param overridden: who passed it on without a stated consent and what they said; None where nobody had to.
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
