"""The manifest gives each clip its voice, its split and, if the clip cannot be used, the reason."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vtune.dataset import ManifestEntry, in_validation, manifest_entries, open_sources, read_manifest
from vtune.dataset.features.manifest import write_manifest
from vtune.errors import DataError
from vtune.recipe import Recipe

Folder = Callable[..., Path]


def items_of(recipe: Recipe) -> list[ManifestEntry]:
    return list(manifest_entries(recipe, open_sources(recipe)))


def named(*names: str, text: str = "words of") -> str:
    return "file,text\n" + "".join(f"{name},{text} {name}\n" for name in names)


def test_items_say_what_the_headers_say(folder: Folder, recipe: Callable[..., Recipe]) -> None:
    root = folder("a.wav", **{"t.csv": named("a")})
    (item,) = items_of(recipe(root))
    assert item.seconds == pytest.approx(0.6)
    assert item.digest == hashlib.sha256((root / "a.wav").read_bytes()).hexdigest()
    assert (item.voice, item.split, item.reason) == ("someone", "train", None)
    assert (item.file, item.line, item.text) == (str(root / "t.csv"), 2, "words of a")


def test_clips_outside_the_limits_are_left_out_with_the_numbers(
    folder: Folder, clip: Callable[..., Path], recipe: Callable[..., Recipe]
) -> None:
    root = folder(**{"t.csv": named("short", "edge", "fine", "top", "long")})
    lengths = {"short": 0.99, "edge": 0.9996, "fine": 1.5, "top": 2, "long": 2.01}
    for number, (name, seconds) in enumerate(lengths.items()):
        clip(root / f"{name}.wav", number, seconds)
    items = items_of(recipe(root, prepare={"min_seconds": 1, "max_seconds": 2}))
    assert [item.reason for item in items] == [
        "0.99 s is shorter than prepare.min_seconds 1", None, None, None, "2.01 s is longer than prepare.max_seconds 2",
    ]  # fmt: skip


def test_the_same_recording_and_words_are_taken_once(folder: Folder, recipe: Callable[..., Recipe]) -> None:
    root = folder("a.wav", **{"t.csv": "file,text\na,Hello\na,Hello\ncopy,Hello\ncopy,hello!\na,  Hello \n"})
    shutil.copy(root / "a.wav", root / "copy.wav")
    reasons = {item.line: item.reason for item in items_of(recipe(root))}
    first = f"the same recording and words as {root / 't.csv'}:2"
    assert reasons == {2: None, 3: first, 4: first, 5: first, 6: first}


def test_two_voices_may_have_the_same_recording(folder: Folder, recipe: Callable[..., Recipe]) -> None:
    root = folder("a.wav", **{"t.csv": named("a")})
    twice = [{"source": str(root), "voice": voice} for voice in ("ann", "bob", "ann")]
    assert [(item.voice, bool(item.reason)) for item in items_of(recipe(*twice))] == [
        ("ann", False), ("bob", False), ("ann", True),
    ]  # fmt: skip


def test_recordings_that_cannot_be_used_say_why(folder: Folder, recipe: Callable[..., Recipe]) -> None:
    root = folder(
        "cut.wav", "promises.wav",
        **{"empty.wav": b"", "noise.wav": os.urandom(999), "text.wav": "hello", "foreign.m4a": b"x",
           "t.csv": named("cut", "promises", "empty", "noise", "text", "foreign", "folder.wav", "none.wav", "pipe")},
    )  # fmt: skip
    (root / "cut.wav").write_bytes((root / "cut.wav").read_bytes()[:5000])
    header = bytearray((root / "promises.wav").read_bytes())
    header[40:44] = struct.pack("<I", 10**8)
    (root / "promises.wav").write_bytes(header)
    (root / "folder.wav").mkdir()
    soundfile.write(root / "none.wav", np.zeros(0), 8000)
    os.mkfifo(root / "pipe.wav")
    reasons = {Path(item.audio).name.split(".")[0]: item.reason or "" for item in items_of(recipe(root))}
    assert "cut.wav was cut off: its header states 0.60 s, the file has 0.31 s" in reasons["cut"]
    assert "promises.wav was cut off: its header states 6250.00 s, the file has 0.60 s" in reasons["promises"]
    assert "empty.wav is an empty file" in reasons["empty"]
    assert "noise.wav cannot be read as audio" in reasons["noise"]
    assert "text.wav is a text file that starts with 'hello'" in reasons["text"]
    assert "foreign.m4a is a text file that starts with 'x'" in reasons["foreign"]
    assert "has no such recording" in reasons["folder"]
    assert reasons["none"] == "0.00 s is shorter than prepare.min_seconds 0.5"
    assert "pipe.wav is not a plain file" in reasons["pipe"]


def test_speech_that_is_left_out_has_its_seconds(folder: Folder, recipe: Callable[..., Recipe]) -> None:
    root = folder("a.wav", "b.wav", "c.wav", **{"t.csv": "file,text\na,\nb,x,y\n"})
    assert [(item.reason is None, item.seconds) for item in items_of(recipe(root))] == [(False, 0.6)] * 3


def test_a_file_that_vanishes_is_a_reason(
    folder: Folder, recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = recipe(folder("a.wav", **{"t.csv": named("a")}))
    (source,) = open_sources(loaded)

    def gone(name: str) -> str:
        raise FileNotFoundError(2, "No such file or directory", name)

    monkeypatch.setattr(source, "digest", gone)
    (item,) = manifest_entries(loaded, [source])
    assert "No such file" in (item.reason or "")


def test_speakers_become_voices_where_there_are_several(folder: Folder, recipe: Callable[..., Recipe]) -> None:
    content = "file,text,speaker\na,one,ann\nb,two,bob\nc,three,\n"
    root = folder("a.wav", "b.wav", "c.wav", **{"t.csv": content})
    assert [item.voice for item in items_of(recipe(root))] == ["ann", "bob", "someone"]
    assert {item.voice for item in items_of(recipe({"source": str(root), "voice": "cid"}))} == {"cid"}
    alone = folder("a.wav", name="alone", **{"t.csv": "file,text,speaker\na,one,Ann Smith!\n"})
    assert [item.voice for item in items_of(recipe(alone))] == ["someone"], "one speaker is the recipe's voice"


@pytest.mark.parametrize(
    ("speaker", "voice"),
    [
        ("Ann Smith", "Ann_Smith"),
        ("../up", "up"),
        ("ünï", "uni"),
        ("3f" * 64, "3f3f3f3f"),
        ("a/b", "a_b"),
        ("-dash", "dash"),
    ],
)
def test_a_speaker_that_cannot_name_a_folder_gets_a_name_that_is_said(
    folder: Folder, recipe: Callable[..., Recipe], caplog: pytest.LogCaptureFixture, speaker: str, voice: str
) -> None:
    root = folder("a.wav", "b.wav", **{"t.csv": f"file,text,speaker\na,one,ann\nb,two,{speaker}\n"})
    with caplog.at_level("INFO"):
        assert [item.voice for item in items_of(recipe(root))] == ["ann", voice]
    assert f"data.0 has 2 voices: ann (1 row), {voice} (speaker {speaker[:37]}" in caplog.text


def test_rows_without_a_speaker_among_others_are_said(
    folder: Folder, recipe: Callable[..., Recipe], caplog: pytest.LogCaptureFixture
) -> None:
    content = "file,text,speaker\na,one,ann\nb,two,bob\nc,three,\n"
    items_of(recipe(folder("a.wav", "b.wav", "c.wav", **{"t.csv": content})))
    assert "data.0: 1 rows name no speaker, while others do; they count as the voice someone" in caplog.text


def test_of_two_texts_for_one_recording_none_is_trained_on(folder: Folder, recipe: Callable[..., Recipe]) -> None:
    rows = ["a,Hello there.", "b,Good night.", "a,Hello where?", "b,good night", "a,Hello there."]
    root = folder("a.wav", "b.wav", **{"t.csv": "\n".join(["file,text", *rows])})
    reasons = [item.reason or "" for item in items_of(recipe(root))]
    table = root / "t.csv"
    assert reasons[0].startswith(f"the recording has other words in {table}:4: 'Hello where?'; remove the row")
    assert reasons[1] == ""
    assert reasons[2].startswith(f"the recording has other words in {table}:2: 'Hello there.'")
    assert reasons[3] == f"the same recording and words as {table}:3"
    assert reasons[4] == f"the same recording and words as {table}:2"


def test_doubtful_words_do_not_contradict_others(folder: Folder, recipe: Callable[..., Recipe]) -> None:
    rows = ["a,Hello where?,repeats", "a,Hello there.,"]
    root = folder("a.wav", **{"t.csv": "\n".join(["file,text,red_flags", *rows])})
    assert [item.reason is None for item in items_of(recipe(root))] == [False, True]


def test_several_sources_have_their_own_voices_in_their_own_order(
    folder: Folder, recipe: Callable[..., Recipe]
) -> None:
    ann = folder("a.wav", name="ann", **{"t.csv": named("a")})
    bob = folder("x.wav", "b.wav", name="bob", **{"t.jsonl": '{"audio": "b", "text": "hi"}'})
    items = items_of(recipe({"source": str(ann), "voice": "ann"}, {"source": str(bob), "voice": "bob"}))
    assert [(item.source, item.voice, item.reason is None) for item in items] == [
        (0, "ann", True), (1, "bob", True), (1, "bob", False),
    ]  # fmt: skip


def test_a_source_that_cannot_be_opened_is_named_by_its_place(
    folder: Folder, recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"^data\.1: there is no source"):
        open_sources(recipe(folder("a.wav", **{"t.csv": named("a")}), tmp_path / "nowhere"))


DIGESTS = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(2000)]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.05, 0.2, 0.5])
def test_the_share_of_validation_clips_is_near_what_was_asked(share: float) -> None:
    kept = sum(in_validation(digest, share) for digest in DIGESTS)
    assert abs(kept - share * 2000) <= 4 * np.sqrt(2000 * share * (1 - share))


def test_a_larger_share_keeps_every_clip_of_a_smaller_one() -> None:
    small, large = ({digest for digest in DIGESTS if in_validation(digest, share)} for share in (0.05, 0.1))
    assert small < large


def test_adding_clips_moves_no_other(folder: Folder, clip: Callable[..., Path], recipe: Callable[..., Recipe]) -> None:
    names = [f"c{number:02d}" for number in range(40)]
    root = folder(*(f"{name}.wav" for name in names[:20]), **{"t.csv": named(*names[:20])})
    loaded = recipe(root, train={"validation": 0.3})
    before = {Path(item.audio).name: item.split for item in items_of(loaded)}
    assert set(before.values()) == {"train", "validation"}
    for number, name in enumerate(names[20:], 20):
        clip(root / f"{name}.wav", number)
    (root / "t.csv").write_text(named(*reversed(names), text="other words of"))
    after = {Path(item.audio).name: item.split for item in items_of(loaded)}
    assert len(after) == 40
    assert before.items() <= after.items()


def test_a_survey_that_fails_leaves_no_file(tmp_path: Path) -> None:
    def items() -> Any:
        yield ManifestEntry(0, "f", 1, "a", "t", "v", 1.0, "d", "train")
        raise DataError("stop")

    with pytest.raises(DataError):
        write_manifest(tmp_path / "deep" / "manifest.jsonl", items())
    assert list((tmp_path / "deep").iterdir()) == []


ANY = st.text(max_size=8)


@settings(max_examples=60, deadline=None)
@given(
    items=st.lists(
        st.builds(ManifestEntry, st.integers(0, 3), ANY, st.none() | st.integers(), ANY, ANY, ANY,
                  st.floats(0, 1e6), ANY, st.sampled_from(["train", "validation"]), st.none() | ANY),
        max_size=5,
    )
)  # fmt: skip
def test_a_survey_comes_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, items: list[ManifestEntry]
) -> None:
    path = tmp_path_factory.mktemp("manifest") / "manifest.jsonl"
    write_manifest(path, iter(items))
    assert list(read_manifest(path)) == items


NAMES = st.sampled_from(["a", "a.wav", "b", "c.wav", "lost", "sub/c", "../a.wav", "", " ", "bad", "-x", "=1", "x\ny"])
NAMES = NAMES | st.text(max_size=5)
WORDS = st.sampled_from(["Hello", "Yes, we can.", "", " ", "\x07", 'say "so"', "two\nlines"]) | st.text(max_size=5)
ROWS = st.lists(st.tuples(NAMES, WORDS) | st.tuples(NAMES) | st.tuples(NAMES, WORDS, WORDS), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("recordings")
    (root / "sub").mkdir()
    for number, name in enumerate(["a.wav", "b.wav", "sub/c.wav", "spare.wav"]):
        soundfile.write(root / name, np.random.default_rng(number).normal(0, 0.1, 8000), 8000)
    (root / "bad.wav").write_bytes(b"RIFF")
    return root


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, form=st.sampled_from(["csv", "jsonl"]))
def test_every_row_and_every_recording_is_accounted_for(
    recipe: Callable[..., Recipe], recordings: Path, rows: list[tuple[str, ...]], form: str
) -> None:
    """The expected numbers are counted from what the test wrote, not by the code under test."""
    for table in recordings.glob("t.*"):
        table.unlink()
    if form == "csv":
        text = io.StringIO(newline="")
        csv.writer(text).writerows([("file", "text"), *rows])
        blank = sum(not any(cell.strip() for cell in row) for row in rows)
        (recordings / "t.csv").write_bytes(text.getvalue().encode("utf-8", "surrogatepass"))
    else:
        objects = [dict(zip(("file", "text", "more"), row, strict=False)) for row in [("a", "first"), *rows]]
        (recordings / "t.jsonl").write_text("".join(json.dumps(item) + "\n" for item in objects), encoding="utf-8")
        blank = -1  # the first object is a row as well
    refusal = ""
    try:
        items = items_of(recipe(recordings))
    except DataError as error:  # several texts for one recording, and nothing that says which part each one is
        refusal = str(error)
    if refusal:
        assert "name the recording" in refusal
        assert "no column says which part" in refusal
        names = [row[0].strip() for row in (rows if form == "csv" else [("a",), *rows])]
        assert len({name.removesuffix(".wav").removeprefix("sub/") for name in names} & {"a", "b", "c", "bad"}) == 1
        return
    listed, unlisted = [i for i in items if i.line is not None], [i for i in items if i.line is None]
    assert len(listed) == len(rows) - blank
    assert len({item.line for item in listed}) == len(listed)
    named_files = {os.path.realpath(item.audio) for item in listed if os.path.isfile(item.audio)}
    everything = {os.path.realpath(path) for path in recordings.rglob("*.wav")}
    assert sorted(os.path.realpath(item.audio) for item in unlisted) == sorted(everything - named_files)
    for item in items:
        assert item.reason is None or item.reason.strip()
        if item.reason is None:
            assert (item.text, item.seconds, os.path.isfile(item.audio)) == (" ".join(item.text.split()), 1.0, True)
    usable = [(os.path.realpath(item.audio), item.text) for item in items if item.reason is None]
    assert len(set(usable)) == len(usable)


# Sources that are used as a whole


def test_a_source_may_be_held_out_whole_and_all_others_are_trained_on(
    folder: Folder, clip: Callable[..., Path], recipe: Callable[..., Recipe]
) -> None:
    root = folder(**{"t.csv": named(*(f"c{number}" for number in range(12)))})
    other = root / "held"
    other.mkdir()
    (other / "t.csv").write_text(named("h0", "h1"))
    for number in range(12):
        clip(root / f"c{number}.wav", number)
    for number in range(2):
        clip(other / f"h{number}.wav", 100 + number)
    main, held = str(root / "t.csv"), str(other / "t.csv")

    def splits(*sources: dict[str, Any]) -> list[str]:
        return [item.split for item in items_of(recipe(root, data=list(sources), train={"validation": 0.5}))]

    assert splits({"source": main}, {"source": held, "use": "validation"}) == ["train"] * 12 + ["validation"] * 2
    assert splits({"source": main, "use": "train"}) == ["train"] * 12
    shared = splits({"source": main}, {"source": held, "use": "train"})
    assert set(shared[:12]) == {"train", "validation"}
    assert shared[12:] == ["train"] * 2


def test_manifests_of_the_fork_of_index_tts_are_sources(
    tmp_path: Path, clip: Callable[..., Path], recipe: Callable[..., Recipe]
) -> None:
    """Paths are relative to where its tools were started, four folders above the manifest."""
    processed = tmp_path / "training" / "jane" / "dataset" / "processed"
    audio = processed.parent / "audio"
    for path in (processed / "features", audio):
        path.mkdir(parents=True)
    for number, name in enumerate(("a", "b", "c")):
        clip(audio / f"{name}.wav", number)
    for manifest, names in (("train_manifest.jsonl", "ab"), ("val_manifest.jsonl", "c")):
        rows = [
            {
                "id": name, "text": f"These are the words of {name}.",
                "audio_path": f"training/jane/dataset/audio/{name}.wav",
                "text_ids_path": f"features/{name}_text_ids.npy", "codes_path": f"features/{name}_codes.npy",
                "condition_path": f"features/{name}_condition.npy", "emo_vec_path": f"features/{name}_emo_vec.npy",
                "text_len": 7, "code_len": 30, "condition_len": 32, "duration": 0.6, "sample_type": "single",
            }
            for name in names
        ]  # fmt: skip
        (processed / manifest).write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = [
        {"source": str(processed / "train_manifest.jsonl"), "use": "train"},
        {"source": str(processed / "val_manifest.jsonl"), "use": "validation"},
    ]
    made = recipe(tmp_path, data=data)
    items = items_of(made)
    assert [(Path(item.audio).name, item.split, item.reason) for item in items] == [
        ("a.wav", "train", None), ("b.wav", "train", None), ("c.wav", "validation", None),
    ]  # fmt: skip
    (described, _) = (" ".join(source.description) for source in open_sources(made))
    assert "name features of another trainer, which are not read: the recordings are encoded again" in described
    assert "codes_path" in described
