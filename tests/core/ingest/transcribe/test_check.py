"""Transcripts are compared with a recogniser: error rates computed by hand, the order, rows that cannot be checked, an
unchanged source.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vtune.dataset import open_source
from vtune.errors import DataError, VtuneError
from vtune.ingest.transcribe import CheckReport, check_folder, check_source
from vtune.recipe import SourceRecipe
from vtune.recipe.data_sections import TranscribeRecipe

Make = Callable[..., Path]


@pytest.fixture
def check(settings: TranscribeRecipe, fake) -> Callable[..., CheckReport]:
    def run(path: Path, *answers: str, **more: object) -> CheckReport:
        source = open_source(SourceRecipe(source=str(path)), Path())
        return check_source(source, settings, recogniser=more.pop("recogniser", None) or fake(*answers), **more)

    return run


def test_rates_are_counted_by_hand_and_the_worst_comes_first(folder: Make, check) -> None:
    root = folder("a.wav", "b.wav", "c.wav")
    (root / "t.csv").write_text('filename,text\na,"Hello, there!"\nb,one cat sat\nc,mister Smith is here\n')
    report = check(root, "hello there", "a dog sat", "Mr. Smith's here.")
    assert Path(report.compared[0].row.audio).stem == "b"
    by_name = {Path(row.row.audio).stem: row for row in report.compared}
    assert by_name["a"].cer == by_name["c"].cer == 0, "normalised, they are the same"
    worst = report.compared[0]
    assert worst.flags[0].startswith("mismatch: the character error rate 0.")
    assert (worst.word_edits, worst.words) == (2, 3)
    assert worst.wer == pytest.approx(2 / 3)
    assert report.wer == pytest.approx(2 / (2 + 3 + 4))
    assert report.cer == pytest.approx(worst.edits / sum(row.characters for row in report.compared))


def test_rows_that_cannot_be_checked_are_listed_with_their_reasons(folder: Make, check) -> None:
    root = folder("a.wav", "unnamed.wav", broken=b"RIFF")
    os.mkfifo(root / "pipe.wav")
    (root / "t.csv").write_text("filename,text\na,sound number one\nlost,x\nbroken,x\npipe,x\n")
    report = check(root, "sound number one")
    assert len(report.compared) == 1
    assert len(report.unchecked) == 4
    reasons = " ".join(f"{name} {why}" for name, why in report.unchecked)
    assert all(part in reasons for part in ("'lost'", "broken.wav", "pipe.wav", "unnamed.wav", "t.csv:3"))


def test_words_for_silence_are_wrong_and_flagged(folder: Make, check) -> None:
    root = folder(silence=np.zeros(32_000, dtype=np.float32))
    (root / "t.csv").write_text("filename,text\nsilence,words of nobody\n")
    (row,) = check(root).compared
    assert row.cer == 1
    assert row.flags[0].startswith("silence: there are only 0.00 s of speech")


def test_flags_are_of_the_tables_words(folder: Make, check) -> None:
    root = folder("a.wav")
    (root / "t.csv").write_text("filename,text\na,no no no no no\n")
    (row,) = check(root, "only once").compared
    assert [flag.partition(":")[0] for flag in row.flags] == ["mismatch", "repetition"]


def test_one_recording_in_two_rows_is_heard_once(folder: Make, check, fake) -> None:
    root = folder("a.wav")
    (root / "t.csv").write_text("filename,text\na,sound number one\na,other words\n")
    listener = fake("sound number one")
    report = check(root, recogniser=listener)
    assert len(listener.sounds) == 1
    assert [row.edits > 0 for row in report.compared] == [True, False]


def test_a_killed_check_goes_on(folder: Make, check, fake, tmp_path: Path) -> None:
    root = folder("a.wav", "b.wav", "c.wav")
    (root / "t.csv").write_text("filename,text\na,x\nb,y\nc,z\n")
    first = check(root, journal=tmp_path / "j.jsonl", limit=2)
    assert (len(first.compared), first.left) == (2, 1)
    listener = fake()
    report = check(root, journal=tmp_path / "j.jsonl", recogniser=listener)
    assert (len(report.compared), len(listener.sounds)) == (3, 1)


def test_a_source_is_checked_and_left_as_it_is(folder: Make, settings, go) -> None:
    root = folder("a.wav", "b.wav")
    go(root, "words of one", "words of another")
    before = (root / "transcript.csv").read_bytes()
    # What was transcribed under the same settings is not known to the check, so a recogniser is needed.
    with pytest.raises(VtuneError, match="no whisper model 'fake'"):
        check_folder(SourceRecipe(source=str(root)), settings)
    assert (root / "transcript.csv").read_bytes() == before


def test_the_table_of_a_check_is_whole_and_sorted(folder: Make, check, tmp_path: Path) -> None:
    root = folder("a.wav", "b.wav")
    (root / "t.csv").write_text("filename,text\na,the same\nb,something else\n")
    report = check(root, "the same", "quite other words")
    report.write(tmp_path / "check.csv")
    with (tmp_path / "check.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == ["something else", "the same"]
    assert float(rows[0]["cer"]) > float(rows[1]["cer"]) == 0
    assert rows[0]["line"] == "3"
    printed = "\n".join(report.lines(tmp_path / "check.csv"))
    assert "2 rows checked" in printed
    assert "1 rows equal" in printed


def test_a_folder_stays_a_source_when_it_was_transcribed_and_checked(folder: Make, go, check, settings) -> None:
    root = folder("a.wav", "b.wav")
    go(root, "words of one", "words of another")
    report = check(root, "words of one", "words of another", journal=root / "check.heard.jsonl")
    report.write(root / "check.csv")
    assert report.cer == 0
    rows = list(open_source(SourceRecipe(source=str(root)), Path()).rows())
    assert [(row.text, row.problem) for row in rows] == [("words of one", None), ("words of another", None)]


def test_an_output_that_is_no_table_is_one_line(folder: Make, settings) -> None:
    with pytest.raises(DataError, match=r"ends in \.csv"):
        check_folder(SourceRecipe(source=str(folder("a.wav"))), settings, Path("x.txt"))
