"""Rows that are parts of a long recording: all code that reads such a row reads the same part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from vtune import audio
from vtune.audio import RecordingPart
from vtune.dataset.sources.folder_source import FolderSource
from vtune.dataset.sources.fragments import clip_stem, fragment_name, recording_path, split_fragment, without_neighbours
from vtune.dataset.sources.part_times import PartTimes, TimeColumns, parse_seconds
from vtune.dataset.sources.source import Row
from vtune.dataset.sources.table import Table, TableFormat, TableRecord, make_record
from vtune.errors import DataError

RATE = 8000
Times = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class TimesTable(Table):
    """A table whose rows are given."""

    rows: tuple[tuple[str, Times], ...] = ()

    @property
    def format(self) -> TableFormat:
        raise NotImplementedError

    @property
    def has_times(self) -> bool:
        return True

    def describe(self) -> str:
        return "times"

    def records(self) -> Iterator[TableRecord]:
        for line, (name, (start, end)) in enumerate(self.rows, 1):
            yield make_record(line, name, f"words {line}", times=PartTimes(start, end))


@pytest.fixture
def source(tmp_path: Path) -> Callable[..., FolderSource]:
    """Make a source of ``talk.wav``, a minute long, with rows of given times."""
    generator = np.random.default_rng(0)
    soundfile.write(tmp_path / "talk.wav", generator.normal(0, 0.1, 60 * RATE), RATE)
    soundfile.write(tmp_path / "clip.wav", generator.normal(0, 0.1, 3 * RATE), RATE)

    def make(*rows: Times | tuple[str, Times], lists_unnamed: bool = True) -> FolderSource:
        named = tuple(row if isinstance(row[0], str) else ("talk", row) for row in rows)
        return FolderSource(tmp_path, [TimesTable(tmp_path / "t.csv", "utf-8", named)], lists_unnamed=lists_unnamed)

    return make


def names(rows: list[Row]) -> list[str]:
    return [Path(row.audio).name for row in rows]


def test_a_row_with_times_is_a_part(source: Callable[..., FolderSource]) -> None:
    opened = source((1, 3), (10, 12.5), lists_unnamed=False)
    rows = list(opened.rows())
    assert names(rows) == ["talk.wav#t=1,3", "talk.wav#t=10,12.5"]
    assert [opened.seconds(row.audio) for row in rows] == [2, 2.5]
    assert opened.rate(rows[0].audio) == RATE
    assert abs(len(opened.load(rows[1].audio, RATE)) / RATE - 2.5) <= 0.3
    assert abs(len(opened.load(rows[1].audio, 16_000)) / 16_000 - 2.5) <= 0.3
    digests = [opened.digest(row.audio) for row in rows]
    assert len({*digests, audio.digest_of(recording_path(rows[0].audio))}) == 3
    assert digests == [opened.digest(row.audio) for row in rows]


def test_parts_know_their_neighbours_in_any_order(source: Callable[..., FolderSource]) -> None:
    rows = list(source((20, 22), (4, 5), (2, 4), (5.2, 6), (5.9, 7), lists_unnamed=False).rows())
    assert names(rows) == [
        "talk.wav#t=20,22",
        "talk.wav#t=4,5&after=4&before=5.2",
        "talk.wav#t=2,4&before=4",
        "talk.wav#t=5.2,6&after=5&before=5.9",
        "talk.wav#t=5.9,7&after=6",
    ]


def test_a_row_without_an_end_ends_where_the_next_row_starts(source: Callable[..., FolderSource]) -> None:
    rows = list(source((5, None), (9, None), (40, None), lists_unnamed=False).rows())
    assert names(rows) == ["talk.wav#t=5,9&before=9", "talk.wav#t=9,40&after=9&before=40", "talk.wav#t=40&after=40"]
    assert source((40, None)).seconds(rows[2].audio) == 20
    rows = list(source((0, None), (9, None), ("clip", (0, None)), lists_unnamed=False).rows())
    assert names(rows) == ["talk.wav#t=0,9&before=9", "talk.wav#t=9&after=9", "clip.wav"]


def test_times_of_a_clip_in_another_recording_are_not_cut_from_the_clip(source: Callable[..., FolderSource]) -> None:
    """Tables of clips often say where in a longer recording each clip was cut out."""
    rows = list(
        source(
            ("clip", (612.4, 615.4)), ("clip", (0, 3)), ("talk", (0, 60)), ("talk", (5, 8)), lists_unnamed=False
        ).rows()
    )
    assert names(rows) == ["clip.wav", "clip.wav", "talk.wav", "talk.wav#t=5,8"]


def test_times_beyond_the_recording_are_a_reason(source: Callable[..., FolderSource]) -> None:
    opened = source((58, 65), (70, 71))
    for row in list(opened.rows())[:2]:
        with pytest.raises(DataError, match=r"talk\.wav has 60\.00 s; correct the times"):
            opened.seconds(row.audio)


def test_long_stretches_that_no_row_names_are_listed(source: Callable[..., FolderSource]) -> None:
    rows = list(source((6, 20), (21, 30), ("clip", (0, 3))).rows())
    rest = [row for row in rows if row.line is None]
    assert names(rest) == ["talk.wav#t=0,6", "talk.wav#t=30,60"]
    assert {row.problem for row in rest} == {"no row of t.csv names this part of the recording"}


def test_equal_rows_cover_what_one_covers(source: Callable[..., FolderSource]) -> None:
    rows = list(source((5, None), (5, None), (9, 12), (9, 12)).rows())
    assert names(rows)[4:] == ["clip.wav", "talk.wav#t=0,5", "talk.wav#t=12,60"]


def test_rows_of_one_recording_without_times_are_refused(source: Callable[..., FolderSource]) -> None:
    with pytest.raises(DataError, match=r"all 3 rows of .*t\.csv name the recording .*talk\.wav, and no column says"):
        list(source(*[(None, None)] * 3).rows())
    assert len(list(source(*[(None, None)] * 3, ("clip", (None, None))).rows())) == 4


def test_the_file_of_many_parts_is_hashed_once(
    source: Callable[..., FolderSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[Path] = []
    plain = audio.blocks.digest_of
    monkeypatch.setattr("vtune.audio.parts.digest_of", lambda path: hashed.append(path) or plain(path))
    opened = source(*((second, second + 0.5) for second in range(50)), lists_unnamed=False)
    assert len({opened.digest(row.audio) for row in opened.rows()}) == 50
    assert len(hashed) == 1


TIMES = st.floats(0, 1e6).map(lambda seconds: round(seconds, 3))


@given(
    part=st.builds(RecordingPart, TIMES, st.none() | TIMES, st.none() | TIMES, st.none() | TIMES),
    stem=st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: "\0" not in text),
)
def test_names_are_read_as_they_were_written(part: RecordingPart, stem: str) -> None:
    recording = f"/{stem}x.wav"  # a name that begins with a dot is no recording
    assert split_fragment(fragment_name(recording, part)) == (recording, part)
    assert split_fragment(recording) == (recording, None)


@pytest.mark.parametrize("name", ["a#t=1,2", "a.txt#t=1,2", "a.wav#t=1,2.mp3", "a.wav#t=x", "a.wav#t=-1,2", "#t=1", ""])
def test_other_names_are_no_parts(name: str) -> None:
    assert split_fragment(name) == (name, None)


def test_names_for_people_and_for_files() -> None:
    name = "/x/talk.wav#t=12.5,15.25&after=12.4&before=15.3"
    assert without_neighbours(name) == "/x/talk.wav#t=12.5,15.25"
    assert clip_stem(name) == "talk_12.5-15.25"
    assert clip_stem("/x/talk.wav#t=12.5") == "talk_12.5-end"
    assert clip_stem("/x/talk.tar.wav") == "talk.tar"


@pytest.mark.parametrize(
    ("header", "cells", "expected"),
    [
        ("start,end", ["1.5", "3"], PartTimes(1.5, 3)),
        ("Start,End", ["00:01:02.500", "00:01:03,500"], PartTimes(62.5, 63.5)),
        ("offset,duration", [12.5, 2.75], PartTimes(12.5, 15.25)),
        ("start_ms,end_ms", ["1500", "3000"], PartTimes(1.5, 3)),
        ("start,duration_ms", ["1,5", 1500], PartTimes(1.5, 3)),
        ("begin_time,end_time", ["0:01.5", "1:02"], PartTimes(1.5, 62)),
        ("start,end", ["-1", "-1"], PartTimes()),
        ("start,end", ["0", "-1"], PartTimes(0)),
        ("start,end", ["0", "0"], PartTimes(0)),
        ("start,end", ["", None], PartTimes()),
        ("start,end", ["12", "0"], PartTimes(12)),
        ("start", ["12"], PartTimes(12)),
        ("start,end", [-0.02, 2], PartTimes(0, 2)),
        ("duration", ["3.1"], PartTimes()),
    ],
)
def test_cells_are_read_as_times(header: str, cells: list, expected: PartTimes) -> None:
    columns = header.split(",")
    assert TimeColumns.pick(columns).read(dict(zip(columns, cells, strict=True))) == expected


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        (["5", "3"], "the row ends at 3 s, but starts at 5 s; correct the times"),
        (["5", "5"], "the row ends at 5 s, but starts at 5 s"),
        (["", "5"], "the row ends at 5 s of its recording, but has no start"),
        (["soon", "5"], "column 'start': 'soon' is no time; write seconds, like 12.5, or 00:00:12.500"),
        (["nan", "5"], "'nan' is no time"),
        (["-3", "5"], "the row starts at -3 s, which is no time"),
        (["1e300", "0"], "which is no time of a recording"),
        (["1", "1e300"], "the row ends at 1e+300 s"),
    ],
)
def test_times_that_cannot_be_are_a_problem(cells: list[str], problem: str) -> None:
    times = TimeColumns.pick(["start", "end"]).read({"start": cells[0], "end": cells[1]})
    assert problem in str(times.problem)
    assert make_record(3, "talk", "words", times=times).problem == times.problem


@given(st.integers(0, 10**9))
def test_a_clock_is_read_to_the_millisecond(milliseconds: int) -> None:
    seconds, rest = divmod(milliseconds, 1000)
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d},{rest:03d}"
    assert parse_seconds(clock) == pytest.approx(milliseconds / 1000, abs=1e-6)
    assert parse_seconds(milliseconds, milliseconds=True) == pytest.approx(milliseconds / 1000)
