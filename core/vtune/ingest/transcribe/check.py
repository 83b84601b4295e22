"""Check existing transcripts: compare the words in a table with the words that a recogniser hears."""

from __future__ import annotations

import csv
import io
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vtune.contract.recognisers import RECOGNISER_SAMPLE_RATE, Recogniser
from vtune.dataset import Row, Source, open_source
from vtune.dataset.sources.own_files import JOURNAL_SUFFIX
from vtune.errors import DataError, printable
from vtune.ingest.transcribe.backends import open_recogniser
from vtune.ingest.transcribe.error_rates import edit_distance, normalise
from vtune.ingest.transcribe.folder import settings_key
from vtune.ingest.transcribe.journal import Journal
from vtune.ingest.transcribe.journal_entries import JournalEntry, evidence_of, make_entry
from vtune.ingest.transcribe.recognition import recognise_recordings
from vtune.ingest.transcribe.red_flags import flag_kind, flags_in_folder
from vtune.ingest.transcribe.report import MAX_LISTED_NAMES, describe_speed, list_reasons
from vtune.recipe.data_sections import SourceRecipe, TranscribeRecipe
from vtune.runtime.paths import exclusive_access, write_text
from vtune.runtime.progress import ProgressBar
from vtune.types import Waveform

CHECK_COLUMNS = ("cer", "wer", "file", "line", "audio", "text", "heard", "flags")

MAX_MATCHING_CER = 0.3
"""Character error rate above which the words are probably of another recording, or half of them are missing."""


@dataclass(frozen=True, slots=True)
class CheckedRow:
    """One row of a source, compared with what the recogniser heard.

    :param heard: the recogniser's text.
    :param edits: character edits between both normalised texts.
    :param characters: characters of the row's normalised text.
    :param word_edits: word edits between both normalised texts.
    :param words: words of the row's normalised text.
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
        """Character error rate; 1 if words were heard but the row's text is empty after normalisation."""
        return self.edits / self.characters if self.characters else float(self.edits > 0)

    @property
    def wer(self) -> float:
        """Word error rate; 1 if words were heard but the row's text is empty after normalisation."""
        return self.word_edits / self.words if self.words else float(self.word_edits > 0)


@dataclass(slots=True)
class CheckReport:
    """The result of a check.

    :param compared: all rows that were compared, the worst first.
    :param unchecked: rows that could not be compared, with the reason.
    :param heard_seconds: seconds of sound that this run recognised, in ``took`` seconds.
    :param left: recordings that ``limit`` left for another run.
    """

    compared: list[CheckedRow] = field(default_factory=list)
    unchecked: list[tuple[str, str]] = field(default_factory=list)
    heard_seconds: float = 0.0
    took: float = 0.0
    left: int = 0

    @property
    def cer(self) -> float:
        """Pooled character error rate: edits of all rows divided by characters of all rows."""
        return sum(row.edits for row in self.compared) / max(1, sum(row.characters for row in self.compared))

    @property
    def wer(self) -> float:
        """Pooled word error rate: word edits of all rows divided by words of all rows."""
        return sum(row.word_edits for row in self.compared) / max(1, sum(row.words for row in self.compared))

    def write(self, path: Path) -> None:
        """Write the compared rows as a CSV table, the worst row first; the file is complete or not written."""
        out = io.StringIO(newline="")
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(CHECK_COLUMNS)
        for checked in self.compared:
            row, flags = checked.row, "; ".join(checked.flags)
            rates = [f"{checked.cer:.4f}", f"{checked.wer:.4f}"]
            writer.writerow([*rates, row.file, row.line, row.audio, row.text, checked.heard, flags])
        write_text(path, out.getvalue().encode("utf-8", "backslashreplace").decode())

    def lines(self, table: Path) -> list[str]:
        """Return the result as a few lines of text.

        :param table: file that holds all compared rows.
        """
        equal = sum(not row.edits for row in self.compared)
        different = sum(row.cer > MAX_MATCHING_CER for row in self.compared)
        kinds = Counter(kind for row in self.compared for kind in {flag_kind(flag) for flag in row.flags})
        counts = ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common())
        lines = [
            f"{len(self.compared):,} rows checked: CER {100 * self.cer:.2f} %, WER {100 * self.wer:.2f} %, "
            f"{equal:,} rows equal, {different:,} rows with a CER over {100 * MAX_MATCHING_CER:g} %; "
            f"all rows are in {printable(str(table))}",
            f"{sum(bool(row.flags) for row in self.compared):,} rows have red flags"
            + (f": {counts}" if counts else ""),
        ]
        if self.heard_seconds:
            lines.append(f"recognised in this run: {describe_speed(self.heard_seconds, self.took)}")
        if self.left:
            lines.append(f"{self.left:,} recordings are left for another run because of --limit")
        for row in [row for row in self.compared if row.edits][:MAX_LISTED_NAMES]:
            location = f"{row.row.file}:{row.row.line}"
            texts = f"the row says {row.row.text[:60]!r}, the recogniser heard {row.heard[:60]!r}"
            lines.append(printable(f"CER {100 * row.cer:.0f} % {location}: {texts}"))
        return [*lines, *list_reasons("not checked", self.unchecked, table)]


