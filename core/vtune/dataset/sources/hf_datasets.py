"""Sources that Hugging Face ``datasets`` opens: a Hub data set, a saved data set, Parquet or Arrow files."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from vtune import audio
from vtune.dataset.sources.column_chooser import choose_columns
from vtune.dataset.sources.columns import ColumnChoice, listed
from vtune.dataset.sources.plain_text import unfit_words
from vtune.dataset.sources.source import Row
from vtune.errors import DataError, reason
from vtune.recipe import SourceRecipe
from vtune.types import Waveform

SAMPLE_ROWS = 500
"""Rows of a data set that are looked at before it is read."""


class DatasetSource:
    """Reads the rows of a data set; recordings are decoded by soundfile, so torchcodec is not needed.

    :param folder: the folder that relative paths in the data set start from.
    """

    def __init__(self, dataset: Any, name: str, recipe: SourceRecipe, folder: Path) -> None:
        from datasets import Audio, ClassLabel

        self._name, self._folder = name, folder
        choice = ColumnChoice(recipe.audio_column, recipe.text_column, recipe.speaker_column, recipe.voice)
        columns = choose_columns(name, tuple(dataset.column_names), _sample(dataset), choice)
        self._audio, self._text, self._speaker = columns.audio, columns.text, columns.speaker
        if isinstance(dataset.features[self._audio], Audio):
            dataset = dataset.cast_column(self._audio, Audio(decode=False))
        self.has_speakers = self._speaker is not None
        self.speaker_question: str | None = None
        self._words = dataset.select_columns([self._text, *([self._speaker] if self._speaker else [])])
        self._sounds = dataset.select_columns([self._audio])
        label = dataset.features[self._speaker] if self._speaker else None
        self._speaker_name: Callable[[Any], str] = label.int2str if isinstance(label, ClassLabel) else str
        self.description = [f"{name}: data set of {len(dataset):,} rows; {columns.describe()}"]
        if columns.times:
            self.description.append(
                f"{name}: CHECK THIS: each row is its whole recording; times in a data set are not read; write rows "
                "that are parts into a table beside the recordings"
            )

    @classmethod
    def from_hub(cls, recipe: SourceRecipe) -> DatasetSource:
        """Open ``hub:owner/name``. :raises DataError: the data set cannot be loaded."""
        import datasets

        name = recipe.source.removeprefix("hub:")
        dataset = _opened(recipe.source, lambda: datasets.load_dataset(name, split=recipe.split))
        return cls(dataset, recipe.source, recipe, Path())

    @classmethod
    def from_disk(cls, path: Path, recipe: SourceRecipe) -> DatasetSource:
        """Open a folder that ``save_to_disk`` wrote. :raises DataError: the folder is damaged or lacks the split."""
        import datasets

        dataset = _opened(path, lambda: datasets.load_from_disk(str(path)))
        if isinstance(dataset, datasets.DatasetDict):
            if recipe.split not in dataset:
                raise DataError(f"data set {path} has no split {recipe.split!r} (it has: {listed(list(dataset))})")
            dataset = dataset[recipe.split]
        return cls(dataset, str(path), recipe, path)

    @classmethod
    def from_file(cls, path: Path, recipe: SourceRecipe) -> DatasetSource:
        """Open one Parquet or Arrow file. :raises DataError: the file is of another kind."""
        import datasets

        read = datasets.Dataset.from_file if path.suffix.lower() == ".arrow" else datasets.Dataset.from_parquet
        return cls(_opened(path, lambda: read(str(path))), str(path), recipe, path.parent)

    @classmethod
    def from_folder(cls, path: Path, recipe: SourceRecipe) -> DatasetSource:
        """Open a folder of Parquet files, as a clone of a Hub data set is. :raises DataError: a file cannot be read."""
        import datasets

        dataset = _opened(path, lambda: datasets.load_dataset(str(path), split=recipe.split))
        return cls(dataset, str(path), recipe, path)

    def rows(self) -> Iterator[Row]:
        """Yield the rows; ``line`` is the row's number counted from 1, ``audio`` is that number as text."""
        for number, row in enumerate(self._words, 1):
            text = row[self._text]
            words = " ".join(text.split()) if isinstance(text, str) else ""
            spoken_by = row[self._speaker] if self._speaker else None
            # -1 is how ``datasets`` says that a class is not known.
            speaker = self._speaker_name(spoken_by).strip() if spoken_by not in (None, -1) else ""
            yield Row(self._name, number, str(number), words, speaker, unfit_words(words))

    def seconds(self, name: str) -> float:
        """Return the seconds of a recording."""
        sound = self._sound(name)
        if isinstance(sound, tuple):
            return len(sound[0]) / sound[1]
        return audio.seconds_in(sound, self._place(name))

    def rate(self, name: str) -> int:
        """Return the sample rate of a recording in Hz."""
        sound = self._sound(name)
        return sound[1] if isinstance(sound, tuple) else audio.rate_in(sound, self._place(name))

    def digest(self, name: str) -> str:
        """Return the SHA-256 of a recording."""
        sound = self._sound(name)
        if isinstance(sound, tuple):
            return sha256(f"{sound[1]} Hz".encode() + sound[0].tobytes()).hexdigest()
        return sha256(sound.getvalue()).hexdigest()

    def load(self, name: str, sample_rate: int) -> Waveform:
        """Read a recording."""
        sound, location = self._sound(name), self._place(name)
        if isinstance(sound, tuple):
            return audio.to_mono(sound[0], sound[1], sample_rate, location)
        return audio.decode(sound, sample_rate, location)

    def _place(self, name: str) -> str:
        return f"{self._name} row {name}"

    def _sound(self, name: str) -> io.BytesIO | tuple[np.ndarray, int]:
        """Return the recording as an open file, or as ``[samples, channels]`` and rate if samples are stored."""
        value = self._sounds[int(name) - 1][self._audio]
        if isinstance(value, dict) and value.get("bytes"):
            return io.BytesIO(value["bytes"])
        if isinstance(value, dict) and value.get("array") is not None:
            return self._samples(value, name)
        path = value.get("path") if isinstance(value, dict) else value
        if isinstance(path, str) and (self._folder / path).is_file():
            return io.BytesIO((self._folder / path).read_bytes())
        named = f", and there is no file {path!r}" if isinstance(path, str) else ""
        raise DataError(f"{self._place(name)}: column {self._audio!r} holds no recording{named}")

    def _samples(self, value: dict[str, Any], name: str) -> tuple[np.ndarray, int]:
        try:
            samples, rate = np.asarray(value["array"], dtype=np.float32), int(value["sampling_rate"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{self._place(name)}: samples that cannot be read: {reason(error)}") from error
        if rate not in audio.SAMPLE_RATES or samples.ndim not in (1, 2):
            raise DataError(f"{self._place(name)}: samples of shape {samples.shape} at {rate} Hz are no recording")
        # ``datasets`` keeps channels first, soundfile last.
        return (samples.T if samples.ndim == 2 and samples.shape[0] < samples.shape[1] else samples), rate


def _sample(dataset: Any) -> list[list[str]]:
    """Return the cells of rows that are evenly spread over a data set; sound is not read."""
    from datasets import Audio, ClassLabel, Value

    def is_text(feature: Any) -> bool:
        return isinstance(feature, ClassLabel) or (isinstance(feature, Value) and "binary" not in feature.dtype)

    texts = [name for name, feature in dataset.features.items() if is_text(feature)]
    labels = {name: dataset.features[name] for name in texts if isinstance(dataset.features[name], ClassLabel)}
    sounds = {name for name, feature in dataset.features.items() if isinstance(feature, Audio | dict)}
    numbers = sorted({len(dataset) * part // SAMPLE_ROWS for part in range(SAMPLE_ROWS)} & set(range(len(dataset))))
    rows = dataset.select(numbers).select_columns(texts) if texts else [{}] * len(numbers)

    def cell(row: dict[str, Any], name: str, number: int) -> str:
        if name in sounds:
            return f"{number}.wav"
        value = row.get(name)
        if name in labels and isinstance(value, int) and value >= 0:
            return str(labels[name].int2str(value))
        return "" if value is None else str(value)

    names = dataset.column_names
    return [[cell(row, name, number) for name in names] for number, row in zip(numbers, rows, strict=True)]


def is_saved_dataset(path: Path) -> bool:
    """Tell whether ``save_to_disk`` wrote a folder."""
    return (path / "state.json").is_file() or (path / "dataset_dict.json").is_file()


def holds_parquet(path: Path) -> bool:
    """Tell whether a folder has Parquet files, directly or in its ``data``, where the Hub keeps them."""
    return any(file.is_file() for pattern in ("*.parquet", "data/*.parquet") for file in path.glob(pattern))


def _opened(name: object, opening: Callable[[], Any]) -> Any:
    try:
        return opening()
    except Exception as error:  # pyarrow, datasets and the Hub raise errors of many classes, always because of the data
        raise DataError(f"data set {name} cannot be opened: {reason(error)}") from error
