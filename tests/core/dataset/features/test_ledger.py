"""The ledger and its totals are correct."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune.dataset import ClipTotals, LedgerWriter, ManifestEntry
from vtune.dataset.features.ledger import MAX_REASON_KINDS, reason_kind

ITEM = ManifestEntry(0, "t.csv", 3, "/x/a.wav", "Hello.", "ann", 30.0, "d", "train")


def test_a_ledger_stands_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "run" / "ledger.jsonl"
    with pytest.raises(KeyboardInterrupt), LedgerWriter(path) as ledger:
        _interrupted(ledger)
    assert list(path.parent.iterdir()) == []
    with LedgerWriter(path) as ledger:
        ledger.add(ITEM, None, 2, 10)
        assert not path.exists()
    assert json.loads(path.read_text()) == {
        "status": "train", "reason": None, "file": "t.csv", "line": 3, "audio": "/x/a.wav", "voice": "ann",
        "seconds": 30.0, "source": 0, "variants": 2, "length": 10, "text": "Hello.",
    }  # fmt: skip


def _interrupted(ledger: LedgerWriter) -> None:
    ledger.add(ITEM, None, 0, 10)
    raise KeyboardInterrupt


def test_a_rank_that_does_not_speak_counts_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with LedgerWriter(None) as ledger:
        ledger.add(ITEM, "x", 0, 0)
    assert ledger.totals.clips == {"skipped": 1}
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=50, deadline=None)
@given(text=st.text(max_size=20), file=st.text(max_size=20), reason=st.none() | st.text(min_size=1, max_size=20))
def test_any_text_is_one_line_of_json(
    tmp_path_factory: pytest.TempPathFactory, text: str, file: str, reason: str | None
) -> None:
    path = tmp_path_factory.mktemp("ledger") / "ledger.jsonl"
    with LedgerWriter(path) as ledger:
        for _ in range(2):
            ledger.add(replace(ITEM, text=text, file=file, audio=file), reason, 0, 0)
    lines = path.read_bytes().removesuffix(b"\n").split(b"\n")
    assert len(lines) == 2
    entry = json.loads(lines[1])
    assert (entry["text"], entry["file"], entry["audio"], entry["reason"]) == (text, file, file, reason)


def test_totals_add_up_and_are_said_in_one_line() -> None:
    totals = ClipTotals()
    for _ in range(1200):
        totals.add(ITEM, None)
    totals.add(replace(ITEM, split="validation", voice="bob"), None)
    totals.add(ITEM, "0.10 s is shorter than prepare.min_seconds 0.5")
    totals.add(ITEM, "0.25 s is shorter than prepare.min_seconds 0.5")
    totals.add(ITEM, "names 'names2', but /data has no such recording")
    assert totals.describe() == (
        "1,204 clips: 1,200 train (600.0 min), 1 validation (0.5 min); "
        "3 not used (1.5 min): 2 like this: 0.10 s is shorter than prepare.min_seconds 0.5; "
        "names 'names2', but /data has no such recording"
    )
    assert totals.settings() == {
        "clips": {"train": 1200, "validation": 1, "skipped": 3},
        "seconds": {"train": 36000.0, "validation": 30.0, "skipped": 90.0},
        "reasons": {"n is shorter than prepare.min_seconds n": 2, "names …, but … has no such recording": 1},
        "voices": {"ann": 1200, "bob": 1},
    }
    totals = ClipTotals()
    totals.add(ITEM, None)
    assert totals.describe() == "1 clips: 1 train (0.5 min), 0 validation (0.0 min); all clips are used"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2310 tokens, more than max_tokens 2048", "2,311 tokens, more than max_tokens 2048"),
        ("/a/b.wav cannot be read as audio: x", "/a/c.wav cannot be read as audio: x"),
        ("names 'a', but /x has no such recording", 'names "b\'c", but /x has no such recording'),
        ("the column text2 has 3 cells", "the column text2 has 14 cells"),
        ("the same recording and words as /x/t.csv:2", "the same recording and words as /x/t.csv:31"),
    ],
)
def test_reasons_of_one_kind_are_counted_together(one: str, other: str) -> None:
    assert reason_kind(one) == reason_kind(other)


def test_file_names_with_blanks_make_no_kinds_of_their_own() -> None:
    totals = ClipTotals()
    for number in range(3):
        path = f"/my speech/clip no {'x' * number}.wav"
        totals.add(replace(ITEM, audio=path), f"{path} holds no samples")
    for name in "ab c":
        totals.add(replace(ITEM, audio=name), f"names {name!r}, but /my/speech has no such recording")
    assert totals.reasons == {"… holds no samples": 3, "names …, but … has no such recording": 4}


def test_reasons_of_any_number_are_counted_in_bounded_memory() -> None:
    totals = ClipTotals()
    for number in range(10_000):
        totals.add(ITEM, "reason " + "x" * number)
    assert sum(totals.reasons.values()) == 10_000
    assert len(totals.reasons) == MAX_REASON_KINDS + 1
    assert max(map(len, totals.reasons)) <= 80


def test_names_with_digits_stay_whole() -> None:
    assert reason_kind("the column names2 of b2b.csv has 3 cells") == "the column names2 of b2b.csv has n cells"
    totals = ClipTotals()
    totals.add(ITEM, "x" * 500)
    assert totals.describe().endswith("xxx...")
    assert len(totals.describe()) < 300
