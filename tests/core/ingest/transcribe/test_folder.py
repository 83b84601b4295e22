"""A folder becomes a table: names, interrupted runs, rows that the user changed, files that are no recordings."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vtune.dataset import open_source
from vtune.errors import DataError, VtuneError
from vtune.ingest.transcribe import Transcript, transcribe_folder
from vtune.recipe import SourceRecipe
from vtune.recipe.data_sections import TranscribeRecipe

Make = Callable[..., Path]


def found_by_readers(table: Path) -> dict[str, str]:
    """Return the words of each recording, as training reads the table."""
    rows = list(open_source(SourceRecipe(source=str(table)), Path()).rows())
    assert [row.problem for row in rows] == [None] * len(rows)
    return {os.path.relpath(row.audio, table.parent): row.text for row in rows}


def test_a_folder_becomes_a_table(folder: Make, go) -> None:
    root = folder("clip_000.wav", "clip_001.wav")
    report = go(root, "spoken in the first", "another sentence")
    assert (root / "transcript.csv").read_text().splitlines() == [
        "filename,text,red_flags",
        "clip_000,spoken in the first,",
        "clip_001,another sentence,",
    ]
    assert [report.recordings, report.rows, report.heard] == [2, 2, 2]


def test_every_name_is_found_by_those_who_read_the_table(folder: Make, go, put, babble) -> None:
    names = [
        "plain.wav", "sub/plain.wav", "only/here.flac", "twice.wav", "twice.flac", "a.mp3.wav", "-dash.wav", "=1+1.wav",
        " blank.wav", "über.wav", "u\u0308ber2.wav", "new\nline.wav", 'quo"te,comma.wav', "dots.v1.wav",
        "sub/.x/../y.wav", "#hash.wav", "tab\t.wav", "back\\slash.wav",
    ]  # fmt: skip
    root = folder()
    for number, name in enumerate(names):
        put(root / name, babble(0.8, number))
    report = go(root)
    result = found_by_readers(root / "transcript.csv")
    assert {os.path.normpath(name) for name in names} == set(result)
    assert len(set(result.values())) == len(names), "each has its own words"
    assert not report.unreadable
    text = (root / "transcript.csv").read_text()
    assert all(not line.startswith(("=", "-", "+", "@")) for line in text.splitlines())


def test_a_name_that_is_no_text_is_told_and_not_written(folder: Make, go, put, babble) -> None:
    root = folder("good.wav")
    put(Path(os.fsdecode(os.fsencode(root) + b"/bad\xff.wav")), babble(1))
    report = go(root)
    assert list(found_by_readers(root / "transcript.csv")) == ["good.wav"]
    ((name, why),) = report.unreadable
    assert "rename the file" in why
    assert name.endswith("bad\udcff.wav")
    assert "bad\\udcff.wav" in "\n".join(report.lines())
    "\n".join(report.lines()).encode()


def test_another_output_names_recordings_from_where_it_lies(folder: Make, go, tmp_path: Path) -> None:
    root = folder("a.wav", "sub/a.wav")
    table = tmp_path / "other" / "words.csv"
    go(root, output=table)
    assert set(found_by_readers(table)) == {"../clips/a.wav", "../clips/sub/a.wav"}
    assert table.with_suffix(".heard.jsonl").is_file()
    assert not (root / "transcript.csv").exists()
    assert go(root, output=table).heard == 0


def test_what_is_no_speech_is_listed_and_never_in_the_table(folder: Make, go, rows_of, journal_of) -> None:
    silence = np.zeros(32_000, dtype=np.float32)
    root = folder("speech.wav", silence=silence, nothing=silence[:0], broken=b"RIFF", empty=b"")
    (root / "pipe.wav").symlink_to("/dev/zero")
    os.mkfifo(root / "fifo.wav")
    report = go(root)
    assert [row["filename"] for row in rows_of(report.table)] == ["speech"]
    assert [name for name, _ in report.empty] == ["silence.wav"]
    assert {name for name, _ in report.unreadable} == {
        "nothing.wav", "broken.wav", "empty.wav", "pipe.wav", "fifo.wav",
    }  # fmt: skip
    entries = {entry["recording"]: entry for entry in journal_of(report.table)}
    assert len(entries) == report.recordings == 7
    assert {entry["status"] for entry in entries.values()} == {"transcribed", "empty", "unreadable"}
    assert "0.00 s of speech" in entries["silence.wav"]["reason"]
    assert all(entry["reason"] for entry in entries.values() if entry["status"] != "transcribed")


@pytest.mark.parametrize(
    "heard",
    [
        Transcript(""), Transcript(" . "), Transcript("You", logprob=-1.8, no_speech=0.8),
        Transcript("you", logprob=-0.9, no_speech=0.88),
    ],
)  # fmt: skip
def test_words_that_are_none_are_not_written(folder: Make, go, rows_of, heard: Transcript) -> None:
    report = go(folder("a.wav"), heard)
    assert rows_of(report.table) == []
    assert len(report.empty) == 1


def test_silence_alone_needs_no_recogniser(folder: Make, settings: TranscribeRecipe) -> None:
    root = folder(silence=np.zeros(16_000, dtype=np.float32))
    report = transcribe_folder(root, settings)  # whose model does not exist
    assert len(report.empty) == 1


def test_words_with_breaks_and_nothings_become_one_line(folder: Make, go) -> None:
    root = folder("a.wav")
    go(root, " one\n two\0 \ud800three\r\n")
    assert found_by_readers(root / "transcript.csv") == {"a.wav": "one two ?three"}


def test_a_second_run_hears_nothing_and_changes_nothing(folder: Make, go, fake) -> None:
    root = folder("a.wav", "b.wav", silence=np.zeros(16_000, dtype=np.float32))
    go(root)
    before = (root / "transcript.csv").read_bytes(), (root / "transcript.heard.jsonl").read_bytes()
    listener = fake()
    assert go(root, recogniser=listener).heard == 0
    assert listener.sounds == []
    assert before == ((root / "transcript.csv").read_bytes(), (root / "transcript.heard.jsonl").read_bytes())


def test_a_killed_run_goes_on(folder: Make, go, fake) -> None:
    root = folder(*(f"{n}.wav" for n in range(8)))

    class Dies(fake):
        def transcribe(self, sounds):
            if len(self.sounds) >= 4:
                raise KeyboardInterrupt
            return super().transcribe(sounds)

    with pytest.raises(KeyboardInterrupt):
        go(root, recogniser=Dies(batch=2))
    assert not (root / "transcript.csv").exists(), "a table stands whole or not at all"
    with (root / "transcript.heard.jsonl").open("a") as file:
        file.write('{"recording": "4.wav", "dig')  # and it was killed while it wrote
    listener = fake()
    report = go(root, recogniser=listener)
    assert len(listener.sounds) == report.heard == 4
    assert report.rows == 8
    assert [json.loads(line)["recording"] for line in report.journal.read_text().splitlines()] == [
        f"{n}.wav" for n in range(8)
    ]


def test_a_limit_leaves_the_rest_for_later(folder: Make, go) -> None:
    root = folder(*(f"{n}.wav" for n in range(5)))
    first = go(root, limit=2)
    assert (first.heard, first.left, first.rows) == (2, 3, 2)
    second = go(root, limit=2)
    assert (second.heard, second.left, second.rows) == (2, 1, 4)


def test_a_failing_recogniser_is_one_line_and_what_was_heard_is_kept(folder: Make, go, fake) -> None:
    root = folder("a.wav", "b.wav")

    class Fails(fake):
        def transcribe(self, sounds):
            if self.sounds:
                raise RuntimeError("CUDA out of\nmemory")
            return super().transcribe(sounds)

    with pytest.raises(VtuneError, match="CUDA out of memory") as caught:
        go(root, recogniser=Fails(batch=1))
    assert "\n" not in str(caught.value)
    assert go(root).heard == 1


class TestTheUsersRows:
    @pytest.fixture
    def root(self, folder: Make, go) -> Path:
        root = folder("a.wav", "b.wav", "c.wav")
        go(root, "words of the first one", "words of the second one", "words of the third one")
        return root

    def edit(self, root: Path, old: str, new: str) -> None:
        table = root / "transcript.csv"
        text = table.read_text()
        assert old in text
        table.write_text(text.replace(old, new))

    def test_corrected_words_stay(self, root: Path, go, rows_of) -> None:
        self.edit(root, "words of the second one", "what was truly said")
        report = go(root)
        assert (report.heard, report.own) == (0, 1)
        assert rows_of(report.table)[1]["text"] == "what was truly said"

    def test_corrected_words_stay_under_another_model_and_others_are_heard_anew(self, root: Path, go, rows_of) -> None:
        self.edit(root, "words of the second one", "what was truly said")
        other = TranscribeRecipe(model="another", device="cpu")
        report = go(root, "better words one", "better words three", settings=other)
        assert report.heard == 2
        assert [row["text"] for row in rows_of(report.table)] == [
            "better words one", "what was truly said", "better words three",
        ]  # fmt: skip
        assert go(root, settings=other).heard == 0

    def test_an_approved_row_stays_approved(self, folder: Make, go, rows_of) -> None:
        root = folder("a.wav")
        go(root, "no no no no no")
        (row,) = rows_of(root / "transcript.csv")
        assert row["red_flags"].startswith("repetition: 'no' 5 times")
        table = root / "transcript.csv"
        table.write_text("filename,text,red_flags\na,no no no no no,\n")
        go(root)
        assert rows_of(table)[0]["red_flags"] == ""

    def test_deleted_rows_stay_deleted(self, root: Path, go, rows_of) -> None:
        table = root / "transcript.csv"
        table.write_text("\n".join(line for line in table.read_text().splitlines() if "second" not in line) + "\n")
        for _ in range(2):
            report = go(root)
            assert (report.heard, report.deleted) == (0, 1)
            assert [row["filename"] for row in rows_of(table)] == ["a", "c"]

    def test_a_table_that_is_gone_is_written_again(self, root: Path, go, rows_of) -> None:
        (root / "transcript.csv").unlink()
        assert go(root).heard == 0
        assert len(rows_of(root / "transcript.csv")) == 3

    def test_other_columns_and_their_order_stay(self, root: Path, go, put, babble, rows_of) -> None:
        (root / "transcript.csv").write_text(
            "note;text;filename\nmine;words of the first one;a\n;other words;b\nlast;words of the third one;c\n",
            encoding="utf-8-sig",
        )
        put(root / "d.wav", babble(1, 9))
        go(root, "words of a new one")
        text = (root / "transcript.csv").read_text(encoding="utf-8-sig")
        assert text.splitlines()[0] == "note;text;filename;red_flags"
        assert text.splitlines()[1].startswith("mine;words of the first one;a;")
        assert text.splitlines()[4].startswith(";words of a new one;d;")
        assert (root / "transcript.csv").read_bytes().startswith(b"\xef\xbb\xbf")

    def test_a_changed_recording_is_heard_again_and_its_row_gives_way_aloud(
        self, root: Path, go, put, babble, rows_of, caplog: pytest.LogCaptureFixture
    ) -> None:
        self.edit(root, "words of the second one", "what was truly said")
        put(root / "b.wav", babble(1.2, 77))
        with caplog.at_level(logging.INFO, "vtune"):
            report = go(root, "now something else is said")
        assert report.heard == 1
        assert rows_of(report.table)[1]["text"] == "now something else is said"
        assert "what was truly said" in caplog.text
        (kept,) = root.glob(".transcript-*.csv")
        assert "what was truly said" in kept.read_text()
        assert "transcript.csv: 1 row(s) that you changed are written again" in caplog.text
        assert str(kept) in caplog.text
        go(root, "now something else is said")
        assert list(root.glob(".transcript-*.csv")) == [kept]

    def test_a_recording_that_fell_silent_leaves_the_table(self, root: Path, go, put, rows_of) -> None:
        put(root / "b.wav", np.zeros(16_000, dtype=np.float32))
        report = go(root)
        assert [row["filename"] for row in rows_of(report.table)] == ["a", "c"]
        assert [name for name, _ in report.empty] == ["b.wav"]

    def test_a_recording_that_cannot_be_read_for_a_while_costs_nothing(self, root: Path, go, rows_of) -> None:
        self.edit(root, "words of the second one", "what was truly said")
        sound = (root / "b.wav").read_bytes()
        (root / "b.wav").unlink()
        (root / "b.wav").mkdir()
        go(root)
        (root / "b.wav").rmdir()
        (root / "b.wav").symlink_to("/dev/null")
        assert [name for name, _ in go(root).unreadable] == ["b.wav"]
        (root / "b.wav").unlink()
        (root / "b.wav").write_bytes(sound)
        go(root)
        assert rows_of(root / "transcript.csv")[1]["text"] == "what was truly said"

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
    def test_a_table_that_a_spreadsheet_saved_is_understood(self, root: Path, go, rows_of, encoding: str) -> None:
        (root / "transcript.csv").write_bytes(
            "filename,text,red_flags\r\na,Grüße aus Köln,\r\nb,words of the second one,\r\n".encode(encoding)
        )
        report = go(root)
        assert (report.heard, report.deleted) == (0, 1)
        assert [row["text"] for row in rows_of(report.table)] == ["Grüße aus Köln", "words of the second one"]


class TestATableThatWasThereBefore:
    def test_its_rows_are_kept_and_only_the_others_are_heard(self, folder: Make, go, rows_of, fake) -> None:
        root = folder("a.wav", "b.wav")
        (root / "transcript.csv").write_text("file_name,sentence\nb.wav,by hand\nlost.wav,of no recording\n")
        listener = fake("words of the first one")
        report = go(root, recogniser=listener)
        assert len(listener.sounds) == 1
        assert (report.own, report.rows) == (1, 3)
        rows = rows_of(report.table)
        assert [(row["file_name"], row["sentence"]) for row in rows] == [
            ("b.wav", "by hand"), ("lost.wav", "of no recording"), ("a", "words of the first one"),
        ]  # fmt: skip
        assert go(root).heard == 0
        assert rows_of(report.table) == rows

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("a|words of one\nb|words of another\n", "not a CSV file with a header"),
            ("filename,text\na,one, two\n", ":2: the row has 3 cells, the header has 2"),
            ('filename,text\na,"never closed\nb,x\n', ":2: cannot be parsed"),
            ("filename,speaker\na,me\n", "not clear which one has the words"),
            ("filename,text,text\na,x,y\n", "appears twice"),
        ],
    )
    def test_one_that_cannot_be_kept_is_left_alone(self, folder: Make, go, text: str, message: str) -> None:
        root = folder("a.wav", "b.wav")
        (root / "transcript.csv").write_text(text)
        with pytest.raises(DataError, match=message) as caught:
            go(root)
        assert "\n" not in str(caught.value)
        assert (root / "transcript.csv").read_text() == text

    def test_an_empty_file_is_no_table(self, folder: Make, go) -> None:
        root = folder("a.wav")
        (root / "transcript.csv").touch()
        assert go(root).rows == 1

    def test_a_users_own_json_lines_are_not_taken_for_a_journal(self, folder: Make, go) -> None:
        root = folder("a.wav")
        own = '{"audio": "a.wav", "text": "by hand"}\n'
        (root / "transcript.heard.jsonl").write_text(own)
        with pytest.raises(DataError, match="not a journal of vtune"):
            go(root)
        assert (root / "transcript.heard.jsonl").read_text() == own

    @pytest.mark.parametrize("name", ["transcript.csv", "transcript.heard.jsonl"])
    def test_pipes_and_folders_in_its_place_are_refused(self, folder: Make, go, name: str) -> None:
        root = folder("a.wav")
        os.mkfifo(root / name)
        with pytest.raises(DataError, match="not a plain file"):
            go(root)


@pytest.mark.parametrize("damage", ["null", "[]", "{", '{"recording": 3}', "\x00\xff", "[" * 100_000])
def test_a_damaged_line_of_the_journal_costs_that_recording_alone(folder: Make, go, damage: str) -> None:
    root = folder("a.wav", "b.wav")
    go(root)
    journal = root / "transcript.heard.jsonl"
    lines = journal.read_text().splitlines()
    journal.write_text(f"{lines[0]}\n{damage}\n", encoding="utf-8", errors="surrogatepass")
    (root / "transcript.csv").unlink()
    report = go(root)
    assert (report.heard, report.rows) == (1, 2)


@pytest.mark.parametrize(
    "change", [{"speech": "x"}, {"logprob": "x"}, {"flags": 3}, {"written": 3}, {"heard_language": 3}, {"key": None}]
)
def test_strange_values_in_the_journal_are_no_crash(folder: Make, go, change: dict[str, object]) -> None:
    root = folder("a.wav")
    go(root)
    journal = root / "transcript.heard.jsonl"
    journal.write_text(json.dumps({**json.loads(journal.read_text()), **change}) + "\n")
    assert go(root).rows == 1


def test_flags_of_the_folder_reach_rows_that_were_written_before(folder: Make, go, rows_of, fake, put, babble) -> None:
    root = folder("a.wav", slow=babble(5, 1))
    text = "thirteen letters"
    go(root, text, text + " and so on")
    assert rows_of(root / "transcript.csv")[1]["red_flags"] == ""
    for number in range(30):
        put(root / f"z{number}.wav", babble(1, number + 50))
    go(root, recogniser=fake(*[text] * 30))
    assert rows_of(root / "transcript.csv")[1]["red_flags"].startswith("pace: ")


def test_any_kind_of_recording_is_heard_at_16_khz(folder: Make, go, fake, babble) -> None:
    root = folder()
    sound = np.repeat(babble(1.0), 3)
    soundfile.write(root / "a.flac", np.stack([sound, -sound], axis=1), 48_000)
    soundfile.write(root / "b.wav", np.stack([sound] * 6, axis=1), 48_000, "FLOAT")
    soundfile.write(root / "c.wav", np.repeat(babble(1.0), 24), 384_000)
    listener = fake()
    report = go(root, recogniser=listener)
    assert report.rows == 3
    assert all(len(sound) == pytest.approx(16_000, rel=0.7) for sound in listener.sounds)


def test_long_recordings_are_heard_in_parts_and_become_one_row(folder: Make, go, fake, babble, rows_of) -> None:
    long = np.concatenate([babble(9, n) for n in range(8)])
    listener = fake(batch=2)
    report = go(folder("a.wav", long=long), recogniser=listener)
    assert max(map(len, listener.sounds)) <= 28 * 16_000
    words = rows_of(report.table)[1]["text"]
    assert [int(word) for word in words.split() if word.isdigit()] == list(range(2, len(listener.sounds) + 1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: root / "nowhere", "is not a folder"),
        (lambda root: root / "a.wav", "is not a folder"),
        (lambda root: root / "none", "contains no recordings"),
    ],
)
def test_a_folder_that_is_none_is_one_line(folder: Make, go, make: Callable[[Path], Path], message: str) -> None:
    root = folder("a.wav")
    (root / "none").mkdir()
    with pytest.raises(DataError, match=message):
        go(make(root))


@pytest.mark.parametrize("output", ["x.txt", "x.json", "sub.csv"])
def test_an_output_that_is_no_table_is_one_line(folder: Make, go, output: str) -> None:
    root = folder("a.wav")
    (root / "sub.csv").mkdir()
    with pytest.raises(DataError, match=r"ends in \.csv"):
        go(root, output=root / output)


def test_what_the_user_does_while_it_hears_is_not_lost(folder: Make, go, fake, rows_of) -> None:
    root = folder("a.wav", "b.wav")
    table = root / "transcript.csv"
    go(root, "words of one", limit=1)

    class Busy(fake):
        def transcribe(self, sounds):
            table.write_text(table.read_text().replace("words of one", "what was truly said"))
            return super().transcribe(sounds)

    go(root, recogniser=Busy("words of another"))
    assert [row["text"] for row in rows_of(table)] == ["what was truly said", "words of another"]


def test_two_runs_at_once_are_refused(folder: Make, go, fake) -> None:
    root = folder("a.wav")

    class Another(fake):
        def transcribe(self, sounds):
            with pytest.raises(VtuneError, match="another run"):
                go(root)
            return super().transcribe(sounds)

    assert go(root, recogniser=Another()).rows == 1


def test_links_that_loop_end(folder: Make, go) -> None:
    root = folder("a.wav")
    (root / "loop").symlink_to(root)
    (root / "self.wav").symlink_to("self.wav")
    report = go(root)
    assert report.rows == 1
    assert [name for name, _ in report.unreadable] == ["self.wav"]
