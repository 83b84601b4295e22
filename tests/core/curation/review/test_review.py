"""Each edit of a listener is in the table and in the history at once, and can be undone, also after a restart."""

from __future__ import annotations

import getpass
import json
import os
import stat
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from vtune.curation.review import Review
from vtune.curation.review import review as module
from vtune.curation.review.clips import ReviewClip
from vtune.dataset import open_source
from vtune.dataset.editing.edit import StaleError
from vtune.errors import DataError, VtuneError
from vtune.recipe import SourceRecipe


def clip_of(review: Review, name: str) -> ReviewClip:
    (result,) = [clip for clip in review.clips().listed if Path(clip.audio).stem == name]
    return result


def number_of(review: Review, name: str) -> int:
    return clip_of(review, name).number


def names(review: Review, state: str = "kept") -> list[str]:
    return [Path(clip.audio).stem for clip in review.clips().listed if clip.state == state]


def history(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "review.jsonl").read_text(encoding="utf-8").splitlines()]


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.name != "review.jsonl"}


def test_words_go_into_the_table_and_the_history(spoken, table):
    folder = spoken(clip_1="low probability")
    review = Review(str(folder))
    review.set_words(number_of(review, "clip_1"), "  new\twords,\n «here» ")
    assert table(folder)[1] == ["clip_1", "new words, «here»", "low probability"]
    assert clip_of(review, "clip_1").edited
    (entry,) = history(folder)
    assert entry["action"] == "words"
    assert (entry["file"], entry["line"], entry["audio"]) == ("transcript.csv", 3, "clip_1.wav")
    assert entry["before"] == {"text": "first 1 then second", "red_flags": "low probability"}
    assert entry["after"] == {"text": "new words, «here»", "red_flags": "low probability"}
    assert entry["who"] == getpass.getuser()
    assert datetime.fromisoformat(entry["time"]).utcoffset().total_seconds() == 0


def test_approving_empties_the_flags_and_holds_while_words_and_recording_are_the_same(spoken, table):
    folder = spoken(clip_1="low probability; too fast")
    review = Review(str(folder))
    for name in ("clip_0", "clip_1"):
        review.approve(number_of(review, name))
    assert [row[2] for row in table(folder)] == [""] * 4
    again = Review(str(folder))
    assert [clip.approved for clip in again.clips().listed] == [True, True, False, False]
    assert clip_of(again, "clip_1").flags == ""
    again.set_words(number_of(again, "clip_0"), "other words")
    assert not clip_of(again, "clip_0").approved
    again.undo()
    assert clip_of(again, "clip_0").approved
    sound, rate = soundfile.read(folder / "clip_1.wav")
    soundfile.write(folder / "clip_1.wav", sound * 0.5, rate)
    assert not clip_of(Review(str(folder)), "clip_1").approved


def test_an_approval_is_taken_back(spoken):
    folder = spoken()
    review = Review(str(folder))
    review.approve(number_of(review, "clip_2"))
    review.doubt(number_of(review, "clip_2"))
    assert not clip_of(review, "clip_2").approved
    assert not clip_of(Review(str(folder)), "clip_2").approved
    review.undo()
    assert clip_of(review, "clip_2").approved


def test_dropped_rows_go_back_to_where_they_stood_in_any_order_and_after_a_restart(spoken, table):
    folder = spoken(count=6)
    before = (folder / "transcript.csv").read_bytes()
    review = Review(str(folder))
    for name in ("clip_2", "clip_4", "clip_3", "clip_0"):
        review.drop(number_of(review, name))
    assert [row[0] for row in table(folder)] == ["clip_1", "clip_5"]
    for _ in range(2):
        assert [Path(clip.audio).stem for clip in review.clips().listed] == [f"clip_{n}" for n in range(6)]
        assert names(review, "dropped") == ["clip_0", "clip_2", "clip_3", "clip_4"]
        review = Review(str(folder))
    for name in ("clip_4", "clip_0", "clip_2", "clip_3"):
        review.restore(number_of(review, name))
    assert (folder / "transcript.csv").read_bytes() == before
    assert names(Review(str(folder)), "dropped") == []


def test_everything_is_undone_one_by_one_after_a_restart(spoken):
    folder = spoken(clip_1="why")
    states = [content(folder)]
    review = Review(str(folder))
    steps = [
        lambda: review.set_words(number_of(review, "clip_0"), "zero"),
        lambda: review.approve(number_of(review, "clip_1")),
        lambda: review.drop(number_of(review, "clip_2")),
        lambda: review.split(number_of(review, "clip_0"), 0.5, ("ze", "ro")),
        lambda: review.set_words(number_of(review, "clip_0_b"), "row"),
        lambda: review.restore(number_of(review, "clip_2")),
    ]
    for step in steps:
        step()
        states.append(content(folder))
    for state in reversed(states[:-1]):
        again = Review(str(folder))
        assert again.undoable() is not None
        again.undo()
        assert content(folder) == state
    again = Review(str(folder))
    assert again.undo() is None
    assert again.undoable() is None
    assert len(history(folder)) == 12


