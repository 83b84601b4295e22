"""Features on disk: what is written is read back, and a writer that is killed leaves no incomplete shard."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vtune.dataset import FeatureStore
from vtune.dataset.features.rows import flatten, restore
from vtune.dataset.features.store import EncodeResult
from vtune.errors import DataError, EngineError
from vtune.types import Features


def key(number: int) -> str:
    return f"{number:032x}"


def features(number: int, length: int = 4) -> Features:
    return {"labels": np.arange(length) + number, "level": np.full((length, 3), number, dtype=np.float32)}


def attempt(number: int) -> EncodeResult:
    return EncodeResult(key(number), features(number), 4)


SHAPES = st.sampled_from([(), (0,), (1,), (5,), (0, 3), (3, 0), (2, 3), (2, 1, 4)])
ARRAYS = st.one_of(
    SHAPES.flatmap(lambda shape: arrays.arrays(np.int64, shape)),
    SHAPES.flatmap(lambda shape: arrays.arrays(np.float32, shape, elements=st.floats(width=32))),
)


@settings(max_examples=60, deadline=None)
@given(row=st.dictionaries(st.sampled_from(["labels", "codes", "emotion"]), ARRAYS, min_size=1))
def test_features_come_back_with_shape_kind_and_every_bit(
    tmp_path_factory: pytest.TempPathFactory, row: Features
) -> None:
    for back in (restore(flatten(row)), _through_disk(tmp_path_factory.mktemp("store"), row)):
        assert back.keys() == row.keys()
        for name, array in row.items():
            assert (back[name].shape, back[name].dtype) == (array.shape, array.dtype)
            np.testing.assert_array_equal(back[name], array)


def _through_disk(folder: Path, row: Features) -> Features:
    FeatureStore(folder).write([EncodeResult(key(1), row, 0)])
    known = FeatureStore(folder).index()
    return known.select([known[key(1)].row])[0]


def test_rows_of_many_shards_come_in_the_order_that_is_asked_for(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    order = np.random.default_rng(0).permutation(30).tolist()
    for start in range(0, 30, 7):
        store.write([attempt(number) for number in order[start : start + 7]])
    known = store.index()
    assert len(known) == 30
    expected = [17, 3, 3, 29, 0]
    rows = known.select([known[key(number)].row for number in expected])
    assert len(rows) == 5
    for row, number in enumerate(expected):
        np.testing.assert_array_equal(rows[row]["labels"], features(number)["labels"])
        np.testing.assert_array_equal(rows[row]["level"], features(number)["level"])


def test_narrow_types_save_disk_and_come_back_wide(tmp_path: Path) -> None:
    """Values of float16 and int16 are kept to the bit, and are read back as float32 and int64, whatever shard a row is
    in.
    """
    random = np.random.default_rng(0)
    kept = [
        {"mel": random.normal(size=(80, 50 + number)).astype(np.float16), "ids": np.arange(number, dtype=np.int16)}
        for number in range(5)
    ]
    store = FeatureStore(tmp_path)
    store.write([EncodeResult(key(number), kept[number], 1) for number in range(3)])
    store.write([EncodeResult(key(number), kept[number], 1) for number in range(3, 5)])
    index = store.index()
    rows = index.select([index[key(number)].row for number in range(5)])
    for number in range(5):
        assert {name: array.dtype for name, array in rows[number].items()} == {"mel": np.float32, "ids": np.int64}
        np.testing.assert_array_equal(rows[number]["mel"], kept[number]["mel"].astype(np.float32))
        np.testing.assert_array_equal(rows[number]["ids"], kept[number]["ids"])
    halves = sum(row["mel"].nbytes + row["ids"].nbytes for row in kept)
    assert sum(path.stat().st_size for path in tmp_path.glob("*.arrow")) < halves + 8000


def test_a_shard_of_many_arrow_batches_keeps_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vtune.dataset.features.rows._ARROW_BATCH_BYTES", 300)
    FeatureStore(tmp_path).write([attempt(number) for number in range(20)])
    index = FeatureStore(tmp_path).index()
    rows = index.select([index[key(number)].row for number in range(19, -1, -1)])
    assert [int(rows[row]["labels"][0]) for row in range(20)] == list(range(19, -1, -1))


@pytest.mark.parametrize(
    "other", [{"labels": np.arange(3)}, {"labels": np.arange(3), "level": np.zeros(3, dtype=np.float32)}]
)
def test_clips_with_other_features_than_their_neighbours_are_refused(tmp_path: Path, other: Features) -> None:
    with pytest.raises(EngineError, match="returned labels, level for one clip, and labels"):
        FeatureStore(tmp_path).write([attempt(1), EncodeResult(key(2), other, 3)])
    assert list(tmp_path.iterdir()) == []


def test_refused_clips_are_known_with_their_reason(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.write(
        [
            EncodeResult(key(0), None, 0, "too »long«"),
            attempt(1),
            EncodeResult(key(2), None, 0, "too short"),
            attempt(3),
        ]
    )
    store.write([EncodeResult(key(4), None, 0, "all refused")])
    known = store.index()
    assert [known[key(number)].reason for number in range(5)] == ["too »long«", None, "too short", None, "all refused"]
    rows = known.select([known[key(3)].row, known[key(1)].row])
    assert [int(rows[row]["labels"][0]) for row in range(2)] == [3, 1]
    assert key(5) not in known
    with pytest.raises(KeyError):
        known[key(5)]


def test_an_empty_store_knows_nothing(tmp_path: Path) -> None:
    known = FeatureStore(tmp_path / "new").index()
    assert len(known) == 0
    assert key(0) not in known


def test_what_a_killed_writer_left_is_swept(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.write([attempt(1)])
    store.write([attempt(2)])
    (tmp_path / "manifest.jsonl").write_text("{}")
    shards = sorted(tmp_path.glob("part-*.jsonl"))
    lost = json.loads(shards[0].read_text())["key"]
    shards[0].unlink()
    (tmp_path / ".part-3.jsonl.vtune-partial").write_text("{")
    store.sweep()
    assert {path.name for path in tmp_path.iterdir()} == {
        shards[1].name, shards[1].with_suffix(".arrow").name, "manifest.jsonl",
    }  # fmt: skip
    assert lost not in store.index()
    assert len(store.index()) == 1


def test_a_listing_without_its_features_is_swept(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.write([attempt(1)])
    store.write([EncodeResult(key(2), None, 0, "refused: such a shard has no features")])
    next(tmp_path.glob("part-*.arrow")).unlink()
    store.sweep()
    assert key(1) not in store.index()
    assert key(2) in store.index()


def test_what_failed_by_circumstance_is_tried_again_and_its_neighbours_stay(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.write(
        [
            attempt(1),
            EncodeResult(key(2), None, 0, "no such file", retry=True),
            attempt(3),
            EncodeResult(key(4), None, 0, "long"),
        ]
    )
    assert store.index()[key(2)].reason == "no such file"
    store.sweep()
    known = store.index()
    assert key(2) not in known
    assert known[key(4)].reason == "long"
    rows = known.select([known[key(3)].row, known[key(1)].row])
    assert [int(rows[row]["labels"][0]) for row in range(2)] == [3, 1]


def test_a_store_that_is_cleared_keeps_what_is_not_its_own(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.write([attempt(1)])
    (tmp_path / "manifest.jsonl").write_text("{}")
    store.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.jsonl"]


def test_damaged_features_say_how_to_go_on(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.write([attempt(1)])
    arrow = next(tmp_path.glob("part-*.arrow"))
    arrow.write_bytes(arrow.read_bytes()[:40])
    known = store.index()
    with pytest.raises(DataError, match=rf"{arrow.name} is damaged; run once with encode\.cache=false"):
        known.select([known[key(1)].row])


def test_a_writer_that_fails_is_not_known(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    with pytest.raises(Exception, match=r".+"):
        store.write([attempt(1), EncodeResult(key(2), {"labels": np.asarray([object()])}, 1)])
    assert len(store.index()) == 0
    store.sweep()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"{", b'{"key": "a"}\n', b"\xff\xfe\n", b"7\n"])
def test_a_listing_that_cannot_be_read_is_encoded_anew(tmp_path, content):
    store = FeatureStore(tmp_path)
    (tmp_path / "part-00.jsonl").write_bytes(content)
    (tmp_path / "part-00.arrow").write_bytes(b"x")
    store.sweep()
    assert not list(tmp_path.iterdir())
    assert len(store.index()) == 0
