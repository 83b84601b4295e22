"""Sources become features: each clip is encoded once, in the order of the sources, and is listed in the ledger."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import vtune_toy

import vtune
from vtune.dataset import (
    FeatureRows,
    FeatureStore,
    RankShard,
    best_clips,
    build_training_data,
    manifest_entries,
    open_sources,
)
from vtune.dataset.features import encode as encoding
from vtune.dataset.features.encode import StoredData, base_key, clip_key, encode
from vtune.dataset.features.manifest import read_manifest, write_manifest
from vtune.engines import Engine, load_engine, use_engine_file
from vtune.errors import DataError, RecipeError
from vtune.recipe import Recipe
from vtune.runtime.paths import RunFolder
from vtune.types import Clip

Folder = Callable[..., Path]
Make = Callable[..., Recipe]
NAMES = ["a", "b", "c", "d"]
NOISE = {"variants": 2, "transforms": [{"AddGaussianSNR": {"min_snr_db": 5, "max_snr_db": 10}}]}


def named(*names: str) -> str:
    return "file,text\n" + "".join(f"{name},words of {name}\n" for name in names)


@pytest.fixture
def root(folder: Folder) -> Path:
    return folder(*(f"{name}.wav" for name in NAMES), **{"t.csv": named(*NAMES)})


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[Clip]:
    """Return the clips that the engine was asked to encode since the list was last cleared."""
    clips: list[Clip] = []
    plain = Engine.prepare_sample

    def prepare_sample(self: Engine, base: Any, clip: Clip, options: Any = None) -> Any:
        clips.append(clip)
        return plain(self, base, clip)

    monkeypatch.setattr(Engine, "prepare_sample", prepare_sample)
    return clips


def contents(rows: FeatureRows | None) -> list[dict[str, list[int]]]:
    result = [] if rows is None else [rows[row] for row in range(len(rows))]
    return [{name: array.tolist() for name, array in row.items() if name != "lot"} for row in result]


def expected(root: Path, names: list[str]) -> list[dict[str, list[int]]]:
    """Return the features, computed here with the engine's own function."""
    base = vtune_toy.load_base(vtune_toy.ToyOptions(), torch.device("cpu"), torch.float32)
    result = []
    for name in names:
        sound, rate = soundfile.read(root / f"{name}.wav", dtype="float32")
        features = vtune_toy.prepare_sample(base, Clip("x", "x", f"words of {name}", sound, rate))
        result.append({key: array.tolist() for key, array in features.items()})
    return result


def test_features_come_in_the_order_of_the_table(root: Path, recipe: Make, prepare: Callable[..., Any]) -> None:
    (root / "t.csv").write_text(named("c", "a", "d", "b"))
    prepared = prepare(recipe(root))
    assert contents(prepared.data.train) == expected(root, ["c", "a", "d", "b"])
    assert prepared.data.lengths == [len(row["labels"]) for row in expected(root, ["c", "a", "d", "b"])]
    assert prepared.data.weights == [1.0] * 4
    assert prepared.data.validation is None
    assert [line["length"] for line in prepared.ledger] == prepared.data.lengths


def test_a_second_build_encodes_nothing(
    root: Path, recipe: Make, prepare: Callable[..., Any], encoded: list[Clip]
) -> None:
    first = prepare(recipe(root))
    assert len(encoded) == 4
    encoded.clear()
    second = prepare(recipe(root))
    assert encoded == []
    assert second.data.identity == first.data.identity
    assert contents(second.data.train) == contents(first.data.train)
    assert second.ledger == first.ledger


def test_a_clip_that_is_added_is_the_only_one_encoded(
    root: Path, recipe: Make, prepare: Callable[..., Any], encoded: list[Clip], clip: Callable[..., Path]
) -> None:
    before = prepare(recipe(root))
    encoded.clear()
    clip(root / "e.wav", 77)
    (root / "t.csv").write_text(named("e", *NAMES))
    after = prepare(recipe(root))
    assert [encoded_clip.text for encoded_clip in encoded] == ["words of e"]
    assert contents(after.data.train) == expected(root, ["e", *NAMES])
    assert after.data.identity != before.data.identity


