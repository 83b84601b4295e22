"""Tar archives of clips are read without unpacking, and hostile archives do no harm."""

from __future__ import annotations

import io
import json
import os
import pickle
import tarfile
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune.curation.doctor import examine
from vtune.dataset import open_source
from vtune.dataset.sources.tar_members import tar_members
from vtune.errors import DataError
from vtune.recipe import SourceRecipe

Members = list[tuple[str | tarfile.TarInfo, bytes]]


def sound_of(number: int, seconds: float = 0.6, kind: str = "WAV") -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(number).normal(0, 0.1, round(8000 * seconds))
    soundfile.write(file, noise, 8000, format=kind)
    return file.getvalue()


@pytest.fixture
def tar(tmp_path: Path) -> Callable[..., Path]:
    """Write an archive of members in their order."""

    def write(members: Members, name: str = "000000.tar", form: int = tarfile.PAX_FORMAT) -> Path:
        with tarfile.open(tmp_path / name, "w", format=form) as archive:
            for member, content in members:
                info = tarfile.TarInfo(member) if isinstance(member, str) else member
                info.size = info.size or len(content)
                archive.addfile(info, io.BytesIO(content))
        return tmp_path / name

    return write


def clips(count: int) -> Members:
    members: Members = []
    for number in range(count):
        members += [(f"{number:05d}.wav", sound_of(number)), (f"{number:05d}.txt", f"words {number}\n".encode())]
    return members


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_clips_are_read_from_the_archive(tar: Callable[..., Path], form: int) -> None:
    path = tar(clips(3), form=form)
    for source in (open_source(SourceRecipe(source=str(folder)), Path()) for folder in (path, path.parent)):
        rows = list(source.rows())
        assert [(row.line, row.text, row.problem) for row in rows] == [(n + 1, f"words {n}", None) for n in range(3)]
        assert [source.digest(row.audio) for row in rows] == [sha256(sound_of(n)).hexdigest() for n in range(3)]
        assert source.seconds(rows[0].audio) == 0.6
        assert source.rate(rows[0].audio) == 8000
        expected, _ = soundfile.read(io.BytesIO(sound_of(2)), dtype="float32")
        np.testing.assert_array_equal(source.load(rows[2].audio, 8000), expected)
        assert source.description == ["000000.tar: WebDataset; members of one name are one clip"]
    assert sorted(os.listdir(path.parent)) == ["000000.tar"]


def test_json_has_words_and_speaker_and_other_members_are_named(tar: Callable[..., Path]) -> None:
    about = json.dumps({"text": "said here", "speaker": 7, "duration": 3}).encode()
    first = [("a/x.1.flac", sound_of(1, kind="FLAC")), ("a/x.json", about), ("a/x.cls", b"3"), ("a/x.npy", b"\0")]
    path = tar(first)
    (path.parent / "train").mkdir()
    tar(clips(1), "train/000001.tar")
    source = open_source(SourceRecipe(source=str(path.parent)), Path())
    assert source.description == [
        "000000.tar and 1 more tar archive: WebDataset; members of one name are one clip; not read: .cls, .npy"
    ]
    assert source.has_speakers
    assert [(row.text, row.speaker) for row in source.rows()] == [("said here", "7"), ("words 0", "")]


def test_names_longer_than_a_header_are_read(tar: Callable[..., Path]) -> None:
    long = "folder/" * 30 + "clip"
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        path = tar([(f"{long}.wav", sound_of(0)), (f"{long}.txt", b"words")], form=form)
        assert [member.name for member in tar_members(path)] == [f"{long}.wav", f"{long}.txt"]
        (row,) = open_source(SourceRecipe(source=str(path)), Path()).rows()
        assert (row.text, row.problem) == ("words", None)


def link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_links_and_ways_out_are_refused_and_cost_no_other_clip(tar: Callable[..., Path]) -> None:
    members: Members = [
        ("../x.wav", sound_of(0)), ("../x.txt", b"out"), ("/etc/y.wav", sound_of(1)), ("/etc/y.txt", b"out"),
        (link("z.wav", "/etc/passwd", tarfile.SYMTYPE), b""), ("z.txt", b"linked"),
        (link("q.txt", "/etc/passwd", tarfile.LNKTYPE), b""), ("q.wav", sound_of(2)),
        (link("fifo.wav", "", tarfile.FIFOTYPE), b""), ("alone.txt", b"no recording"), ("b.json", b"{"),
        ("b.wav", sound_of(3)), *clips(1),
    ]  # fmt: skip
    path = tar(members)
    rows = list(open_source(SourceRecipe(source=str(path)), Path()).rows())
    problems = [row.problem or "" for row in rows]
    reasons = ["leads out", "leads out", "is a link", "is a link", "not a plain file", "no recording", "is not JSON"]
    assert all(reason in problem for reason, problem in zip(reasons, problems, strict=False))
    assert [(row.text, row.problem) for row in rows[7:]] == [("words 0", None)]
    assert sorted(os.listdir(path.parent)) == ["000000.tar"]


def test_an_archive_that_breaks_off_is_named(tar: Callable[..., Path]) -> None:
    path = tar(clips(3))
    path.write_bytes(path.read_bytes()[:16_000])
    with pytest.raises(DataError, match=r"000000\.tar was cut off: a member reaches to byte"):
        list(open_source(SourceRecipe(source=str(path)), Path()).rows())


def test_a_size_that_no_memory_holds_is_refused(tar: Callable[..., Path]) -> None:
    path = tar(clips(2))
    data = bytearray(path.read_bytes())
    info = tarfile.TarInfo("huge.txt")
    info.size = 1 << 50
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + data)
    with pytest.raises(DataError, match="was cut off"):
        list(tar_members(path))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 6000), st.binary(min_size=1, max_size=40))
def test_any_bytes_in_an_archive_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, position: int, change: bytes
) -> None:
    path = tmp_path_factory.mktemp("tars") / "x.tar"
    with tarfile.open(path, "w") as archive:
        for name, content in [("a.txt", b"words"), ("a.wav", sound_of(0, 0.1)), ("b.json", b'{"text": "b"}')]:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    data = bytearray(path.read_bytes())
    data[position : position + len(change)] = change
    path.write_bytes(data)
    with suppress(DataError):
        source = open_source(SourceRecipe(source=str(path)), Path())
        for row in source.rows():
            with suppress(DataError):
                source.load(row.audio, 8000)


def test_doctor_examines_archives_and_the_source_goes_to_workers(tar: Callable[..., Path]) -> None:
    source = open_source(SourceRecipe(source=str(tar(clips(3)))), Path())
    again = pickle.loads(pickle.dumps(source))
    assert list(again.rows()) == list(source.rows())
    examination = examine(source, speakers=False, processes=1)
    assert [clip.seconds for clip in examination.clips] == pytest.approx([0.6] * 3, abs=0.01)
