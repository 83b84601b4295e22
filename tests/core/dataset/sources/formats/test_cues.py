"""Subtitles, labels and transcripts of recognisers beside a long recording: their times and their words are used."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from vtune.dataset import Row, open_source
from vtune.dataset.sources.cue_texts import MAX_JOINED_SECONDS, Cue, joined, spoken_text
from vtune.dataset.sources.cues import recording_of
from vtune.dataset.sources.subtitle_cues import subtitle_cues
from vtune.errors import DataError
from vtune.recipe import SourceRecipe

KETTLE, BOATS = "The kettle sang before anyone was awake.", "Two boats came in with the morning tide."
SRT = f"1\n00:00:01,000 --> 00:00:03,700\n{KETTLE}\n\n2\n00:00:04,500 --> 00:00:08,000\n{BOATS}\n"
VTT = "WEBVTT\n\n" + SRT.replace(",", ".")
TSV = f"start\tend\ttext\n1000\t3700\t{KETTLE}\n4500\t8000\t{BOATS}\n"
LABELS = f"1.000000\t3.700000\t{KETTLE}\n4.500000\t8.000000\t{BOATS}\n"
SEGMENTS = [{"start": 1.0, "end": 3.7, "text": f" {KETTLE}"}, {"start": 4.5, "end": 8, "text": f" {BOATS}"}]
WHISPER = json.dumps({"text": f" {KETTLE} {BOATS}", "segments": SEGMENTS, "language": "en"}, indent=1)
ASS = (
    "[Script Info]\nTitle: a talk\n[V4+ Styles]\nFormat: Name, Fontname\nStyle: Default,Arial\n[Events]\n"
    "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
    "Comment: 0,0:00:00.00,0:00:01.00,Default,,0,0,0,,not said\n"
    f"Dialogue: 0,0:00:01.00,0:00:03.70,Default,,0,0,0,,{{\\i1}}{KETTLE}{{\\i0}}\n"
    "Dialogue: 0,0:00:04.50,0:00:08.00,Default,,0,0,0,,Two boats came in\\Nwith the morning tide.\n"
)
CPP = json.dumps({
    "systeminfo": "x",
    "transcription": [
        {"offsets": {"from": 1000, "to": 3700}, "text": KETTLE}, {"offsets": {"from": 4500, "to": 8000}, "text": BOATS},
    ],
})  # fmt: skip
CHUNKS = json.dumps(
    {"text": "x", "chunks": [{"timestamp": [1, 3.7], "text": KETTLE}, {"timestamp": [4.5, 8], "text": BOATS}]}
)


@pytest.fixture
def talk(tmp_path: Path) -> Callable[..., Path]:
    """Make a folder with a recording of ten seconds and files of text."""

    def make(**files: str) -> Path:
        soundfile.write(tmp_path / "talk.wav", np.random.default_rng(0).normal(0, 0.1, 80_000), 8000)
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
            (tmp_path / name).write_text(content, encoding="utf-8")
        return tmp_path

    return make


def rows_of(source: Path, **choice: str) -> list[Row]:
    return list(open_source(SourceRecipe(source=str(source), **choice), Path()).rows())


def parts(rows: list[Row]) -> list[tuple[str, str]]:
    return [(Path(row.audio).name, row.text) for row in rows if row.problem is None]


TWO = [("talk.wav#t=1,3.7", KETTLE), ("talk.wav#t=4.5,8", BOATS)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("talk.srt", SRT),
        ("talk.en.srt", SRT),
        ("talk.wav.srt", SRT),
        ("words of the day.srt", SRT),
        ("talk.srt", SRT.replace("\n", "\r\n")),
        ("talk.vtt", VTT),
        ("talk.en-GB.vtt", VTT),
        ("talk.tsv", TSV),
        ("talk.csv", f'Start,End,Speaker,Text\n1.0,3.7,,"{KETTLE}"\n0:04.5,0:08,,{BOATS}\n'),
        ("talk.csv", f"start;duration;text\n1,0;2,7;{KETTLE}\n4,5;3,5;{BOATS}\n"),
        ("talk.csv", f"start,end,text\n1000,3700,{KETTLE}\n4500,8000,{BOATS}\n"),
        ("talk.csv", f"start_ms,end_ms,text\n1000,3700,{KETTLE}\n4500,8000,{BOATS}\n"),
        ("talk.jsonl", "".join(json.dumps(segment) + "\n" for segment in SEGMENTS)),
        ("talk.txt", LABELS),
        ("talk.lab", f"1.0 3.7 {KETTLE}\n4.5 8.0 {BOATS}\n"),
        ("talk.txt", f"1000 3700 {KETTLE}\n4500\t8000\t{BOATS}\n"),
        ("talk.lab", f"10000000 37000000 {KETTLE}\n45000000 80000000 {BOATS}\n"),
        ("talk.sbv", f"0:00:01.000,0:00:03.700\n{KETTLE}\n\n0:00:04.500,0:00:08.000\n{BOATS}\n"),
        ("talk.ass", ASS),
        ("talk.json", WHISPER),
        ("talk.json", CPP),
        ("talk.json", CHUNKS),
        ("talk.json", json.dumps(SEGMENTS)),
    ],
)
def test_times_and_words_are_used(talk: Callable[..., Path], name: str, content: str) -> None:
    root = talk(**{name: content})
    assert parts(rows_of(root)) == TWO
    if name.startswith("talk"):
        assert parts(rows_of(root / "talk.wav")) == TWO


def test_what_whisper_leaves_by_default_is_read_once(talk: Callable[..., Path]) -> None:
    files = {
        "talk.srt": SRT,
        "talk.vtt": VTT,
        "talk.tsv": TSV,
        "talk.json": WHISPER,
        "talk.txt": f"{KETTLE}\n{BOATS}\n",
    }
    source = open_source(SourceRecipe(source=str(talk(**files))), Path())
    assert parts(list(source.rows())) == TWO
    assert source.description == [
        "talk.json: a recogniser's JSON; its times and words make 2 clips of talk.wav; not read, because the times "
        "here are as good or better: talk.srt, talk.tsv, talk.txt, talk.vtt"
    ]


def test_two_languages_are_a_question(talk: Callable[..., Path]) -> None:
    german = SRT.replace(KETTLE, "Der Kessel sang, bevor jemand wach war.")
    root = talk(**{"talk.en.srt": SRT, "talk.de.srt": german})
    with pytest.raises(
        DataError, match=r"talk\.wav has different words in talk\.de\.srt and talk\.en\.srt; remove the wrong file"
    ):
        rows_of(root)
    assert parts(rows_of(root / "talk.en.srt")) == TWO


def test_each_recording_has_words_in_its_own_way(talk: Callable[..., Path], tmp_path: Path) -> None:
    """Subtitles beside one recording do not hide the text beside another, in whatever folder."""
    for name in ("b.wav", "deep/er/c.wav", "d.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        soundfile.write(tmp_path / name, np.random.default_rng(len(name)).normal(0, 0.1, 80_000), 8000)
    root = talk(**{"talk.srt": SRT, "b.txt": "A plain text.", "deep/er/c.vtt": VTT})
    rows = rows_of(root)
    assert sorted(parts(rows)) == [
        ("b.wav", "A plain text."), ("c.wav#t=1,3.7", KETTLE), ("c.wav#t=4.5,8", BOATS), *TWO,
    ]  # fmt: skip
    assert [Path(row.audio).name for row in rows if row.problem] == ["d.wav"]


def test_rows_name_the_line_of_their_times(talk: Callable[..., Path]) -> None:
    broken = SRT.replace("00:00:04,500 -->", "00:00:x -->") + "\n3\n00:00:09,000 --> 00:00:08,000\nBackwards.\n"
    rows = rows_of(talk(**{"talk.srt": broken}) / "talk.srt")
    assert [row.line for row in rows] == [2, 10]
    rows = rows_of(talk(**{"talk.srt": SRT.replace("00:00:04,500 -->", "00:04,,500 -->")}) / "talk.srt")
    assert {row.line: row.problem for row in rows if row.problem} == {
        6: "'00:04,,500 --> 00:00:08,000' is no line of times; write 00:00:01,000 --> 00:00:02,000"
    }


def cues_of(text: str) -> list[tuple[float | None, float | None, str]]:
    return [(cue.start, cue.end, cue.text) for cue in subtitle_cues(text, has_notes=True)]


def test_notes_styles_settings_names_and_markup_are_no_words() -> None:
    text = (
        "WEBVTT - some title\nKind: captions\n\nNOTE\nthis is\na note --- not words\n\nSTYLE\n::cue { color: red }\n\n"
        "intro\n00:01.000 --> 00:02.500 align:start position:0%\n<v Nora>Tom &amp; <i>Ann</i> <c.yellow>came</c>\n"
        "<b>home</b>.\n\n2\n00:03.000 --> 00:04.000\n- {\\an8}Who?\n\n00:05.000 --> 00:06.000\n42\n"
    )
    assert cues_of(text) == [(1, 2.5, "Tom & Ann came home."), (3, 4, "Who?"), (5, 6, "42")]
    assert [cue.speaker for cue in subtitle_cues(text, has_notes=True)] == ["Nora", "", ""]


def test_lines_that_scroll_are_said_once() -> None:
    """The automatic subtitles of YouTube repeat each line in the next cue."""
    text = "WEBVTT\nKind: captions\nLanguage: en\n\n" + "\n".join(
        [
            "00:00:00.080 --> 00:00:02.510 align:start position:0%\n \nwelcome<00:00:00.400><c> back</c>\n",
            "00:00:02.510 --> 00:00:02.520 align:start position:0%\nwelcome back\n \n",
            "00:00:02.520 --> 00:00:05.000 align:start position:0%\nwelcome back\nno<00:00:03.000><c> no</c>\n",
            "00:00:05.000 --> 00:00:05.010 align:start position:0%\nno no\n \n",
            "00:00:05.010 --> 00:00:07.000 align:start position:0%\nno no\nsaid the cat\n",
        ]
    )
    assert cues_of(text) == [(0.08, 2.51, "welcome back"), (2.52, 5, "no no"), (5.01, 7, "said the cat")]


def test_what_is_said_twice_stays() -> None:
    text = "WEBVTT\n\n" + "\n".join(
        f"00:0{n}.000 --> 00:0{n}.900\n{words}\n" for n, words in enumerate(["A.", "No.", "No.", "B.", "C."])
    )
    assert [words for _, _, words in cues_of(text)] == ["A.", "No.", "No.", "B.", "C."]


def test_names_in_capitals_are_speakers() -> None:
    text = "\n".join(
        f"{n}\n00:0{n}:00,000 --> 00:0{n}:02,000\n{words}\n"
        for n, words in enumerate(["NORA: Hello.", "How are you?", ">> DR. BEN: Well. NASA: no."])
    )
    cues = subtitle_cues(text, has_notes=False)
    assert [(cue.speaker, cue.text) for cue in cues] == [
        ("NORA", "Hello."),
        ("NORA", "How are you?"),
        ("DR. BEN", "Well. NASA: no."),
    ]
    assert subtitle_cues(text.replace("NORA: ", ""), has_notes=False)[2].text == "DR. BEN: Well. NASA: no."


def test_descriptions_of_sounds_are_no_words(talk: Callable[..., Path]) -> None:
    text = "\n".join(
        f"{n}\n00:00:0{n},000 --> 00:00:0{n},900\n{words}\n"
        for n, words in enumerate(["[music]", "(laughs)", "♪ la la ♪", "[sighs] Well, yes.", "..."])
    )
    rows = rows_of(talk(**{"talk.srt": text}) / "talk.srt")
    assert [row.text for row in rows if row.problem is None] == ["Well, yes."]
    assert len(rows) == 5


@pytest.mark.parametrize(
    ("cues", "expected"),
    [
        ([(0, 2, "The kettle"), (2.1, 4, "sang.")], [(0, 4, "The kettle sang.")]),
        ([(0, 2, "It rained."), (2.1, 4, "We left.")], [(0, 2, "It rained."), (2.1, 4, "We left.")]),
        ([(0, 2, "At 5 p.m."), (2.1, 4, "we left.")], [(0, 4, "At 5 p.m. we left.")]),
        ([(0, 0.5, "Yes."), (0.6, 4, "We left.")], [(0, 4, "Yes. We left.")]),
        ([(0, 2, "The kettle"), (4, 6, "sang.")], [(0, 2, "The kettle"), (4, 6, "sang.")]),
        ([(0, 8, "The kettle"), (8, 14, "sang.")], [(0, 8, "The kettle"), (8, 14, "sang.")]),
        ([(0, 20, "Long"), (20, 21, "talk.")], [(0, 20, "Long"), (20, 21, "talk.")]),
        ([(0, 2, "It"), (2, 3, "[music]"), (3, 4, "sang.")], [(0, 2, "It"), (2, 3, "[music]"), (3, 4, "sang.")]),
    ],
)  # fmt: skip
def test_cues_that_belong_together_are_joined(cues: list, expected: list) -> None:
    made = joined(Cue(line, *cue) for line, cue in enumerate(cues))
    assert [(cue.start, cue.end, cue.text) for cue in made] == expected


TEXTS = st.lists(st.sampled_from(["one", "two.", "Three", "four?", "[noise]", ""]), min_size=1, max_size=12)


@given(TEXTS, st.lists(st.tuples(st.floats(0.1, 9), st.floats(0, 2)), min_size=12, max_size=12))
def test_joining_keeps_every_word_in_its_order(texts: list[str], spans: list[tuple[float, float]]) -> None:
    cues, second = [], 0.0
    for line, (text, (seconds, pause)) in enumerate(zip(texts, spans, strict=False)):
        cues.append(Cue(line, second, second + seconds, text))
        second += seconds + pause
    made = list(joined(cues))
    assert " ".join(cue.text for cue in made).split() == " ".join(texts).split()
    assert {cue.start for cue in made} <= {cue.start for cue in cues}
    longest = max(cue.end - cue.start for cue in cues)
    assert all(cue.end - cue.start <= max(MAX_JOINED_SECONDS, longest) for cue in made)


def test_labels_of_one_point_end_where_the_next_begins(talk: Callable[..., Path]) -> None:
    labels = (
        f"1.000000\t1.000000\t{KETTLE}\n\\\t100.000000\t3000.000000\n4,500000\t4,500000\t{BOATS}\n8.000000\t8.000000\n"
    )
    rows = rows_of(talk(**{"talk.txt": labels}))
    assert parts(rows) == [("talk.wav#t=1,4.5&before=4.5", KETTLE), ("talk.wav#t=4.5,8&after=4.5&before=8", BOATS)]
    assert [(row.line, row.problem) for row in rows if row.problem] == [(4, "no words")]


@pytest.mark.parametrize(
    "text", ["12.5 and 3.5 make 16", "0.5\t1.5\tones\nand more words", "Plain words.", "10 20 people came to us"]
)
def test_texts_beside_recordings_are_not_taken_for_labels(talk: Callable[..., Path], text: str) -> None:
    assert parts(rows_of(talk(**{"talk.txt": text}))) == [("talk.wav", " ".join(text.split()))]


def test_times_of_words_are_closer_than_those_of_segments(talk: Callable[..., Path]) -> None:
    words = [{"word": "Hello", "start": 1.2, "end": 1.5}, {"word": "there.", "start": 1.6, "end": 2.1}]
    segment = {"start": 1.0, "end": 2.9, "text": "Hello there.", "words": words, "speaker": "SPEAKER_00"}
    unplaced = {
        "start": 4,
        "end": 5,
        "text": "In 1914.",
        "words": [words[0], {"word": "1914."}],
        "speaker": "SPEAKER_01",
    }
    rows = rows_of(talk(**{"talk.json": json.dumps({"segments": [segment, unplaced]})}))
    assert parts(rows) == [("talk.wav#t=1.2,2.1", "Hello there."), ("talk.wav#t=4,5", "In 1914.")]
    assert [row.speaker for row in rows if row.line] == ["SPEAKER_00", "SPEAKER_01"]


@pytest.mark.parametrize(
    "text",
    [
        '{"segments": [{"start": 1',
        '{"segments": [{"start": 1, "end": 2, "text": "a"} x]}',
        '{"segments": [{' + '"a": [' * 100_000,
    ],
)
def test_json_that_breaks_off_is_named(talk: Callable[..., Path], text: str) -> None:
    with pytest.raises(DataError, match=r"talk\.json:1: not JSON from here on"):
        rows_of(talk(**{"talk.json": text}) / "talk.json")


def test_one_object_beside_each_recording(talk: Callable[..., Path]) -> None:
    """The data set Emilia has this layout."""
    values = {
        "id": "x",
        "wav": "far/talk.mp3",
        "text": f" {KETTLE}",
        "duration": 10,
        "speaker": "EN_B00000_S00010",
        "dnsmos": 3.3,
    }
    (row,) = rows_of(talk(**{"talk.json": json.dumps(values)}))
    assert (Path(row.audio).name, row.text, row.speaker, row.problem) == ("talk.wav", KETTLE, "EN_B00000_S00010", None)


@pytest.mark.parametrize("name", ["talk.srt", "talk.vtt", "talk.txt", "talk.tsv", "talk.json", "talk.TextGrid"])
@pytest.mark.parametrize(
    "content", [b"", b"\0" * 5000, b"\xff\xfe\xff\xd8", b"WEBVTT", b"00:00:01,000 --> 00:00:02,000", b"{" * 5000]
)
def test_nonsense_is_an_error_or_no_words(talk: Callable[..., Path], name: str, content: bytes) -> None:
    root = talk()
    (root / name).write_bytes(content)
    for source in (root, root / name):
        with suppress(DataError):
            assert not parts(rows_of(source))


def test_a_cell_that_no_reader_takes_is_an_error(talk: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match=r"talk\.csv:\d+ cannot be parsed"):
        rows_of(talk(**{"talk.csv": "start,end,text\n1,2," + "a" * 200_000}) / "talk.wav")


def test_the_recording_of_a_file_is_found_by_its_name(talk: Callable[..., Path]) -> None:
    root = talk()
    for name in ("talk.srt", "talk.en.srt", "talk.wav.vtt", "talk.pt-BR.auto.vtt", "other.srt"):
        assert recording_of(root / name) == "talk.wav"
    soundfile.write(root / "second.wav", np.zeros(800), 8000)
    assert recording_of(root / "other.en.srt") == "other"


def test_markup_of_engines_stays() -> None:
    assert spoken_text(["<laugh> so <i>what</i>", "a < b"]) == "<laugh> so what a < b"