def test_files_that_move_are_not_encoded_again(
    root: Path, recipe: Make, prepare: Callable[..., Any], encoded: list[Clip]
) -> None:
    prepare(recipe(root))
    encoded.clear()
    (root / "a.wav").rename(root / "renamed.wav")
    (root / "t.csv").write_text(named(*NAMES).replace("a,", "renamed,", 1))
    prepare(recipe(root.rename(root.parent / "moved")))
    assert encoded == []


CHANGES = {
    "how the engine speaks": ({"engine_options": {"pitch": 330}}, 0),
    "the learning rate": ({"train": {"validation": 0, "learning_rate": 1e-3}}, 0),
    "the split": ({"train": {"validation": 0.5}}, 0),
    "shorter limits": ({"prepare": {"min_seconds": 0.1}}, 0),
    "augmentation without copies": ({"augment": {"variants": 2, "seed": 5}}, 0),
    "an option that features depend on": ({"engine_options": {"max_frames": 999}}, 4),
    "what the base is": ({"engine_options": {"width": 8}}, 4),
    "loudness": ({"prepare": {"target_loudness": -20}}, 4),
    "no cache": ({"encode": {"cache": False}}, 4),
    "changed copies": ({"augment": NOISE}, 8),
}


@pytest.mark.parametrize("change", CHANGES)
def test_only_what_features_depend_on_encodes_anew(
    root: Path, recipe: Make, prepare: Callable[..., Any], encoded: list[Clip], change: str
) -> None:
    settings, count = CHANGES[change]
    prepare(recipe(root))
    encoded.clear()
    prepare(recipe(root, **settings))
    assert len(encoded) == count
    encoded.clear()
    prepare(recipe(root))
    assert len(encoded) == 0, "what was encoded before is still there"


@pytest.mark.parametrize(
    "augment",
    [{**NOISE, "seed": 1}, {**NOISE, "transforms": [{"AddGaussianSNR": {"min_snr_db": 5, "max_snr_db": 11}}]}],
)
def test_other_augmentation_encodes_the_copies_anew_and_not_the_clips(
    root: Path, recipe: Make, prepare: Callable[..., Any], encoded: list[Clip], augment: dict[str, Any]
) -> None:
    prepare(recipe(root, augment=NOISE))
    encoded.clear()
    prepare(recipe(root, augment=augment))
    assert len(encoded) == 8
    encoded.clear()
    prepare(recipe(root, augment={**NOISE, "variants": 3}))
    assert len(encoded) == 4, "the first two copies of each are known"


def test_other_words_or_another_voice_encode_anew(
    root: Path, recipe: Make, prepare: Callable[..., Any], encoded: list[Clip]
) -> None:
    prepare(recipe(root))
    encoded.clear()
    (root / "t.csv").write_text(named(*NAMES).replace("words of b", "other words"))
    prepare(recipe(root))
    assert [encoded_clip.text for encoded_clip in encoded] == ["other words"]
    encoded.clear()
    prepare(recipe({"source": str(root), "voice": "bob"}))
    assert [encoded_clip.voice for encoded_clip in encoded] == ["bob"] * 4