def test_a_split_writes_two_recordings_and_two_rows(spoken, table):
    folder = spoken(rate=22_050)
    recording, _ = soundfile.read(folder / "clip_1.wav", dtype="int16")
    review = Review(str(folder))
    first, second = review.split(number_of(review, "clip_1"), 0.42, ("first one", "then second"))
    assert [row[:2] for row in table(folder)[1:3]] == [["clip_1_a", "first one"], ["clip_1_b", "then second"]]
    assert [Path(review.clip(n).audio).name for n in (first, second)] == ["clip_1_a.wav", "clip_1_b.wav"]
    parts = [soundfile.read(folder / f"clip_1_{half}.wav", dtype="int16") for half in "ab"]
    assert {rate for _, rate in parts} == {22_050}
    assert soundfile.info(folder / "clip_1_a.wav").subtype == "PCM_16"
    np.testing.assert_array_equal(np.concatenate([part for part, _ in parts]), recording)
    assert 0.45 <= len(parts[0][0]) / 22_050 <= 0.52  # in the silence, not at 0.42
    assert (folder / "clip_1.wav").exists()
    assert "clip_1" not in names(review)
    assert "clip_1" not in names(review, "unnamed")
    rows = {Path(row.audio).name: row for row in open_source(SourceRecipe(source=str(folder)), folder).rows()}
    assert rows["clip_1_a.wav"].text == "first one"
    assert rows["clip_1_a.wav"].problem is None
    assert review.clip(first).edited


def test_a_split_takes_names_that_nothing_has(spoken, table):
    folder = spoken()
    (folder / "clip_1_b.flac").write_bytes(b"")
    review = Review(str(folder))
    review.split(number_of(review, "clip_1"), 0.5, ("a", "b"))
    assert [row[0] for row in table(folder)[1:3]] == ["clip_1_a2", "clip_1_b2"]


@pytest.mark.parametrize("message", ["sub/x.flac", "x", "old/place/sub/x.flac", "sub/x"])
def test_halves_are_named_as_the_table_names_recordings(tmp_path, message):
    (tmp_path / "sub").mkdir()
    soundfile.write(tmp_path / "sub" / "x.flac", np.zeros(8000), 8000)
    (tmp_path / "t.csv").write_text(f"path;text;speaker\n{message};one two;ann\n")
    review = Review(str(tmp_path))
    review.split(1, 0.5, ("one", "two"))
    ends = (".wav", "_a.wav") if message.endswith(".flac") else ("", "_a")
    first = (tmp_path / "t.csv").read_text().splitlines()[1]
    assert first.split(";")[0].endswith("x" + ends[1])
    rows = list(open_source(SourceRecipe(source=str(tmp_path)), tmp_path).rows())
    assert [Path(row.audio).name for row in rows if row.problem is None] == ["x_a.wav", "x_b.wav"]
    assert [row.speaker for row in rows][:2] == ["ann", "ann"]


@pytest.mark.parametrize("at", [-1, 0, 0.05, 0.99, 1.0, 7, 1e300])
def test_a_split_too_near_an_end_changes_nothing(spoken, at):
    folder = spoken()
    before = content(folder)
    with pytest.raises(DataError, match="cannot be split"):
        Review(str(folder)).split(1, at, ("a", "b"))
    assert content(folder) == before


def test_words_that_cannot_be_spoken_are_refused(spoken):
    folder = spoken()
    before, review = content(folder), Review(str(folder))
    for words in ("", " \t ", "a\x00b", "a\x1bb", "\ud800", "a\ufffdb"):
        with pytest.raises(DataError):
            review.set_words(1, words)
        with pytest.raises(DataError):
            review.split(1, 0.5, ("a", words))
    review.set_words(1, "=SUM(A1)")
    assert clip_of(review, "clip_0").text == "=SUM(A1)"
    review.undo()
    assert content(folder) == before


def test_a_table_changed_by_somebody_else_is_not_overwritten(spoken, table):
    folder = spoken()
    review = Review(str(folder))
    path = folder / "transcript.csv"
    path.write_text(path.read_text().replace("first 3", "theirs 3"))
    theirs = path.read_bytes()
    for act in (
        lambda: review.set_words(1, "mine"),
        lambda: review.drop(2),
        lambda: review.split(1, 0.5, ("a", "b")),
    ):
        with pytest.raises(StaleError, match="another program"):
            act()
        assert path.read_bytes() == theirs
    assert sorted(p.name for p in folder.glob("clip*")) == [f"clip_{n}.wav" for n in range(4)]
    review.read()
    review.set_words(1, "mine")
    assert [row[1] for row in table(folder)][::3] == ["mine", "theirs 3 then second"]


