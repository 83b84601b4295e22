"""What people's folders hold, thrown at every verb that reads data: no hang, no traceback, all of it accounted for.

Each verb runs in this process through the command line, under an alarm, in a folder of its own that it must not leave.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from vtune.errors import VtuneError
from vtune_cli.main import main

RATE = 16_000
PATIENCE = 60
"""Largest number of seconds that a verb may take here."""

ENCODINGS = ("utf-8", "utf-8-sig", "cp1252", "utf-16")
DELIMITERS = (",", ";", "\t", "|")
ENDS = ("\n", "\r\n", "\r")
TEXTS = ("So she said: “No”, and left.", "=1+1", "naïve café — déjà vu", '"Quoted" words', "@home", "  two  blanks ")
KINDS = list(product(ENCODINGS, DELIMITERS, ENDS))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a clip of one and a half seconds, a voice-like tone between pauses."""
    path = tmp_path_factory.mktemp("sound") / "clip.wav"
    time = np.arange(RATE) / RATE
    voice = (
        0.1 * (1 + 0.9 * np.sin(2 * np.pi * 4 * time)) * sum(np.sin(280 * np.pi * n * time) / n for n in range(1, 20))
    )
    sound = 1e-4 * np.random.default_rng(0).standard_normal(2 * RATE)
    sound[RATE // 2 : RATE // 2 + RATE] += voice
    soundfile.write(path, sound, RATE)
    return path


@pytest.fixture
def vtune(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """Run a verb; the test fails after a traceback or more than a minute."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before = dict(main.commands)

    def enough(*_: object) -> None:
        raise TimeoutError(f"no answer in {PATIENCE} s")

    def run(*arguments: str) -> Result:
        signal.signal(signal.SIGALRM, enough)
        signal.alarm(PATIENCE)
        try:
            result = CliRunner().invoke(main, list(arguments))
        finally:
            signal.alarm(0)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code in (0, 1), result.output
        if result.exit_code == 1 and result.output.startswith("Error"):
            assert all(line.startswith("Error: ") for line in result.output.splitlines()), result.output
        return result

    yield run
    main.commands.clear()
    main.commands.update(before)


def doctored(vtune: Callable[..., Result], data: Path) -> dict[str, Any] | None:
    """Return what the doctor reports about data, or None if it says in one line that the data cannot be read."""
    result = vtune("doctor", str(data), "--json", "out.json", "--html", "out.html", "--processes", "1", "--no-speakers")
    if not Path("out.json").is_file():
        assert result.exit_code == 1
        return None
    assert "<script>alert" not in Path("out.html").read_text(encoding="utf-8", errors="replace")
    report: dict[str, Any] = json.loads(Path("out.json").read_text())
    return report


@pytest.mark.parametrize(("encoding", "delimiter", "end"), KINDS)
def test_every_kind_of_table(
    vtune: Callable[..., Result], clip: Path, tmp_path: Path, encoding: str, delimiter: str, end: str
) -> None:
    """There are 48 ways to write the same table: each row is read with its words, or refused with its line."""
    folder = tmp_path / "data"
    folder.mkdir()
    rows = []
    for number, text in enumerate(TEXTS):
        shutil.copy(clip, folder / f"c{number}.wav")
        quotes = delimiter != "|" and set(text) & {delimiter, '"'}  # between pipes, quotes mean themselves
        quoted = '"' + text.replace('"', '""') + '"' if quotes else text
        rows.append(f"c{number}{delimiter}{quoted}")
    rows += [f"unknown{delimiter}not here", f"c0{delimiter}So she said: No twice", f"../../etc/passwd{delimiter}out"]
    (folder / "t.csv").write_bytes(end.join([f"filename{delimiter}text", *rows, ""]).encode(encoding, "replace"))
    report = doctored(vtune, folder)
    assert report is not None
    assert report["rows"] == len(rows)
    read = {clip["line"]: clip for clip in report["clips"]}
    assert sorted(read) == list(range(2, len(rows) + 2))
    assert not read[len(TEXTS) + 2]["usable"]
    assert not read[len(TEXTS) + 4]["usable"]
    for line, text in enumerate(TEXTS, 2):
        assert read[line]["text"] == " ".join(text.encode(encoding, "replace").decode(encoding).split())


TABLES = {
    "empty": b"",
    "only a header": b"filename,text\n",
    "blank lines": b"\n\nfilename,text\n\n\nc0,words\n\n",
    "no text column": b"filename,speaker\nc0,me\n",
    "twice the same column": b"filename,text,text\nc0,a,b\n",
    "no header, no recording": b"x,y\nz,w\n",
    "too many cells": b"filename,text\nc0,words, more words\n",
    "too few cells": b"filename,text,speaker\nc0\n",
    "a quote that never ends": b'filename,text\nc0,"words\nc1,other\n',
    "control characters": b"filename,text\nc0,\x07bell\x1b[31mred\x00nul\n",
    "a formula": b"filename,text\nc0,\"=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\"\n",
    "a script": b"filename,text\nc0,<script>alert(1)</script>\n",
    "names that lead out": b"filename,text\n../../../../etc/passwd,x\n/etc/passwd,y\n~/x,z\nc0.wav/../../c0,w\n",
    "a name of NUL": b"filename,text\nc\x000,x\n",
    "a name without end": b"filename,text\n" + b"c" * 100_000 + b",x\n",
    "a cell without end": b"filename,text\nc0," + b"word " * 100_000 + b"\n",
    "bytes": bytes(range(256)) * 8,
    "a recording": b"RIFF\x24\x00\x00\x00WAVEfmt ",
    "half a character": b"filename,text\nc0,caf\xc3\n",
    "nothing but delimiters": b",,,,\n,,,,\n",
    "UTF-16 without a mark": "filename,text\nc0,words\n".encode("utf-16-le"),
}  # fmt: skip


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("ending", ["csv", "jsonl", "json"])
def test_broken_tables(vtune: Callable[..., Result], clip: Path, tmp_path: Path, kind: str, ending: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(2):
        shutil.copy(clip, folder / f"c{number}.wav")
    (folder / f"t.{ending}").write_bytes(TABLES[kind])
    before = {path: path.read_bytes() for path in folder.iterdir()}
    report = doctored(vtune, folder)
    if report is not None:
        # Recordings that no row could name are accounted for as well.
        assert report["rows"] >= 2
        assert {path.name for path in Path().iterdir()} == {"out.json", "out.html"}
    result = vtune("doctor", str(folder), "--fix", "mended", "--processes", "1", "--no-speakers")
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert {path.name for path in tmp_path.iterdir()} == {"data", "here"}
    assert "passwd" not in "".join(path.name for path in Path().rglob("*")), result.output


def nasty(folder: Path, clip: Path) -> None:
    """Fill a folder with all kinds of files that recordings may turn out to be."""
    good = clip.read_bytes()
    folder.mkdir()
    (folder / "ok.wav").write_bytes(good)
    (folder / "empty.wav").touch()
    (folder / "text.mp3").write_text("hello")
    (folder / "header.wav").write_bytes(good[:44])
    (folder / "half.wav").write_bytes(good[: len(good) // 2])
    (folder / "wrong.mp3").write_bytes(good)
    (folder / "-rf.wav").write_bytes(good + b"\0\0")
    (folder / "new\nline.wav").write_bytes(good + b"\0" * 4)
    (folder / "a'\"<b>&.wav").write_bytes(good + b"\0" * 6)
    (folder / os.fsdecode(b"caf\xe9.wav")).write_bytes(good + b"\0" * 8)
    (folder / ("l" * 200 + ".wav")).write_bytes(good + b"\0" * 10)
    for name, rate in (("one_hertz", 1), ("huge_rate", 2**31 - 1), ("odd_rate", 384_000)):
        changed = bytearray(good)
        changed[24:28] = struct.pack("<I", rate)
        (folder / f"{name}.wav").write_bytes(changed)
    lying = bytearray(good)
    lying[40:44] = struct.pack("<I", 0x7FFFFFF0)
    (folder / "lying.wav").write_bytes(lying)
    channels = bytearray(good)
    channels[22:24] = struct.pack("<H", 60_000)
    (folder / "channels.wav").write_bytes(channels)
    sound, _ = soundfile.read(clip, dtype="float32")
    soundfile.write(folder / "surround.flac", np.stack([sound, sound, 0 * sound, sound, -sound, sound], 1), RATE)
    soundfile.write(folder / "nan.wav", np.full(RATE, np.nan), RATE, subtype="FLOAT")
    soundfile.write(folder / "inf.wav", np.full(RATE, np.inf), RATE, subtype="FLOAT")
    soundfile.write(folder / "loud.wav", 100 * sound, RATE, subtype="FLOAT")
    soundfile.write(folder / "silence.wav", np.zeros(RATE), RATE)
    soundfile.write(folder / "one_sample.wav", np.zeros(1), RATE)
    os.mkfifo(folder / "pipe.wav")
    (folder / "zero.wav").symlink_to("/dev/zero")
    (folder / "random.wav").symlink_to("/dev/urandom")
    (folder / "dangling.wav").symlink_to(folder / "nothing")
    (folder / "self.wav").symlink_to(folder / "self.wav")
    (folder / "round").symlink_to(folder)
    (folder / "up").symlink_to(folder.parent)
    (folder / "playlist.m4a").write_text("#EXTM3U\n/etc/passwd\n")
    (folder / "sub").mkdir()
    (folder / "sub" / "dir.wav").mkdir()
    shutil.copy(clip, folder / "sub" / "ok.wav")


def names(folder: Path) -> set[str]:
    """Return the recordings of such a folder: files and links with the ending of a recording that are not folders."""
    result = [path for path in folder.rglob("*") if path.suffix in {".wav", ".mp3", ".flac", ".m4a"}]
    return {str(path) for path in result if os.path.islink(path) or not path.is_dir()}


def test_prepare_and_transcribe_and_doctor_take_any_folder(
    vtune: Callable[..., Result], clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nasty(tmp_path / "raw", clip)
    expected = names(tmp_path / "raw")
    result = vtune("prepare", str(tmp_path / "raw"), "clips", "--min-duration", "0.5", "--processes", "2")
    assert result.exit_code == 0
    entries = [json.loads(line) for line in Path("clips/ledger.jsonl").read_text().splitlines()]
    assert {entry["recording"] for entry in entries} == expected
    made = {entry["clip"] for entry in entries if entry["status"] == "clip"}
    assert {path.name for path in Path("clips").glob("*.wav")} == made
    assert len(made) >= 7
    assert {path.name for path in Path().iterdir()} == {"clips"}
    report = doctored(vtune, tmp_path / "raw")
    assert report is not None
    assert {clip["audio"] for clip in report["clips"]} == expected


def test_transcribe_takes_any_folder(
    vtune: Callable[..., Result], clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vtune.ingest.transcribe import Transcript, recognise_share

    class Listener:
        batch = 4

        def transcribe(self, sounds: list[np.ndarray]) -> list[Transcript]:
            return [Transcript("something that was said", "en") for _ in sounds]

    monkeypatch.setattr(recognise_share, "open_recogniser", lambda _: Listener())
    nasty(tmp_path / "raw", clip)
    expected = names(tmp_path / "raw")
    result = vtune("transcribe", str(tmp_path / "raw"))
    assert result.exit_code == 0
    (journal,) = (tmp_path / "raw").glob("transcript.*.jsonl")
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    assert len(entries) == len(expected)
    assert f"{len(expected)} recordings" in result.output
    again = vtune("transcribe", str(tmp_path / "raw"))
    assert "recognised in this run" not in again.output


def test_a_run_over_the_worst_folder_ends_with_its_ledger(
    vtune: Callable[..., Result], clip: Path, tmp_path: Path
) -> None:
    nasty(tmp_path / "raw", clip)
    rows = [
        f'"{Path(name).name}","words for it"'
        for name in sorted(names(tmp_path / "raw"))
        if name.isascii() and "\n" not in name
    ]
    (tmp_path / "raw" / "t.csv").write_text("filename,text\n" + "\n".join(rows) + "\n")
    Path("r.yaml").write_text(
        f"# x\nvoice: v\nengine: toy\ndata: [{{source: {tmp_path / 'raw'}}}]\n"
        "train: {epochs: 1, validation: 0}\nevaluate: {sentences: [hello], metrics: [delivery]}\n"
    )
    result = vtune("run", "r.yaml")
    assert result.exit_code == 0, result.output
    entries = [json.loads(line) for line in Path("runs/v/ledger.jsonl").read_text().splitlines()]
    assert {Path(entry["audio"]).name for entry in entries} >= {Path(name).name for name in names(tmp_path / "raw")}
    assert sum(entry["status"] == "train" for entry in entries) >= 5


def bound_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made, contextlib.chdir(path.parent):  # the length of its path is limited
        made.bind(path.name)


ODD: dict[str, Callable[[Path], Any]] = {
    "a FIFO": lambda path: os.mkfifo(path),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a socket": bound_socket,
}
PLACES = {
    "recipe.yaml": ("recipe", "check", "recipe.yaml"),
    "parent.yaml": ("recipe", "check", "child.yaml"),
    "data/transcripts.csv": ("run", "run.yaml"),
    "data/metadata.jsonl": ("doctor", "data", "--processes", "1", "--no-speakers"),
    "lines.txt": ("say", "anna", "--file", "lines.txt"),
    "texts.txt": ("evaluate", "anna", "--texts", "texts.txt"),
    "keys.txt": ("serve", "--keys", "keys.txt"),
    "serve.yaml": ("serve", "--config", "serve.yaml"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ODD)
def test_something_else_in_the_place_of_a_file_is_named_at_once(
    vtune: Callable[..., Result], clip: Path, kind: str, place: str
) -> None:
    Path("data").mkdir()
    shutil.copy(clip, "data/c0.wav")
    Path("child.yaml").write_text("extends: parent.yaml\nvoice: v\nengine: toy\ndata: [{source: data}]\n")
    Path("run.yaml").write_text("voice: v\nengine: toy\ndata: [{source: data}]\n")
    ODD[kind](Path(place))
    result = vtune(*PLACES[place])
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert Path(place).name in line
    assert f"it is {kind}, expected a regular file" in line or "is not a regular file" in line


@pytest.mark.parametrize("kind", ODD)
def test_something_else_in_the_place_of_a_recording_is_left_out_and_named(
    vtune: Callable[..., Result], clip: Path, kind: str
) -> None:
    Path("data").mkdir()
    shutil.copy(clip, "data/c0.wav")
    Path("data/transcripts.csv").write_text("filename,text\nc0.wav,hello there\nc1.wav,hello there\n")
    ODD[kind](Path("data/c1.wav"))
    report = doctored(vtune, Path("data"))
    assert report is not None
    assert [
        clip_entry["usable"] for clip_entry in sorted(report["clips"], key=lambda clip_entry: str(clip_entry["line"]))
    ] == [True, False]


@pytest.mark.parametrize("levels", [17, 3_000])
def test_recipes_that_extend_one_another_without_end_are_refused(vtune: Callable[..., Result], levels: int) -> None:
    for level in range(levels):
        Path(f"{level}.yaml").write_text(f"extends: {level + 1}.yaml\n")
    Path(f"{levels}.yaml").write_text("voice: v\nengine: toy\ndata: [{source: data}]\n")
    result = vtune("recipe", "check", "0.yaml")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert "more than 16 recipes extend one another" in line


NAMES = [f"name{number:04d}" for number in range(1_000)]


def test_of_a_thousand_names_the_nearest_few_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from vtune.engines import discovery as finding
    from vtune.evaluation import metric_registry
    from vtune.recipe import builtin

    monkeypatch.setattr(finding, "installed_engines", lambda: {name: [] for name in NAMES})
    monkeypatch.setattr(builtin, "builtin_recipes", lambda: dict.fromkeys(NAMES, Path()))
    monkeypatch.setattr(metric_registry, "METRICS", {name: type(name, (), {"specs": ()}) for name in NAMES})
    engine: Any = type("Metricless", (), {"metrics": lambda self, recipe: {}})()
    recipe: Any = None
    asking: list[Callable[[], object]] = [
        lambda: finding.find_engine("nam0500"),
        lambda: builtin.find_recipe("nam0500"),
        lambda: metric_registry.metric_makers(engine, recipe, ["zzzz"]),
    ]
    messages = []
    for ask in asking:
        with pytest.raises(VtuneError) as caught:
            ask()
        messages.append(str(caught.value))
    assert all(len(line) < 300 and "and 992 more" in line for line in messages), messages
    assert all("did you mean 'name0500'?" in line for line in messages[:2]), messages
