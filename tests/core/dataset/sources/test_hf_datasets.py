"""Sources that the library ``datasets`` opens, without a network and without torchcodec."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import soundfile

from vtune.dataset import Source, open_source
from vtune.errors import DataError
from vtune.recipe import Recipe, SourceRecipe

RATE = 16000


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def sine(hertz: float, seconds: float = 0.6) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def flac(hertz: float) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, sine(hertz), RATE, format="FLAC")
    return file.getvalue()


def rows() -> dict[str, list[Any]]:
    return {
        "audio": [{"bytes": flac(200), "path": None}, {"bytes": flac(300), "path": "b.flac"}],
        "transcription": ["Hello there.", "Yes, we can."],
    }


def saved(folder: Path) -> Path:
    datasets.Dataset.from_dict(rows()).save_to_disk(folder / "saved")
    return folder / "saved"


def saved_with_audio_feature(folder: Path) -> Path:
    data = datasets.Dataset.from_dict(rows()).cast_column("audio", datasets.Audio(decode=False))
    datasets.DatasetDict({"train": data.cast_column("audio", datasets.Audio()), "test": data.select([1])}).save_to_disk(
        folder / "saved"
    )
    return folder / "saved"


def parquet(folder: Path) -> Path:
    pyarrow.parquet.write_table(pyarrow.table(rows()), folder / "clips.parquet")
    return folder / "clips.parquet"


def arrow(folder: Path) -> Path:
    return next(saved(folder).glob("*.arrow"))


def cloned_from_the_hub(folder: Path) -> Path:
    data = folder / "clone" / "data"
    data.mkdir(parents=True)
    for number in range(2):
        shard = pyarrow.table(rows()).slice(number, 1)
        pyarrow.parquet.write_table(shard, data / f"train-{number:05d}-of-00002.parquet")
    (folder / "clone" / "README.md").write_text("# A data set")
    return folder / "clone"


def source_of(path: Path, **asked: Any) -> Source:
    return open_source(SourceRecipe(source=str(path), **asked), path)


@pytest.mark.parametrize("make", [saved, saved_with_audio_feature, parquet, arrow, cloned_from_the_hub])
def test_every_kind_of_data_set_is_read(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    source = source_of(make(tmp_path))
    assert "2 rows; 'audio' names the recording, 'transcription' has the words" in source.description[0]
    found_rows = list(source.rows())
    assert [(row.line, row.text, row.problem) for row in found_rows] == [
        (1, "Hello there.", None),
        (2, "Yes, we can.", None),
    ]
    assert [source.seconds(row.audio) for row in found_rows] == [pytest.approx(0.6)] * 2
    for row, hertz in zip(found_rows, (200, 300), strict=True):
        np.testing.assert_allclose(source.load(row.audio, RATE), sine(hertz), atol=1 / 16384)
    assert source.digest("1") != source.digest("2")
    assert source.digest("1") == source_of(tmp_path / make(tmp_path / "again").relative_to(tmp_path)).digest("1")


@pytest.fixture(autouse=True)
def again(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()


def test_a_data_set_trains_and_its_ledger_names_rows(
    tmp_path: Path, recipe: Callable[..., Recipe], prepare: Callable[..., Any]
) -> None:
    data = rows()
    data["audio"] += [{"bytes": b"RIFFnonsense", "path": None}, {"bytes": None, "path": None}, data["audio"][0]]
    data["transcription"] += ["Broken.", "Missing.", None]
    pyarrow.parquet.write_table(pyarrow.table(data), tmp_path / "clips.parquet")
    prepared = prepare(recipe(tmp_path / "clips.parquet"))
    assert len(prepared.data.train) == 2
    assert [(line["line"], line["status"]) for line in prepared.ledger] == [
        (1, "train"), (2, "train"), (3, "skipped"), (4, "skipped"), (5, "skipped"),
    ]  # fmt: skip
    assert "clips.parquet row 3 cannot be read as audio" in prepared.reasons()["3", 3]
    assert "row 4: column 'audio' holds no recording" in prepared.reasons()["4", 4]
    assert prepared.reasons()["5", 5] == "no words"
    assert prepared.ledger[4]["seconds"] == pytest.approx(0.6), "speech that is left out counts"


def test_files_are_found_beside_a_data_set(tmp_path: Path, clip: Callable[..., Path]) -> None:
    clip(tmp_path / "wavs" / "a.wav", 1)
    table = {"audio": ["wavs/a.wav", "wavs/lost.wav"], "text": ["one", "two"]}
    pyarrow.parquet.write_table(pyarrow.table(table), tmp_path / "t.parquet")
    source = source_of(tmp_path / "t.parquet")
    assert source.seconds("1") == pytest.approx(0.6)
    with pytest.raises(DataError, match=r"row 2: column 'audio' holds no recording, and there is no file 'wavs/lost"):
        source.seconds("2")


@pytest.mark.parametrize("shape", ["mono", "channels first"])
def test_samples_stored_as_numbers_are_read(tmp_path: Path, shape: str) -> None:
    sound = sine(200)
    array = sound.tolist() if shape == "mono" else [sound.tolist(), (0.5 * sound).tolist()]
    table = {"audio": [{"array": array, "sampling_rate": RATE}], "text": ["one"]}
    pyarrow.parquet.write_table(pyarrow.table(table), tmp_path / "t.parquet")
    source = source_of(tmp_path / "t.parquet")
    assert source.seconds("1") == pytest.approx(0.6)
    np.testing.assert_allclose(source.load("1", RATE), sound * (1 if shape == "mono" else 0.75), atol=1e-6)
    assert len(source.digest("1")) == 64


@pytest.mark.parametrize(
    "value",
    [{"array": [0.1], "sampling_rate": 0}, {"array": [0.1], "sampling_rate": None},
     {"array": [[[0.1]]], "sampling_rate": 16000}, {"array": [[0.1], [0.1, 0.2]], "sampling_rate": 16000}],
)  # fmt: skip
def test_samples_that_are_none_are_a_reason(tmp_path: Path, value: dict[str, Any]) -> None:
    pyarrow.parquet.write_table(pyarrow.table({"audio": [value], "text": ["one"]}), tmp_path / "t.parquet")
    source = source_of(tmp_path / "t.parquet")
    for ask in (source.seconds, source.digest, lambda name: source.load(name, RATE)):
        with pytest.raises(DataError, match=r"t\.parquet row 1: samples"):
            ask("1")


def test_speakers_are_names_even_where_they_are_numbered_or_missing(tmp_path: Path) -> None:
    data = datasets.Dataset.from_dict({**rows(), "speaker": [1, None]})
    data.cast_column("speaker", datasets.ClassLabel(names=["ann", "bob"])).save_to_disk(tmp_path / "saved")
    assert [row.speaker for row in source_of(tmp_path / "saved").rows()] == ["bob", ""]


def test_a_changed_parquet_file_is_read_anew(tmp_path: Path) -> None:
    assert [row.text for row in source_of(parquet(tmp_path)).rows()] == ["Hello there.", "Yes, we can."]
    changed = {**rows(), "transcription": ["Hullo there.", "Yes, we can."]}
    pyarrow.parquet.write_table(pyarrow.table(changed), tmp_path / "clips.parquet")
    assert [row.text for row in source_of(tmp_path / "clips.parquet").rows()] == ["Hullo there.", "Yes, we can."]


def test_columns_are_asked_for_and_refused_with_those_there_are(tmp_path: Path) -> None:
    path = parquet(tmp_path)
    with pytest.raises(DataError, match=r"no column 'transcriptoin'; did you mean 'transcription'\?"):
        source_of(path, text_column="transcriptoin")
    with pytest.raises(DataError, match="no column 'who'"):
        source_of(path, speaker_column="who")
    pyarrow.parquet.write_table(pyarrow.table({"sound": [b"x"], "text": ["x"]}), tmp_path / "odd.parquet")
    with pytest.raises(
        DataError, match=r"has the columns sound, text, and it is not clear which one names the recordings"
    ):
        source_of(tmp_path / "odd.parquet")


def test_a_split_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    path = saved_with_audio_feature(tmp_path)
    with pytest.raises(DataError, match=r"no split 'dev' \(it has: train, test\)"):
        source_of(path, split="dev")
    assert [row.text for row in source_of(path, split="test").rows()] == ["Yes, we can."]


def broken_parquet(folder: Path) -> Path:
    path = parquet(folder)
    path.write_bytes(path.read_bytes()[:-30])
    return path


def broken_arrow(folder: Path) -> Path:
    path = arrow(folder)
    path.write_bytes(b"ARROW1 no more")
    return path


def without_files(folder: Path) -> Path:
    (saved(folder) / "state.json").write_text("{}")
    return folder / "saved"


def with_broken_state(folder: Path) -> Path:
    (saved(folder) / "state.json").write_text("{")
    return folder / "saved"


@pytest.mark.parametrize("make", [broken_parquet, broken_arrow, without_files, with_broken_state])
def test_a_damaged_data_set_is_one_line(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path)
    with pytest.raises(DataError, match="cannot be opened") as caught:
        source_of(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["someone/nothing", "", "a/b/c", "../x"])
def test_a_hub_data_set_that_cannot_be_had_is_one_line(name: str) -> None:
    with pytest.raises(DataError, match=r"data set hub:.* cannot be opened") as caught:
        open_source(SourceRecipe(source=f"hub:{name}"), Path())
    assert "\n" not in str(caught.value)