def test_an_edit_is_undone_where_its_row_is_found_after_others_changed_the_table(spoken, table):
    folder = spoken()
    Review(str(folder)).set_words(2, "changed")
    path = folder / "transcript.csv"
    head, *rows = path.read_text().splitlines()
    path.write_text("\n".join([head, "clip_0,added above,", *rows]) + "\n")
    Review(str(folder)).undo()
    assert [row[1] for row in table(folder)][1:3] == ["first 0 then second", "first 1 then second"]


def test_a_second_window_does_not_overwrite_the_first(spoken):
    review = Review(str(spoken()))
    review.set_words(1, "one", was="first 0 then second")
    with pytest.raises(StaleError, match="its words are now: one"):
        review.set_words(1, "two", was="first 0 then second")


def test_sidecars_are_edited_dropped_split_and_restored(spoken):
    folder = spoken(table=False)
    start = content(folder)
    review = Review(str(folder))
    review.set_words(number_of(review, "clip_0"), "zero")
    assert (folder / "clip_0.txt").read_text() == "zero\n"
    review.drop(number_of(review, "clip_1"))
    assert not (folder / "clip_1.txt").exists()
    review = Review(str(folder))
    assert names(review, "dropped") == ["clip_1"]
    first, second = review.split(number_of(review, "clip_2"), 0.5, ("two", "halves"))
    assert [review.clip(n).text for n in (first, second)] == ["two", "halves"]
    assert (folder / "clip_2_b.txt").read_text() == "halves\n"
    assert "clip_2" not in names(review) + names(review, "unnamed")
    review.restore(number_of(review, "clip_1"))
    assert (folder / "clip_1.txt").read_bytes() == start["clip_1.txt"]
    for _ in range(4):
        Review(str(folder)).undo()
    assert content(folder) == start


def test_recordings_that_no_row_names_can_be_given_words(spoken, table):
    folder = spoken()
    soundfile.write(folder / "more.wav", np.zeros(8000), 8000)
    before = (folder / "transcript.csv").read_bytes()
    review = Review(str(folder))
    assert names(review, "unnamed") == ["more"]
    with pytest.raises(DataError, match="no row"):
        review.drop(number_of(review, "more"))
    with pytest.raises(DataError, match="no row"):
        review.approve(number_of(review, "more"))
    review.set_words(number_of(review, "more"), "some words")
    assert table(folder)[-1] == ["more.wav", "some words", ""]
    assert names(review)[-1] == "more"
    review.undo()
    assert (folder / "transcript.csv").read_bytes() == before
    assert names(review, "unnamed") == ["more"]


def test_rows_with_problems_are_shown_as_such(spoken):
    folder = spoken()
    (folder / "clip_1.wav").unlink()
    (folder / "clip_2.wav").write_bytes(b"RIFF")
    with (folder / "transcript.csv").open("a") as file:
        file.write('"never closed,x\nclip_3,a,b,c\nclip_3,,\n')
    review = Review(str(folder))
    problems = [clip.problem for clip in review.clips().listed]
    assert [problem is None for problem in problems] == [True, False, False, True, False, False, False]
    assert not clip_of(review, "clip_1").there
    assert not clip_of(review, "clip_2").there
    os.mkfifo(folder / "clip_1.wav")
    review.read()
    review.set_words(number_of(review, "clip_1"), "still editable")
    assert clip_of(review, "clip_1").problem is not None
    with pytest.raises(DataError, match="cannot be approved"):
        review.approve(number_of(review, "clip_1"))
    last = review.clips().listed[-1]
    review.set_words(last.number, "now with words")
    assert last.problem is None
    with pytest.raises(DataError, match="4 cells"):
        review.set_words(review.clips().listed[-2].number, "x")
    review.drop(review.clips().listed[-3].number)
    assert '"never closed' not in (folder / "transcript.csv").read_text()


def test_the_last_row_stays(spoken):
    for kind in (True, False):
        review = Review(str(spoken(name=f"data{kind}", count=1, table=kind)))
        with pytest.raises(DataError, match="the last"):
            review.drop(1)


