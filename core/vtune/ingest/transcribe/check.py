"""Transcripts that stand, heard again: how far the table's words are from what a recogniser hears."""

from __future__ import annotations

import csv
import io
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vtune.dataset import Row, Source, open_source
from vtune.errors import DataError, printable
from vtune.ingest.transcribe.backends import open_recogniser
from vtune.ingest.transcribe.entries import Entry, entry_of, evidence
from vtune.ingest.transcribe.error_rates import distance, plain
from vtune.ingest.transcribe.flags import flags_among, kind_of
from vtune.ingest.transcribe.folder import JOURNAL, settings_key
from vtune.ingest.transcribe.journal import Journal
from vtune.ingest.transcribe.recogniser import RATE, Recogniser
from vtune.ingest.transcribe.recognition import listen
from vtune.ingest.transcribe.report import NAMES, listing, speed
from vtune.recipe.model import SourceRecipe, TranscribeRecipe
from vtune.runtime.paths import alone, write_text
from vtune.runtime.progress import ProgressBar
from vtune.types import Waveform

COLUMNS = ("cer", "wer", "file", "line", "audio", "text", "heard", "flags")

ASTRAY = 0.3
"""Character error rate beyond which the words are likely those of another recording, or half of them are missing."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One row of a source beside what was heard.

    :param edits: of characters, out of ``characters`` of the row's words after normalisation; of words likewise.
    """

    row: Row
    heard: str
    edits: int
    characters: int
    word_edits: int
    words: int
    flags: tuple[str, ...] = ()

    @property
    def cer(self) -> float:
        """Character error rate; 1 where words were heard and the row has none that count."""
        return self.edits / self.characters if self.characters else float(self.edits > 0)

    @property
    def wer(self) -> float:
        """Word error rate."""
        return self.word_edits / self.words if self.words else float(self.word_edits > 0)


@dataclass(slots=True)
class CheckReport:
    """All rows that were compared, the worst first, and those that could not be."""

    compared: list[Compared] = field(default_factory=list)
    unchecked: list[tuple[str, str]] = field(default_factory=list)
    heard_seconds: float = 0.0
    took: float = 0.0
    left: int = 0

    @property
    def cer(self) -> float:
        """Pooled: all edits by all characters."""
        return sum(one.edits for one in self.compared) / max(1, sum(one.characters for one in self.compared))

    @property
    def wer(self) -> float:
        """Pooled: all edits by all words."""
        return sum(one.word_edits for one in self.compared) / max(1, sum(one.words for one in self.compared))

    def write(self, path: Path) -> None:
        """Write a table, the worst first, whole or not at all."""
        out = io.StringIO(newline="")
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        for one in self.compared:
            row, flags = one.row, "; ".join(one.flags)
            writer.writerow(
                [f"{one.cer:.4f}", f"{one.wer:.4f}", row.file, row.line, row.audio, row.text, one.heard, flags]
            )
        write_text(path, out.getvalue().encode("utf-8", "backslashreplace").decode())

    def lines(self, table: Path) -> list[str]:
        """Say it in a few lines."""
        same = sum(not one.edits for one in self.compared)
        astray = sum(one.cer > ASTRAY for one in self.compared)
        kinds = Counter(kind for one in self.compared for kind in {kind_of(flag) for flag in one.flags})
        told = ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common())
        said = [
            f"{len(self.compared):,} rows checked: CER {100 * self.cer:.2f} %, WER {100 * self.wer:.2f} %, "
            f"{same:,} the same, {astray:,} with a CER over {100 * ASTRAY:g} %; all in {printable(str(table))}",
            f"red flags on {sum(bool(one.flags) for one in self.compared):,}" + (f": {told}" if told else ""),
        ]
        if self.heard_seconds:
            said.append(f"heard now: {speed(self.heard_seconds, self.took)}")
        if self.left:
            said.append(f"left for another run by the limit: {self.left:,}")
        for one in [one for one in self.compared if one.edits][:NAMES]:
            place = f"{one.row.file}:{one.row.line}"
            said.append(
                printable(f"CER {100 * one.cer:.0f} % {place}: {one.row.text[:60]!r}, heard {one.heard[:60]!r}")
            )
        return [*said, *listing("not checked", self.unchecked, table)]


