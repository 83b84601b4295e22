from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from vtune import audio
from vtune.errors import DataError
from vtune.ingest.prepare import CutSettings, PrepareReport, prepare_folder
from vtune.recipe import PrepareRecipe

Recording = Callable[..., Path]


def prepare(source: Path, out: Path, processes: int = 1, **values: Any) -> PrepareReport:
    return prepare_folder(source, out, CutSettings.from_recipe(PrepareRecipe(**values), 24_000), processes)


def ledger(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "ledger.jsonl").read_text().splitlines()]


def clips(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in sorted(out.glob("*.wav"))}


def test_a_recording_becomes_clips_that_the_guide_would_recognise(recording: Recording, tmp_path: Path) -> None:
    recording()
    report = prepare(tmp_path / "in", tmp_path / "out")
    assert list(clips(tmp_path / "out")) == ["a_000.wav", "a_001.wav", "a_002.wav"]
    for name in clips(tmp_path / "out"):
        about = soundfile.info(tmp_path / "out" / name)
        assert (about.samplerate, about.channels, about.subtype, about.format) == (24_000, 1, "PCM_16", "WAV")
        sound, _ = soundfile.read(tmp_path / "out" / name, dtype="float32")
        assert audio.speech_level(sound, 24_000) == pytest.approx(-20, abs=0.1)
        assert np.abs(sound).max() <= 10 ** (-1 / 20) + 1e-4
    assert (report.recordings, report.clips, report.problems) == (1, 3, [])
    entries = ledger(tmp_path / "out")
    assert sum(entry["seconds"] for entry in entries) == pytest.approx(20, abs=0.05)
    assert report.kept + sum(report.left_out.values()) == pytest.approx(20, abs=0.05)
    assert json.loads((tmp_path / "out/report.json").read_text())["clips"] == 3


def test_run_again_it_does_nothing_and_changed_settings_leave_nothing_stale(
    recording: Recording, tmp_path: Path
) -> None:
    recording()
    out = tmp_path / "out"
    prepare(tmp_path / "in", out)
    before = clips(out)
    again = prepare(tmp_path / "in", out)
    assert clips(out) == before
    assert (again.done_before, again.clips) == (1, 3)
    (out / "mine.wav").write_bytes(b"my own")
    report = prepare(tmp_path / "in", out, min_seconds=10, max_seconds=20)
    assert list(clips(out)) == ["a_000.wav", "mine.wav"]
    assert report.clips == 1
    recording(seed=1)
    assert prepare(tmp_path / "in", out).done_before == 0
    assert list(clips(out)) == ["a_000.wav", "a_001.wav", "a_002.wav", "mine.wav"]


def test_a_clip_that_was_removed_comes_back(recording: Recording, tmp_path: Path) -> None:
    recording()
    prepare(tmp_path / "in", tmp_path / "out")
    (tmp_path / "out/a_001.wav").unlink()
    assert prepare(tmp_path / "in", tmp_path / "out").done_before == 0
    assert len(clips(tmp_path / "out")) == 3


def test_namesakes_and_files_of_others_keep_apart(recording: Recording, tmp_path: Path) -> None:
    recording("in/a.wav", seed=1)
    recording("in/sub/a.flac", seed=2)
    recording("in/sub/A.wav", seed=3)
    out = tmp_path / "out"
    out.mkdir()
    (out / "a_000.wav").write_bytes(b"somebody's")
    prepare(tmp_path / "in", out)
    assert (out / "a_000.wav").read_bytes() == b"somebody's"
    stems = {path.name.rpartition("_")[0].casefold() for path in out.glob("*.wav")}
    assert len(stems) == 4
    assert len(clips(out)) == 10
    before = clips(out)
    recording("in/0/a.wav", seed=4)  # sorted before the others, and yet it moves none of them
    prepare(tmp_path / "in", out)
    assert clips(out).items() > before.items()


def test_the_same_recording_twice_is_cut_once(recording: Recording, tmp_path: Path) -> None:
    recording("in/a.wav")
    recording("in/copy.wav")
    report = prepare(tmp_path / "in", tmp_path / "out")
    assert report.clips == 3
    assert len(report.problems) == 1
    assert "copy.wav is the same recording as" in report.problems[0]