def test_a_killed_edit_is_as_if_it_had_never_begun(spoken, monkeypatch):
    folder = spoken()
    before = content(folder)

    class Killed(BaseException):
        pass

    review = Review(str(folder))
    with monkeypatch.context() as patch:
        patch.setattr("vtune.curation.review.history.undo_entry", lambda entry: (_ for _ in ()).throw(Killed()))
        patch.setattr("pathlib.Path.replace", lambda self, target: (_ for _ in ()).throw(Killed()))
        patch.setattr("vtune.audio.write_wav", _wav)
        patch.setattr(module.Path, "unlink", lambda self, missing_ok=False: None)
        with pytest.raises(Killed):
            review.split(1, 0.5, ("a", "b"))
    for stray in folder.glob(".*.partial*"):
        stray.unlink()
    assert len(history(folder)) == 1
    assert (folder / "clip_0_a.wav").exists()
    again = Review(str(folder))
    assert content(folder) == before
    assert again.undoable() is None
    with (folder / "review.jsonl").open("ab") as file:
        file.write(b'{"action": "words", "file": "tra')
    again = Review(str(folder))
    again.set_words(1, "after half a line")
    assert Review(str(folder)).undoable() == "words clip_0.wav"


def _wav(path: Path, pieces: Any, rate: int) -> None:
    soundfile.write(path, np.concatenate([piece.waveform for piece in pieces]), rate, subtype="PCM_16")


def test_an_edit_that_the_disk_refuses_is_not_in_the_history(spoken, monkeypatch):
    folder = spoken()
    review = Review(str(folder))
    before = content(folder)

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device", str(self))

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace", full)
        with pytest.raises(OSError, match="No space"):
            review.set_words(1, "x")
    assert review.undoable() is None
    assert content(folder) == before
    review.set_words(1, "x")
    assert clip_of(review, "clip_0").text == "x"


@pytest.mark.parametrize("lines", [b"{}\n", b"[]\n" * 3, b"\xff\xfe\n", b'{"change": 3}\n', b"null\n", b"[" * 99999])
def test_a_damaged_history_is_no_crash(spoken, lines):
    folder = spoken()
    (folder / "review.jsonl").write_bytes(lines)
    review = Review(str(folder))
    assert review.undoable() is None
    review.set_words(1, "x")
    assert Review(str(folder)).undoable() == "words clip_0.wav"


def test_a_link_to_a_table_and_its_permissions_are_kept(spoken):
    folder = spoken()
    real = folder.parent / "real.csv"
    (folder / "transcript.csv").rename(real)
    real.chmod(0o640)
    (folder / "transcript.csv").symlink_to(real)
    Review(str(folder)).set_words(1, "through the link")
    assert (folder / "transcript.csv").is_symlink()
    assert "through the link" in real.read_text()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert sorted(os.listdir(folder.parent)) == ["data", "real.csv"]


def test_what_cannot_be_edited_says_what_to_do(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"audio": ["a"], "text": ["b"]}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match="export it to a folder"):
        Review(str(tmp_path / "x.parquet"))
    with pytest.raises(DataError, match="there is no source"):
        Review(str(tmp_path / "nowhere"))


def test_several_tables_have_a_history_each(spoken):
    for name in ("a", "b"):
        spoken(name=name)
    root = Path(spoken(name="a2")).parent
    review = Review(str(root))
    for clip in [clip for clip in review.clips().listed if Path(clip.audio).stem == "clip_1"]:
        review.set_words(clip.number, f"words of {Path(clip.audio).parent.name}")
    assert sorted(path.parent.name for path in root.rglob("review.jsonl")) == ["a", "a2", "b"]
    again = Review(str(root))
    for _ in range(3):
        again.undo()
    assert {clip.text for clip in again.clips().listed} == {f"first {n} then second" for n in range(4)}


def test_a_history_that_came_with_the_data_reaches_nothing_outside(spoken):
    folder = spoken()
    (folder.parent / "precious.txt").write_text("precious")
    change = {"row": 0, "took": 1, "put": 0, "start": 0, "old": "evil", "new": None}
    change |= {"encoding": "utf-8", "was": "x", "now": ""}
    entry = {"action": "drop", "line": 1, "audio": "a", "before": {}, "after": {}, "of": None, "digest": None}
    entry |= {"made": {}, "change": change, "id": "1", "time": "2020", "who": "x"}
    lines = [{**entry, "file": file} for file in ("../new.txt", "/tmp/new.txt", "..", "")]
    (folder / "review.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert Review(str(folder)).undoable() is None
    (folder / "review.jsonl").write_text(json.dumps({**entry, "file": "run.sh"}) + "\n")
    with pytest.raises(DataError, match="not a table of"):
        Review(str(folder)).undo()
    assert sorted(os.listdir(folder.parent)) == ["data", "precious.txt"]
    assert not (folder / "run.sh").exists()


def test_a_history_that_is_no_file_is_one_line(spoken):
    folder = spoken()
    os.mkfifo(folder / "review.jsonl")
    with pytest.raises(VtuneError, match="not a plain file"):
        Review(str(folder))