def check_source(
    source: Source,
    settings: TranscribeRecipe,
    *,
    journal: Path | None = None,
    limit: int | None = None,
    recogniser: Recogniser | None = None,
) -> CheckReport:
    """Recognise every clip of a source, and compare the result with the words of its row. The source stays unchanged.

    :param journal: file that keeps what was heard, so that a killed check can continue; None keeps nothing.
    :param limit: most recordings that this run recognises.
    :param recogniser: used instead of the recogniser that the settings name.
    :raises VtuneError: the recogniser cannot be loaded, or fails.
    """
    report, key = CheckReport(), settings_key(settings)
    earlier = Journal(journal) if journal is not None else None
    rows = _checkable_rows(source, report)
    former = earlier.entries if earlier else {}
    entry_of_digest = {digest: entry for digest, entry in former.items() if entry.get("key") == key}
    pending = list({digest: row for row, digest in reversed(rows) if digest not in entry_of_digest}.items())[::-1]
    report.left = len(pending) - len(pending[:limit])
    started = time.monotonic()
    with ProgressBar("checking transcripts", len(pending[:limit]), "clips") as progress:
        clips = ((digest, _reader(source, row)) for digest, row in pending[:limit])
        for batch in recognise_recordings(clips, lambda: recogniser or open_recogniser(settings)):
            entries = [make_entry(digest, "", digest, result, settings, key) for digest, result in batch]
            entry_of_digest |= {entry["digest"]: entry for entry in entries}
            if earlier is not None:
                earlier.add(entries)
            report.heard_seconds += sum(result.seconds for _, result in batch)
            progress.advance(len(batch))
    report.took = time.monotonic() - started
    _check_rows(
        [(row, entry_of_digest[digest]) for row, digest in rows if digest in entry_of_digest], settings.language, report
    )
    return report


def _checkable_rows(source: Source, report: CheckReport) -> list[tuple[Row, str]]:
    """Return the rows that can be checked, each with the hash of its recording; note the others in the report."""
    rows = []
    for row in source.rows():
        try:
            if row.problem is not None:
                raise DataError(row.problem)
            source.seconds(row.audio)  # refuses a file that is not a plain file, before the file is opened
            rows.append((row, source.digest(row.audio)))
        except (DataError, OSError) as error:
            report.unchecked.append((_row_location(row), str(error)))
    return rows


def _reader(source: Source, row: Row) -> Callable[[], Waveform]:
    return lambda: source.load(row.audio, RECOGNISER_SAMPLE_RATE)


def _check_rows(pairs: Sequence[tuple[Row, JournalEntry]], language: str, report: CheckReport) -> None:
    unread = [(row, entry) for row, entry in pairs if entry["status"] == "unreadable"]
    report.unchecked += [(_row_location(row), entry["reason"]) for row, entry in unread]
    pairs = [(row, entry) for row, entry in pairs if entry["status"] != "unreadable"]
    evidences = [evidence_of(entry, language, row.text) for row, entry in pairs]
    for (row, entry), evidence, flags in zip(pairs, evidences, flags_in_folder(evidences), strict=True):
        spoken = evidence.language if language == "auto" else language
        recognised = entry["text"] if entry["status"] == "transcribed" else ""
        reference, hypothesis = normalise(row.text, spoken), normalise(recognised, spoken)
        edits = edit_distance(reference, hypothesis)
        word_edits = edit_distance(reference.split(), hypothesis.split())
        compared = CheckedRow(row, recognised, edits, len(reference), word_edits, len(reference.split()))
        if entry["status"] == "empty":
            flags = [f"silence: {entry['reason']}", *flags]
        elif compared.cer > MAX_MATCHING_CER:
            flags = [f"mismatch: the character error rate {compared.cer:.2f} is over {MAX_MATCHING_CER}", *flags]
        report.compared.append(replace(compared, flags=tuple(flags)))
    report.compared.sort(key=lambda row: -row.cer)


def _row_location(row: Row) -> str:
    return ":".join(str(part) for part in (row.file, row.line) if part is not None) + f" {row.audio}"


def check_folder(
    source: SourceRecipe, settings: TranscribeRecipe, output: Path | None = None, *, limit: int | None = None
) -> tuple[CheckReport, Path]:
    """Check a source, write the result as a table, and return the report and the path of the table.

    :param output: the table; default: ``check.csv`` in the source's folder, for a Hub data set in the current one.
    :raises VtuneError: the source cannot be opened, or the recogniser cannot be loaded or fails.
    """
    path = Path(source.source).expanduser()
    folder = path if path.is_dir() else path.parent if path.is_file() else Path()
    output = output or folder / "check.csv"
    if output.suffix.lower() != ".csv" or output.is_dir():
        raise DataError(f"the output must be a file that ends in .csv, but it is {printable(str(output))}")
    opened = open_source(source, Path())
    output.parent.mkdir(parents=True, exist_ok=True)
    with exclusive_access(output, "another run is writing it"):
        report = check_source(opened, settings, journal=output.with_suffix(JOURNAL_SUFFIX), limit=limit)
        report.write(output)
    return report, output