@pytest.mark.parametrize("processes", [1, 2])
def test_every_file_is_accounted_for(recording: Recording, tmp_path: Path, processes: int) -> None:
    """Every kind of file that can lie in a folder is there: speech is cut, and each other file is named once with its
    reason.
    """
    good = {
        str(recording(f"in/{name}", seed=n)) for n, name in enumerate(["ok.wav", "-rf.wav", "new\nline.flac", "ü.ogg"])
    }
    folder = tmp_path / "in"
    (folder / "empty.wav").touch()
    (folder / "text.mp3").write_text("hello")
    (folder / "header.wav").write_bytes((folder / "ok.wav").read_bytes()[:44])
    (folder / "cut.wav").write_bytes((folder / "ok.wav").read_bytes()[:200_000])
    soundfile.write(folder / "nan.wav", np.full(16_000, np.nan), 16_000, subtype="FLOAT")
    soundfile.write(folder / "silent.wav", np.zeros(160_000), 16_000)
    slow = bytearray((folder / "ok.wav").read_bytes())
    slow[24:28] = (1).to_bytes(4, "little")
    (folder / "one_hertz.wav").write_bytes(slow)
    os.mkfifo(folder / "pipe.wav")
    (folder / "device.wav").symlink_to("/dev/zero")
    (folder / "dangling.wav").symlink_to(folder / "nothing")
    (folder / "loop").symlink_to(folder)
    (folder / "self.wav").symlink_to(folder / "self.wav")
    (folder / "notes.txt").write_text("no recording")
    odd = os.fsdecode(os.fsencode(folder) + b"/caf\xe9.wav")
    os.rename(recording("in/odd.wav", seed=9), odd)
    good.add(odd)
    out = tmp_path / "in" / "out"  # inside, and yet not cut again
    report = prepare(folder, out, processes)
    named = {entry["recording"] for entry in ledger(out)}
    assert named == {str(path) for path in folder.iterdir() if path.suffix in audio.SUFFIXES}
    assert {entry["recording"] for entry in ledger(out) if entry["status"] == "clip"} == good
    assert report.recordings == len(named)
    assert len(report.problems) == len(named) - len(good)
    assert all(str(path.parent) == str(out) for path in out.glob("**/*.wav"))
    assert prepare(folder, out, processes).done_before == len(good)


def test_a_folder_for_clips_that_holds_the_recordings_is_refused(recording: Recording, tmp_path: Path) -> None:
    path = recording()
    for source, out in ((path.parent, path.parent), (path, path.parent), (path.parent, tmp_path)):
        with pytest.raises(DataError, match="is the folder of the recording"):
            prepare(source, out)


def test_what_is_no_source_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        prepare(tmp_path / "nothing", tmp_path / "out")
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(DataError, match="neither a folder nor a plain file"):
        prepare(tmp_path / "pipe.wav", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="contains no recordings"):
        prepare(tmp_path / "empty", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_speech_without_a_pause_is_cut_at_the_best_place_and_flagged(
    tmp_path: Path, talk: Callable[..., np.ndarray]
) -> None:
    sound = talk([(1, 21)], 22, depth=0.97)
    dip = slice(int(11.0 * 16_000), int(11.05 * 16_000))
    sound[dip] *= 0.0005
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in/a.wav", sound, 16_000)
    report = prepare(tmp_path / "in", tmp_path / "out")
    assert list(report.doubts.values()) == [2]
    entries = [entry for entry in ledger(tmp_path / "out") if entry["status"] == "clip"]
    assert all("inside speech" in entry["listen first"] for entry in entries)
    assert entries[0]["end"] == entries[1]["start"]
    assert entries[0]["end"] == pytest.approx(11.025, abs=0.03)
    assert "inside speech" in "\n".join(report.lines())


def test_recordings_of_one_sentence_become_clips(tmp_path: Path, talk: Callable[..., np.ndarray]) -> None:
    (tmp_path / "in").mkdir()
    for seconds in (1.0, 1.4, 2.5):
        soundfile.write(tmp_path / f"in/tight{seconds}.wav", talk([(0, seconds)], seconds, depth=0.97), 16_000)
        soundfile.write(tmp_path / f"in/wide{seconds}.wav", talk([(5, 5 + seconds)], 20, depth=0.97), 16_000)
    report = prepare(tmp_path / "in", tmp_path / "out")
    assert (report.clips, report.problems) == (6, [])
    strict = prepare(tmp_path / "in", tmp_path / "out", min_seconds=3)
    # Widened by half a second of quiet, the longest sentence reaches three seconds.
    assert strict.clips == 1
    lines = "\n".join(strict.lines())
    assert "5 of 6 recordings became no clip:" in lines
    assert "tight1.0.wav holds 1.00 s of speech" in lines
    assert "--min-duration 1 (prepare.min_seconds: 1) keeps 5 of them" in lines
    reasons = [str(entry["reason"]) for entry in ledger(tmp_path / "out") if entry["status"] == "skipped"]
    assert sum("is shorter than 3 s" in reason for reason in reasons) == 5
    assert prepare(tmp_path / "in", tmp_path / "out", min_seconds=1).clips == 6


def test_speech_that_stands_alone_is_named_with_its_seconds(tmp_path: Path, talk: Callable[..., np.ndarray]) -> None:
    (tmp_path / "in").mkdir()
    for number in range(12):
        soundfile.write(tmp_path / f"in/{number:02d}.wav", talk([(5, 5.25)], 10, seed=number), 16_000)
    report = prepare(tmp_path / "in", tmp_path / "out")
    assert report.clips == 0
    assert report.left_out["speech that is too short and too far from other speech"] == pytest.approx(12 * 0.5, abs=2)
    assert sum("is shorter than 1 s" in str(entry["reason"]) for entry in ledger(tmp_path / "out")) == 12
    lines = "\n".join(report.lines())
    assert "09.wav holds 0." in lines
    assert "10.wav" not in lines
    assert "and 2 more" in lines


def test_stopped_by_a_signal_it_says_how_to_go_on(recording: Recording, tmp_path: Path) -> None:
    for number in range(8):
        recording(f"in/r{number}.wav", seed=number)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "vtune_cli", "-q", "prepare", str(tmp_path / "in"), str(out), "--processes", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not list(out.glob("r2_*.wav")) and process.poll() is None:
            time.sleep(0.005)
        process.terminate()
        _, output = process.communicate()
    line = "stopped after SIGTERM; no file was left unfinished; run the same command to resume\n"
    assert (process.returncode, output[output.find("stopped") :]) == (75, line)
    assert "Traceback" not in output
    assert not list(out.glob(".*partial*"))
    assert prepare(tmp_path / "in", out).done_before >= 2
    assert len(clips(out)) == 24


def test_killed_and_run_again_it_goes_on(recording: Recording, tmp_path: Path) -> None:
    for number in range(8):
        recording(f"in/r{number}.wav", seed=number)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "vtune_cli", "-q", "prepare", str(tmp_path / "in"), str(out), "--processes", "1"]
    with subprocess.Popen(command) as process:
        while not list(out.glob("r2_*.wav")) and process.poll() is None:
            time.sleep(0.005)
        process.kill()
    done = clips(out)
    assert 0 < len(done) < 24
    report = prepare(tmp_path / "in", out)
    assert report.done_before >= 2
    assert len(clips(out)) == 24
    kept = [name for name, when in done.items() if clips(out)[name] == when]
    assert len(kept) >= 6
    assert not list(out.glob(".*partial*"))