def check_source(
    source: Source,
    settings: TranscribeRecipe,
    *,
    journal: Path | None = None,
    limit: int | None = None,
    recogniser: Recogniser | None = None,
) -> CheckReport:
    """Hear every clip of a source again, and compare its words with what is heard. The source is not touched.

    :param journal: where what was heard is noted down, so that a killed check goes on where it was; None does not.
    :param limit: hear so many recordings at most.
    :param recogniser: to be used instead of the one that the settings name.
    :raises VtuneError: the recogniser cannot be had or fails.
    """
    report, key = CheckReport(), settings_key(settings)
    known = Journal(journal) if journal is not None else None
    rows = _rows(source, report)
    told = {one: entry for one, entry in (known.entries if known else {}).items() if entry.get("key") == key}
    waiting = list({digest: row for row, digest in reversed(rows) if digest not in told}.items())[::-1]
    report.left = len(waiting) - len(waiting[:limit])
    started = time.monotonic()
    with ProgressBar("checking transcripts", len(waiting[:limit]), "clips") as bar:
        clips = ((digest, _reader(source, row)) for digest, row in waiting[:limit])
        for batch in listen(clips, lambda: recogniser or open_recogniser(settings)):
            entries = [entry_of(digest, "", digest, one, settings, key) for digest, one in batch]
            told |= {entry["digest"]: entry for entry in entries}
            if known is not None:
                known.add(entries)
            report.heard_seconds += sum(one.seconds for _, one in batch)
            bar.advance(len(batch))
    report.took = time.monotonic() - started
    _compare([(row, told[digest]) for row, digest in rows if digest in told], settings.language, report)
    return report


def _rows(source: Source, report: CheckReport) -> list[tuple[Row, str]]:
    """Return the rows that can be checked, each with the digest of its recording."""
    rows = []
    for row in source.rows():
        try:
            if row.problem is not None:
                raise DataError(row.problem)
            source.seconds(row.audio)  # refuses what is no plain file, before it is opened
            rows.append((row, source.digest(row.audio)))
        except (DataError, OSError) as error:
            report.unchecked.append((_place(row), str(error)))
    return rows


def _reader(source: Source, row: Row) -> Callable[[], Waveform]:
    return lambda: source.load(row.audio, RATE)


def _compare(pairs: Sequence[tuple[Row, Entry]], language: str, report: CheckReport) -> None:
    unread = [(row, entry) for row, entry in pairs if entry["status"] == "unreadable"]
    report.unchecked += [(_place(row), entry["reason"]) for row, entry in unread]
    pairs = [(row, entry) for row, entry in pairs if entry["status"] != "unreadable"]
    known = [evidence(entry, language, row.text) for row, entry in pairs]
    for (row, entry), one, flags in zip(pairs, known, flags_among(known), strict=True):
        spoken = one.language if language == "auto" else language
        heard = entry["text"] if entry["status"] == "transcribed" else ""
        wanted, got = plain(row.text, spoken), plain(heard, spoken)
        edits, words = distance(wanted, got), distance(wanted.split(), got.split())
        compared = Compared(row, heard, edits, len(wanted), words, len(wanted.split()))
        if entry["status"] == "empty":
            flags = [f"silence: {entry['reason']}", *flags]
        elif compared.cer > ASTRAY:
            flags = [f"mismatch: character error rate {compared.cer:.2f}, over {ASTRAY}", *flags]
        report.compared.append(replace(compared, flags=tuple(flags)))
    report.compared.sort(key=lambda one: -one.cer)


def _place(row: Row) -> str:
    return ":".join(str(part) for part in (row.file, row.line) if part is not None) + f" {row.audio}"


def check_folder(
    source: SourceRecipe, settings: TranscribeRecipe, output: Path | None = None, *, limit: int | None = None
) -> tuple[CheckReport, Path]:
    """Check a source and write the table of it, which is returned beside the report.

    :param output: default: ``check.csv`` in the source's folder, in the current one for a data set of the Hub.
    :raises VtuneError: as ``check_source``, and where there is no such source.
    """
    path = Path(source.source).expanduser()
    folder = path if path.is_dir() else path.parent if path.is_file() else Path()
    output = output or folder / "check.csv"
    if output.suffix.lower() != ".csv" or output.is_dir():
        raise DataError(f"the output is a table, a file that ends in .csv, not {printable(str(output))}")
    opened = open_source(source, Path())
    output.parent.mkdir(parents=True, exist_ok=True)
    with alone(output, "another run is writing it"):
        report = check_source(opened, settings, journal=output.with_suffix(JOURNAL), limit=limit)
        report.write(output)
    return report, output
