"""The folder that a card describes: a voice's own, or an exported one."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vtune.errors import printable
from vtune.runtime.paths import LICENCE_NOTE
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
    :param space: whether the folder is a Space of the Hub, whose card has another head.
    """

    what: str
    relation: Literal["adapter", "finetune"]
    library: str
    use: str
    files: str = ""
    page: bool = False
    checked: tuple[str, ...] = ()
    overridden: str | None = None
    space: bool = False


@dataclass(frozen=True, slots=True)
class CardFiles:
    """Files beside a card that its head names.

    :param note: whether there is a licence note.
    :param samples: the voice's samples as ``(number of the sentence, path from the card)``.
    """

    note: bool = False
    samples: tuple[tuple[int, str], ...] = ()


def find_card_files(directory: Path, form: Form) -> CardFiles:
    """Look for the files that the card of a folder names."""
    folder = directory / form.files / "samples"
    found = sorted(path for path in folder.glob("*.wav") if re.fullmatch(r"\d{2,3}", path.stem))
    samples = tuple((int(path.stem), path.relative_to(directory).as_posix()) for path in found)
    return CardFiles((directory / LICENCE_NOTE).is_file(), samples)


def voice_form(record: VoiceRecord) -> Form:
    """Return the form of a voice's own folder."""
    use = f"```sh\nvtune say {shlex.quote(printable(record.name))} 'Hello, this is my own voice.' --out hello.wav\n```"
    if record.method == "full":
        return Form("Every weight of a voice", "finetune", "transformers", use, page=True)
    return Form("A voice", "adapter", "peft", use, page=True)