def test_records_that_name_other_files_are_refused(recording: Recording, tmp_path: Path) -> None:
    """Records from another machine must not make vtune remove other files."""
    recording()
    prepare(tmp_path / "in", tmp_path / "out")
    record = tmp_path / "out/.prepared/a.json"
    (tmp_path / "precious_000.wav").write_bytes(b"mine")
    text = record.read_text()
    for wrong in (
        text.replace('"a_001.wav"', '"../precious_000.wav"'),
        text.replace('"stem": "a"', '"stem": "../a"'),
        "[]",
    ):
        record.write_text(wrong)
        with pytest.raises(DataError, match=r"a\.json is not a record of vtune"):
            prepare(tmp_path / "in", tmp_path / "out", min_seconds=10, max_seconds=20)
    assert (tmp_path / "precious_000.wav").exists()


def test_clips_of_a_killed_run_are_not_left_over(recording: Recording, tmp_path: Path) -> None:
    recording()
    out = tmp_path / "out"
    prepare(tmp_path / "in", out)
    record = json.loads((out / ".prepared/a.json").read_text())
    (out / ".prepared/a.json").write_text(json.dumps({**record, "done": False, "cuts": []}))
    prepare(tmp_path / "in", out, min_seconds=10, max_seconds=20)
    assert list(clips(out)) == ["a_000.wav"]


def _die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_recording_that_kills_its_reader_costs_no_other(
    recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Worker processes are forked, so they share this process's patched reader."""
    from vtune.ingest.prepare import cut_share
    from vtune.runtime import workers

    for number in range(4):
        recording(f"in/r{number}.wav", seed=number)
    true = cut_share.prepare_recording
    monkeypatch.setattr(cut_share, "prepare_recording", _Deadly(true))
    fork = multiprocessing.get_context("fork")
    monkeypatch.setattr(workers.multiprocessing, "get_context", lambda _: fork)
    report = prepare(tmp_path / "in", tmp_path / "out", processes=2)
    assert report.clips == 9
    assert len(report.problems) == 1
    assert "r1.wav killed the process that read it" in report.problems[0]


class _Deadly:
    def __init__(self, true: Callable[..., Any]) -> None:
        self.true = true

    def __call__(self, record: Any, out: Path, cutting: CutSettings) -> Any:
        if record.recording.endswith("r1.wav"):
            _die()
        return self.true(record, out, cutting)


def test_memory_does_not_grow_with_the_recording(tmp_path: Path, talk: Callable[..., np.ndarray]) -> None:
    """Ten minutes at 48 kHz in stereo are 230 MB as float32; a separate process needs hardly more memory for them than
    for one minute.
    """
    piece = talk([(1, 9)], 10, 48_000)
    sizes = []
    for minutes in (1, 10):
        path = tmp_path / f"{minutes}.wav"
        with soundfile.SoundFile(path, "w", 48_000, 2) as file:
            for _ in range(6 * minutes):
                file.write(np.stack([piece, piece], axis=1))
        command = [sys.executable, "-c", PEAK, str(path), str(tmp_path / f"out{minutes}")]
        sizes.append(float(subprocess.run(command, capture_output=True, check=True, text=True).stdout))
    assert sizes[1] - sizes[0] < 20


PEAK = """
import resource, sys
from pathlib import Path
from vtune.ingest.prepare import CutSettings, prepare_folder
from vtune.recipe import PrepareRecipe
prepare_folder(Path(sys.argv[1]), Path(sys.argv[2]), CutSettings.from_recipe(PrepareRecipe(), 24_000), 1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
