"""Recognise the clips that one rank takes, and note each result at once, so that a killed rank loses little."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vtune import audio
from vtune.contract.recognisers import RECOGNISER_SAMPLE_RATE, Recogniser
from vtune.ingest.transcribe.backends import open_recogniser
from vtune.ingest.transcribe.journal import Journal, rank_journal
from vtune.ingest.transcribe.journal_entries import JournalEntry, carry_over, make_entry
from vtune.ingest.transcribe.recognition import RecognitionResult, recognise_recordings
from vtune.recipe.data_sections import TranscribeRecipe
from vtune.runtime import signals
from vtune.runtime.distributed.shared_files import await_files
from vtune.types import Waveform

TASK_CLIPS = 16
"""Clips that a rank takes at once. Recognisers get batches from these clips only, so that the batches, and with them
the last digits of each score, are the same with any number of ranks."""


@dataclass(frozen=True, slots=True)
class PendingClip:
    """A recording that must be recognised.

    :param key: key of the recording in the journal.
    :param name: name of the recording in the table.
    :param former: entry of an earlier run.
    """

    key: str
    path: str
    name: str
    digest: str
    former: JournalEntry | None = None


@dataclass(frozen=True, slots=True)
class HeardBatch:
    """Entries of one batch, of which ``heard`` recordings with ``seconds`` of sound were readable."""

    entries: list[JournalEntry]
    heard: int
    seconds: float


class RecogniseShare:
    """Recognises clips; see ``RankPool.map``. Each rank loads the recogniser once, on its own device.

    :param key: hash of the settings.
    :param journal: the journal of the main process; other ranks write journals of their own beside it.
    :param recogniser: used instead of the recogniser that the settings name.
    """

    def __init__(
        self, settings: TranscribeRecipe, key: str, journal: Path, recogniser: Recogniser | None = None
    ) -> None:
        self._settings, self._key, self._recogniser = settings, key, recogniser
        self._journal, self._launch = journal, secrets.token_hex(4)
        self.loading_seconds = 0.0

    def __call__(self, tasks: Iterator[Sequence[PendingClip]], rank: int) -> Iterator[HeardBatch]:
        """Yield the results of the clips, batch by batch."""
        journal = Journal(rank_journal(self._journal, self._launch, rank)) if rank else None
        for clips in tasks:
            if rank:
                await_files(clip.path for clip in clips)
            recordings = ((clip, _reader(clip.path)) for clip in clips)
            for batch in recognise_recordings(recordings, self._open):
                entries = [self._entry(clip, result) for clip, result in batch]
                if journal is not None:
                    with signals.deferred():
                        journal.add(entries)
                readable_count = sum(result.status != "unreadable" for _, result in batch)
                yield HeardBatch(entries, readable_count, sum(result.seconds for _, result in batch))

    def _open(self) -> Recogniser:
        if self._recogniser is None:
            started = time.monotonic()
            self._recogniser = open_recogniser(self._settings)
            self.loading_seconds = time.monotonic() - started
        return self._recogniser

    def _entry(self, clip: PendingClip, result: RecognitionResult) -> JournalEntry:
        entry = make_entry(clip.key, clip.name, clip.digest, result, self._settings, self._key)
        return carry_over(clip.former, entry)


def _reader(path: str) -> Callable[[], Waveform]:
    return lambda: audio.read(Path(path), RECOGNISER_SAMPLE_RATE)