def test_another_features_version_encodes_anew(
    root: Path, recipe: Make, prepare: Callable[..., Any], encoded: list[Clip], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(recipe(root))
    encoded.clear()
    newer = dataclasses.replace(vtune_toy.engine_info(), features_version="2")
    monkeypatch.setattr(vtune_toy, "engine_info", vtune.hookimpl(lambda: newer))
    prepare(recipe(root))
    assert len(encoded) == 4


def test_loudness_is_brought_to_what_was_asked(
    root: Path, recipe: Make, prepare: Callable[..., Any], encoded: list[Clip]
) -> None:
    prepare(recipe(root, prepare={"target_loudness": -26}))
    levels = [10 * np.log10(np.mean(np.square(encoded_clip.waveform, dtype=np.float64))) for encoded_clip in encoded]
    np.testing.assert_allclose(levels, -26, atol=0.01)


def test_clips_reach_the_engine_at_its_rate(
    folder: Folder, clip: Callable[..., Path], recipe: Make, prepare: Callable[..., Any], encoded: list[Clip]
) -> None:
    root = folder(**{"t.csv": named("a")})
    clip(root / "a.wav", 0, seconds=0.75, rate=44100)
    prepare(recipe(root))
    assert (encoded[0].sample_rate, len(encoded[0].waveform)) == (8000, 6000)


def test_what_the_engine_refuses_is_listed_with_its_numbers(
    folder: Folder, clip: Callable[..., Path], recipe: Make, prepare: Callable[..., Any], encoded: list[Clip]
) -> None:
    root = folder("a.wav", **{"t.csv": named("a", "long")})
    clip(root / "long.wav", 9, seconds=2.0)
    loaded = recipe(root, engine_options={"max_frames": 60}, augment=NOISE)
    prepared = prepare(loaded)
    assert prepared.reasons() == {("long.wav", 3): "100 frames, more than max_frames 60"}
    assert prepared.ledger[1]["seconds"] == 2.0
    assert prepared.ledger[1]["variants"] == 0
    assert prepared.data.totals.clips == {"train": 1, "skipped": 1}
    assert len(prepared.data.train) == 3
    encoded.clear()
    assert prepare(loaded).ledger == prepared.ledger
    assert encoded == [], "a refusal is known as well"


def unreadable() -> dict[str, bytes]:
    return {"a.wav": b"", "b.wav": b"RIFF", "c.wav": os.urandom(500)}


def test_sound_that_cannot_be_used_ends_in_the_ledger(
    folder: Folder, clip: Callable[..., Path], recipe: Make, prepare: Callable[..., Any]
) -> None:
    root = folder("fine.wav", "cut.flac", **unreadable(), **{"t.csv": named("a", "b", "c", "nan", "cut", "fine", "no")})
    broken = np.full(8000, 0.1, dtype=np.float32)
    broken[400] = np.nan
    soundfile.write(root / "nan.wav", broken, 8000, subtype="FLOAT")
    content = (root / "cut.flac").read_bytes()
    (root / "cut.flac").write_bytes(content[: len(content) // 2])
    prepared = prepare(recipe(root))
    reasons = {name: reason for (name, _), reason in prepared.reasons().items()}
    assert reasons.keys() == {"a.wav", "b.wav", "c.wav", "nan.wav", "cut.flac", "no"}
    assert "samples that are not numbers" in reasons["nan.wav"]
    assert "cannot be read as audio" in reasons["cut.flac"]
    assert prepared.data.totals.clips == {"train": 1, "skipped": 6}


def test_a_recording_that_could_not_be_read_is_tried_again(
    root: Path, recipe: Make, prepare: Callable[..., Any], encoded: list[Clip], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network drive that is away for a moment must not lose its clips for ever."""
    from vtune.dataset.sources.folder_source import FolderSource

    plain = FolderSource.load

    def away(self: FolderSource, name: str, rate: int) -> Any:
        if name.endswith("b.wav"):
            raise OSError(5, "Input/output error", name)
        return plain(self, name, rate)

    with monkeypatch.context() as patch:
        patch.setattr(FolderSource, "load", away)
        prepared = prepare(recipe(root))
    assert prepared.reasons() == {("b.wav", 3): f"{root}/b.wav cannot be read: Input/output error"}
    encoded.clear()
    assert contents(prepare(recipe(root)).data.train) == expected(root, NAMES)
    assert [encoded_clip.text for encoded_clip in encoded] == ["words of b"]


def test_no_clip_left_says_what_became_of_them_and_leaves_the_ledger(
    root: Path, recipe: Make, prepare: Callable[..., Any], tmp_path: Path
) -> None:
    with pytest.raises(
        DataError, match=r"no clip can be trained on.*4 not used.*frames, more than max_frames.*ledger\.jsonl"
    ):
        prepare(recipe(root, engine_options={"max_frames": 3}))
    lines = [json.loads(line) for line in (tmp_path / "run" / "ledger.jsonl").read_text().splitlines()]
    assert [line["status"] for line in lines] == ["skipped"] * 4


def test_copies_are_for_training_alone_and_differ(
    folder: Folder, recipe: Make, prepare: Callable[..., Any], encoded: list[Clip]
) -> None:
    names = [f"c{number}" for number in range(12)]
    root = folder(*(f"{name}.wav" for name in names), **{"t.csv": named(*names)})
    prepared = prepare(recipe(root, augment=NOISE, train={"validation": 0.4}))
    held = prepared.data.totals.clips["validation"]
    assert 0 < held < 12
    assert len(prepared.data.train) == len(prepared.data.weights) == len(prepared.data.lengths) == (12 - held) * 3
    assert len(prepared.data.validation) == held
    assert {line["status"]: line["variants"] for line in prepared.ledger} == {"train": 2, "validation": 0}
    of_first = [encoded_clip.waveform for encoded_clip in encoded if encoded_clip.text == encoded[0].text]
    for copy in of_first[1:]:
        assert not np.array_equal(copy, of_first[0])
    again = [encoded_clip.waveform for encoded_clip in encoded]
    encoded.clear()
    prepare(recipe(root, augment=NOISE, train={"validation": 0.4}, encode={"cache": False}))
    assert all(
        np.array_equal(encoded_clip.waveform, before) for encoded_clip, before in zip(encoded, again, strict=True)
    )


def test_copies_that_cannot_be_used_are_said_and_cost_no_clip(
    root: Path, recipe: Make, prepare: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    slow = {"variants": 1, "transforms": [{"TimeStretch": {"min_rate": 0.5, "max_rate": 0.5}}]}
    with caplog.at_level(logging.WARNING):
        prepared = prepare(recipe(root, augment=slow, engine_options={"max_frames": 35}))
    assert len(prepared.data.train) == 4
    assert "4 augmented copies cannot be used: 4 like this: 60 frames, more than max_frames 35" in caplog.text


def test_slower_copies_are_longer_not_cut(
    root: Path, recipe: Make, prepare: Callable[..., Any], encoded: list[Clip]
) -> None:
    slow = {"variants": 1, "transforms": [{"TimeStretch": {"min_rate": 0.5, "max_rate": 0.5}}]}
    prepare(recipe(root, augment=slow))
    seconds = sorted(round(encoded_clip.seconds, 1) for encoded_clip in encoded)
    assert seconds == [0.6] * 4 + [1.2] * 4


def test_weights_follow_the_sources(folder: Folder, recipe: Make, prepare: Callable[..., Any]) -> None:
    ann = folder("a.wav", "b.wav", name="ann", **{"t.csv": named("a", "b")})
    bob = folder("x.wav", "y.wav", "z.wav", name="bob", **{"t.csv": named("x", "y", "z")})
    sources = [
        {"source": str(ann), "voice": "ann", "weight": 2.5},
        {"source": str(bob), "voice": "bob", "weight": 0.5},
    ]
    prepared = prepare(recipe(*sources, augment={**NOISE, "variants": 1}))
    assert prepared.data.weights == [2.5] * 4 + [0.5] * 6
    assert prepared.data.voices == ["bob", "ann"]
    assert prepared.data.totals.voices == {"ann": 2, "bob": 3}
    before = prepared.data.identity
    sources[0]["weight"] = 2.0
    assert prepare(recipe(*sources, augment={**NOISE, "variants": 1})).data.identity != before


def test_the_identity_is_of_what_is_trained_on(root: Path, recipe: Make, prepare: Callable[..., Any]) -> None:
    before = prepare(recipe(root)).data.identity
    assert prepare(recipe(root, augment={"seed": 9, "variants": 3})).data.identity == before, "there are no transforms"
    (root / "spare.wav").write_bytes(b"unlisted")
    assert prepare(recipe(root)).data.identity == before
    assert prepare(recipe(root, train={"validation": 0.6})).data.identity != before


def test_names_that_are_no_text_go_through_to_the_ledger(root: Path, recipe: Make, prepare: Callable[..., Any]) -> None:
    (root / "a.wav").rename(os.fsdecode(os.fsencode(root) + b"/caf\xe9.wav"))
    (root / "b.wav").rename(root / "-new\nline.wav")
    rows = [{"audio": "caf\udce9", "text": "one"}, {"audio": "-new\nline", "text": "two"}]
    (root / "t.csv").unlink()
    (root / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    prepared = prepare(recipe(root))
    assert [Path(line["audio"]).name for line in prepared.ledger] == [
        "caf\udce9.wav", "-new\nline.wav", "c.wav", "d.wav",
    ]  # fmt: skip
    assert len(prepared.data.train) == 2


def test_a_killed_writer_is_swept_and_its_clips_encoded(
    root: Path, recipe: Make, prepare: Callable[..., Any], encoded: list[Clip], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "SHARD_CLIPS", 2)
    prepared = prepare(recipe(root))
    listings = sorted(prepared.run.features.glob("part-*.jsonl"))
    assert len(listings) == 2
    listings[0].unlink()
    encoded.clear()
    again = prepare(recipe(root))
    assert len(encoded) == 2
    assert contents(again.data.train) == expected(root, NAMES)
    assert len(list(again.run.features.glob("part-*.arrow"))) == 2


def test_a_shard_is_written_when_its_clips_take_too_much_memory(
    root: Path, recipe: Make, prepare: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "SHARD_BYTES", 1)
    prepared = prepare(recipe(root))
    assert len(list(prepared.run.features.glob("part-*.arrow"))) == len(NAMES)
    assert contents(prepared.data.train) == expected(root, NAMES)


class Killed(BaseException):
    pass


def test_a_killed_encoding_goes_on_where_it_was(
    root: Path, recipe: Make, prepare: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "SHARD_CLIPS", 1)
    plain, asked = Engine.prepare_sample, []

    def prepare_sample(self: Engine, base: Any, clip: Clip, options: Any = None) -> Any:
        asked.append(clip.text)
        if len(asked) == 3:
            raise Killed
        return plain(self, base, clip)

    monkeypatch.setattr(Engine, "prepare_sample", prepare_sample)
    with pytest.raises(Killed):
        prepare(recipe(root))
    assert contents(prepare(recipe(root)).data.train) == expected(root, NAMES)
    assert asked == [f"words of {name}" for name in "abccd"]


def test_while_a_clip_is_encoded_the_next_ones_are_read_and_no_more(
    folder: Folder, recipe: Make, prepare: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clip ``n`` is held back until all that may wait behind it have been read; a serial reader would never do that."""
    from vtune.dataset.sources.folder_source import FolderSource

    names = [f"c{number}" for number in range(6)]
    root = folder(*(f"{name}.wav" for name in names), **{"t.csv": named(*names)})
    load, plain, changed = FolderSource.load, Engine.prepare_sample, threading.Condition()
    read: list[int] = []  # how many clips were taken when this one was read
    taken = 0

    def counted(self: FolderSource, name: str, rate: int) -> Any:
        sound = load(self, name, rate)
        with changed:
            read.append(taken)
            changed.notify()
        return sound

    def patient(self: Engine, base: Any, clip: Clip, options: Any = None) -> Any:
        nonlocal taken
        with changed:
            taken += 1
            assert changed.wait_for(lambda: len(read) >= min(taken + encoding.READ_AHEAD_CLIPS, len(names)), timeout=20)
        return plain(self, base, clip)

    monkeypatch.setattr(FolderSource, "load", counted)
    monkeypatch.setattr(Engine, "prepare_sample", patient)
    prepared = prepare(recipe(root))
    assert contents(prepared.data.train) == expected(root, names)
    assert len(read) == len(names)
    # As many as wait, the one that is being encoded, and the one whose turn comes while the next is begun.
    assert all(index - before <= encoding.READ_AHEAD_CLIPS + 1 for index, before in enumerate(read, 1))


def test_ranks_share_the_work_without_overlap(
    folder: Folder, recipe: Make, tmp_path: Path, encoded: list[Clip]
) -> None:
    names = [f"c{number}" for number in range(9)]
    root = folder(*(f"{name}.wav" for name in names), **{"t.csv": named(*names, "lost")})
    loaded, engine = recipe(root, augment={**NOISE, "variants": 1}), load_engine("toy")
    base = engine.load_base(loaded.engine_options, torch.device("cpu"), torch.float32)
    listing, store = tmp_path / "manifest.jsonl", tmp_path / "store"
    sources = open_sources(loaded)
    write_manifest(listing, manifest_entries(loaded, sources))
    counts = []
    for rank in range(3):
        encode(loaded, engine, base, sources, StoredData(listing, store, []), RankShard(rank, 3))
        counts.append(len(encoded))
    assert counts == [6, 12, 18]
    known = FeatureStore(store).index()
    assert len(known) == 18
    key = base_key(loaded, engine, base)
    items = [item for item in read_manifest(listing) if item.reason is None]
    assert all(clip_key(key, item, loaded, number) in known for item in items for number in (0, 1))


def test_a_rank_that_does_not_speak_writes_no_ledger(
    root: Path, recipe: Make, prepare: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare(recipe(root))
    first.run.ledger.unlink()
    monkeypatch.setenv("RANK", "1")
    engine = load_engine("toy")
    loaded = recipe(root)
    base = engine.load_base(loaded.engine_options, torch.device("cpu"), torch.float32)
    data = build_training_data(loaded, engine, base, first.run)
    assert not first.run.ledger.exists()
    assert data.identity == first.data.identity
    assert data.totals.clips == first.data.totals.clips


@pytest.mark.slow
def test_worker_processes_give_the_same_rows_in_the_same_order(
    folder: Folder, recipe: Make, prepare: Callable[..., Any]
) -> None:
    names = [f"c{number}" for number in range(7)]
    root = folder(*(f"{name}.wav" for name in names), "bad.wav", **{"t.csv": named(*names, "bad")})
    (root / "bad.wav").write_bytes(b"RIFF")
    alone = prepare(recipe(root, augment=NOISE))
    two = prepare(recipe(root, augment=NOISE, encode={"cache": False, "processes": 2}))
    assert contents(two.data.train) == contents(alone.data.train)
    assert two.data.identity == alone.data.identity
    assert two.ledger == alone.ledger


@pytest.mark.usefixtures("hurried")
def test_a_worker_that_is_killed_is_one_line_and_not_a_wait_for_ever(
    root: Path, recipe: Make, prepare: Callable[..., Any], tmp_path: Path
) -> None:
    engine = tmp_path / "killer.py"
    engine.write_text(
        "from vtune_toy import *\nimport os, signal, vtune\n"
        "@vtune.hookimpl\ndef prepare_sample(base, clip):\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    use_engine_file(engine)
    loaded = recipe(root, encode={"processes": 2}).model_copy(update={"engine": str(engine)})
    toy = load_engine("toy")
    base = toy.load_base(loaded.engine_options, torch.device("cpu"), torch.float32)
    toy.name = str(engine)
    with pytest.raises(DataError, match=r"one of 2 encoding processes was killed.*fewer encode\.processes"):
        build_training_data(loaded, toy, base, RunFolder(tmp_path / "run"))


def test_a_mistake_in_augment_is_found_before_anything_is_encoded(
    root: Path, recipe: Make, prepare: Callable[..., Any], encoded: list[Clip]
) -> None:
    wrong = {"variants": 1, "transforms": [{"AddGausianSNR": {}}]}
    for processes in (1, 2):
        with pytest.raises(RecipeError, match=re.escape("did you mean 'AddGaussianSNR'?")):
            prepare(recipe(root, augment=wrong, encode={"processes": processes}))
    assert encoded == []


def test_the_best_clips_of_a_voice_are_training_clips_that_were_encoded_near_six_seconds(
    folder: Folder, clip: Callable[..., Path], recipe: Make, prepare: Callable[..., Any]
) -> None:
    lengths = {"a": 1.0, "b": 5.0, "c": 6.5, "d": 12.0, "e": 30.0}
    root = folder(**{"t.csv": named(*lengths, "lost")})
    for number, (name, seconds) in enumerate(lengths.items()):
        clip(root / f"{name}.wav", number, seconds)
    loaded = recipe(root, engine_options={"max_frames": 5000})
    prepared = prepare(loaded)
    toy = load_engine("toy")
    base = toy.load_base(loaded.engine_options, torch.device("cpu"), torch.float32)
    best = best_clips(loaded, toy, base, prepared.run, "someone", 3)
    assert [clip.seconds for clip in best] == [6.5, 5.0, 1.0]
    assert best_clips(loaded, toy, base, prepared.run, "nobody", 3) == []


def test_a_clip_that_a_rank_sees_late_is_encoded(
    root: Path, recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The main process waits for nothing: a clip that it cannot read was removed."""
    loaded, engine = recipe(root), load_engine("toy")
    base = engine.load_base(loaded.engine_options, torch.device("cpu"), torch.float32)
    listing, sources = tmp_path / "manifest.jsonl", open_sources(loaded)
    write_manifest(listing, manifest_entries(loaded, sources))
    read, tries = encoding.load_clip, dict[str, int]()

    def read_late(*arguments: Any) -> Clip:
        name = arguments[-1].audio
        tries[name] = tries.get(name, 0) + 1
        if tries[name] <= 3:
            raise DataError(f"{name} does not exist")
        return read(*arguments)

    monkeypatch.setattr(encoding, "load_clip", read_late)
    monkeypatch.setattr(encoding, "POLL_SECONDS", 0.001)
    refused = {}
    for rank in (0, 1):
        store = FeatureStore(tmp_path / f"store{rank}")
        names = encode(loaded, engine, base, sources, StoredData(listing, store.folder, []), RankShard(rank, 2))
        lines = ((store.folder / f"{name}.jsonl").read_text().splitlines() for name in names)
        refused[rank] = [json.loads(line)["reason"] for each in lines for line in each]
    assert [bool(reason) for reason in refused[0]] == [True, True]
    assert refused[1] == [None, None]


def test_shares_have_equal_seconds_and_leave_out_what_is_stored(
    folder: Folder, recipe: Make, clip: Callable[..., Path], tmp_path: Path
) -> None:
    root = folder(**{"t.csv": named(*(f"c{number}" for number in range(12)))})
    for number in range(12):
        clip(root / f"c{number}.wav", number, seconds=8.6 if number == 0 else 0.9)
    loaded, engine = recipe(root), load_engine("toy")
    base = engine.load_base(loaded.engine_options, torch.device("cpu"), torch.float32)
    listing, sources = tmp_path / "manifest.jsonl", open_sources(loaded)
    write_manifest(listing, manifest_entries(loaded, sources))
    store = FeatureStore(tmp_path / "store")

    def share(rank: int, shards: list[str]) -> list[str]:
        return encode(loaded, engine, base, sources, StoredData(listing, store.folder, shards), RankShard(rank, 2))

    first, second = share(0, []), share(1, [])
    assert [len(store.index(shards)) for shards in (first, second)] == [2, 10]
    again = [share(rank, first) for rank in (0, 1)]
    assert [len(store.index(shards)) for shards in again] == [5, 5]
