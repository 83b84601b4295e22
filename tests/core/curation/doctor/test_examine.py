"""Whole sources are examined: every row and every recording is counted, and each problem is reported once, with its
location.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vtune.curation.doctor import Examination, Severity, as_data, check_options, examine, lines, open_data
from vtune.curation.doctor.examine import DEFAULT_VALIDATION_SHARE
from vtune.dataset import in_validation
from vtune.engines import load_engine
from vtune.errors import DataError, VtuneError
from vtune.recipe import SourceRecipe

RATE = 24_000
Clip = Callable[..., np.ndarray]
Folder = Callable[..., Path]
Examined = Callable[..., Examination]


def found(examination: Examination) -> Counter[str]:
    return Counter(finding.check for finding in examination.findings)


def at(examination: Examination, check: str) -> list[int | None]:
    return [finding.line for finding in examination.findings if finding.check == check]


def sentence(number: int) -> str:
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    return f"we said {words[number % 10]} and then {words[number // 10 % 10]} more"


def test_a_clean_folder_has_nothing_but_its_amount(clip: Clip, folder: Folder, examined: Examined) -> None:
    data = folder([(f"c{number}", clip(number), sentence(number)) for number in range(12)])
    examination = examined(data)
    assert set(found(examination)) == {"amount"}
    assert len(examination.usable) == len(examination.clips) == examination.recordings == 12


def test_every_row_and_recording_is_accounted_for(clip: Clip, folder: Folder, examined: Examined) -> None:
    data = folder(
        [
            ("good", clip(1), "good words that fit this clip"),
            ("gone", None, "nowhere"),
            ("empty", clip(2), ""),
            ("bell", clip(3), "a\x07b"),
            ("silent", np.zeros(RATE), "nothing"),
            ("tiny", clip(4)[3_600:14_000], "a word"),
        ]
    )
    clips = data / "clips"
    soundfile.write(clips / "unnamed.wav", clip(5), RATE)
    (clips / "broken.wav").write_bytes(b"RIFF no wave")
    content = (clips / "good.wav").read_bytes()
    (clips / "cut.wav").write_bytes(content[: len(content) // 2])
    with (data / "transcripts.csv").open("a") as table:
        table.write("broken,words\ncut,other words\ntoo,many,cells\n")
    examination = examined(data)
    for check, line in (("missing", 3), ("no-words", 4), ("unspeakable", 5), ("no-speech", 6), ("short", 7),
                        ("unreadable", 8), ("truncated", 9), ("row", 10), ("unlisted", None)):  # fmt: skip
        assert at(examination, check) == [line], check
    assert len(examination.clips) == 10
    assert [Path(clip.audio).stem for clip in examination.usable] == ["good"]
    assert all(finding.message and finding.advice and "\n" not in finding.message for finding in examination.findings)


def test_copies_and_leaks_are_found(clip: Clip, folder: Folder, examined: Examined) -> None:
    data = folder([(f"c{number}", clip(number), sentence(number)) for number in range(6)])
    shutil.copy(data / "clips" / "c1.wav", data / "clips" / "again.wav")
    sound, _ = soundfile.read(data / "clips" / "c2.wav", dtype="int16")
    soundfile.write(data / "clips" / "other.flac", sound, RATE)
    soundfile.write(data / "clips" / "near.mp3", 0.5 * clip(3), RATE)
    with (data / "transcripts.csv").open("a") as table:
        table.write(f"again,{sentence(1).upper()}!\nother,entirely other words\nnear,{sentence(3)}\n")
    examination = examined(data, validation=0.5)
    groups = {
        finding.check: (finding.severity, finding.line, [clip.line for clip in finding.others])
        for finding in examination.findings
    }
    assert groups["same-sound"] == (Severity.WARNING, 3, [8])
    assert groups["two-texts"] == (Severity.ERROR, 4, [9])
    assert groups["similar-sound"] == (Severity.WARNING, 5, [10])
    assert "same-words" not in groups, "what sounds alike has a finding already"
    assert [clip.line for clip in examination.clips if not clip.usable] == [4, 9]
    source, _ = open_data(SourceRecipe(source=str(data)), Path())
    held = {row.line: in_validation(source.digest(row.audio), 0.5) for row in source.rows()}
    apart = [(first, two) for first, two in ((4, 9), (5, 10)) if held[first] != held[two]]
    assert {line for line in at(examination, "leak")} == {first if held[first] else two for first, two in apart}
    assert "leak" not in found(examined(data, validation=0.0))


def test_what_stands_out_among_the_others(clip: Clip, folder: Folder, examined: Examined) -> None:
    rows = [(f"c{number}", clip(number), sentence(number)) for number in range(12)]
    rows.append(("quiet", clip(20, level=-40), sentence(20)))
    rows.append(("slow", clip(21), "no"))
    rows.append(("fast", clip(22), sentence(22) * 4))
    examination = examined(folder(rows))
    assert at(examination, "level-outlier") == [14]
    assert set(at(examination, "pace")) == {15, 16}


def test_an_engine_says_what_it_takes(clip: Clip, folder: Folder, examined: Examined) -> None:
    data = folder([("long", clip(1, 6.0), sentence(1)), ("good", clip(2), "2 dogs")])
    engine = load_engine("orpheus")
    options = check_options(engine, {"base_model": "nano", "max_tokens": 400})
    examination = examined(data, engine=engine, options=options)
    (finding,) = [finding for finding in examination.findings if finding.check == "budget"]
    seconds = len(clip(1, 6.0)) / RATE
    assert finding.measure is not None
    assert finding.measure.value == pytest.approx(seconds * 82.03 + 24, abs=3)
    assert finding.line == 2
    assert "400" in finding.message
    assert at(examined(data, engine=engine, options=check_options(engine, {"base_model": "nano"})), "budget") == []
    with pytest.raises(VtuneError, match=r"orpheus.*max_token"):
        check_options(engine, {"max_token": 1})


def test_an_engine_that_says_nothing_is_said_so(clip: Clip, folder: Folder, examined: Examined) -> None:
    examination = examined(folder([("a", clip(1), "words")]), engine=load_engine("toy"))
    assert any(reason.startswith("budget: engine 'toy'") for reason in examination.left_out)


def test_recordings_without_words_are_heard_only(clip: Clip, tmp_path: Path, examined: Examined) -> None:
    (tmp_path / "raw" / "deep").mkdir(parents=True)
    soundfile.write(tmp_path / "raw" / "deep" / "a.wav", clip(1) + 0.05, RATE)
    (tmp_path / "raw" / "ledger.jsonl").write_text('{"status": "kept"}\n')
    examination = examined(tmp_path / "raw")
    assert set(found(examination)) == {"offset", "amount"}
    assert any("only the sound" in reason for reason in examination.left_out)


def test_a_table_that_is_not_understood_is_no_folder_of_sound(clip: Clip, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", clip(1), RATE)
    (tmp_path / "t.csv").write_text("colour,smell\nred,sweet\n")
    source, _ = open_data(SourceRecipe(source=str(tmp_path)), Path())
    with pytest.raises(DataError, match="no header that is understood"):
        examine(source)
    (tmp_path / "t.csv").write_text("filename,smell,taste\na,17,4\n")
    with pytest.raises(DataError, match="not clear which one has the words"):
        open_data(SourceRecipe(source=str(tmp_path)), Path())


def test_a_data_set_is_examined_like_a_folder(clip: Clip, tmp_path: Path, examined: Examined) -> None:
    datasets = pytest.importorskip("datasets")
    soundfile.write(tmp_path / "a.wav", clip(1) + 0.03, RATE)
    rows = {"audio": [{"bytes": (tmp_path / "a.wav").read_bytes(), "path": "a.wav"}, {"bytes": b"no", "path": "b"}]}
    datasets.Dataset.from_dict({**rows, "text": ["some words", "others"]}).to_parquet(tmp_path / "t.parquet")
    examination = examined(tmp_path / "t.parquet")
    assert at(examination, "offset") == [1]
    assert at(examination, "unreadable") == [2]


def test_several_processes_say_the_same(clip: Clip, folder: Folder, examined: Examined) -> None:
    data = folder([(f"c{number}", clip(number % 5, 0.8), sentence(number)) for number in range(60)])
    source, _ = open_data(SourceRecipe(source=str(data)), Path())
    assert as_data(examine(source, processes=2, speakers=False)) == as_data(examined(data))


def test_strangers_are_told_by_their_distance(clip: Clip, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    class Encoder:
        def __init__(self, *_: object, **__: object) -> None: ...

        def embed(self, sound: np.ndarray, sample_rate: int) -> np.ndarray:
            # The share of power above 4 kHz stands for the speaker.
            power = np.abs(np.fft.rfft(sound)) ** 2
            high = power[len(power) // 2 :].sum() > power.sum() / 2
            return np.asarray([float(high), float(not high)])

    monkeypatch.setattr("vtune.curation.doctor.speakers.SpeakerEncoder", Encoder)
    rows = [(f"c{number}", clip(number, 3.5), sentence(number)) for number in range(10)]
    whistle = clip(30, 3.5) * np.sin(2 * np.pi * 6_500 * np.arange(len(clip(30, 3.5))) / RATE)
    rows.append(("other", whistle, sentence(30)))
    source, _ = open_data(SourceRecipe(source=str(folder(rows))), Path())
    examination = examine(source, processes=1)
    assert at(examination, "voice") == [12]


def test_it_can_be_said_and_written(clip: Clip, folder: Folder, examined: Examined) -> None:
    rows = [(f"c{number}", clip(number) + 0.05, sentence(number)) for number in range(8)]
    examination = examined(folder(rows))
    report_lines = list(lines(examination, shown=3))
    assert "warning offset: waveforms that are not centred on zero (8)" in report_lines
    assert sum(re.search(r"transcripts.csv:\d", line) is not None for line in report_lines) == 3
    assert any("5 more" in line for line in report_lines)
    data = json.loads(json.dumps(as_data(examination)))
    assert data["counts"]["warning"] == len(
        [finding for finding in data["findings"] if finding["severity"] == "warning"]
    )
    assert {"check", "severity", "message", "advice", "file", "line", "audio", "measure", "others"} == set(
        data["findings"][0]
    )
    assert DEFAULT_VALIDATION_SHARE == 0.05
