"""Sources that Hugging Face ``datasets`` opens: a Hub data set, one saved to disk, a Parquet or Arrow file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from vtune import audio
from vtune.dataset.sources import Row
from vtune.dataset.tables import AUDIO_COLUMNS, SPEAKER_COLUMNS, TEXT_COLUMNS
from vtune.errors import DataError, nearest
from vtune.recipe import SourceRecipe
from vtune.types import Waveform


class DatasetSource:
    """Rows of a data set whose recordings are encoded files; read through soundfile, so torchcodec is not needed."""

    def __init__(self, dataset: Any, name: str, recipe: SourceRecipe) -> None:
        from datasets import Audio

        self._name = name
        columns = list(dataset.column_names)
        self._audio = self._column(recipe.audio_column, columns, AUDIO_COLUMNS, "recordings", "audio_column")
        self._text = self._column(recipe.text_column, columns, TEXT_COLUMNS, "words", "text_column")
        self._speaker = recipe.speaker_column or next((c for c in SPEAKER_COLUMNS if c in columns), None)
        if isinstance(dataset.features[self._audio], Audio):
            dataset = dataset.cast_column(self._audio, Audio(decode=False))
        self._rows = dataset
        self.description = [
            f"{name}: data set of {len(dataset):,} rows; {self._audio!r} holds the recording, {self._text!r} the words"
        ]

    @classmethod
    def from_hub(cls, recipe: SourceRecipe) -> DatasetSource:
        """Open ``hub:owner/name``. :raises DataError: it cannot be had."""
        import datasets

        name = recipe.source.removeprefix("hub:")
        try:
            return cls(datasets.load_dataset(name, split=recipe.split), recipe.source, recipe)
        except (OSError, ValueError, ConnectionError, RuntimeError) as error:
            raise DataError(f"data set {recipe.source!r} cannot be opened: {_line(error)}") from error

    @classmethod
    def from_disk(cls, path: Path, recipe: SourceRecipe) -> DatasetSource:
        """Open what ``save_to_disk`` wrote. :raises DataError: it is damaged or lacks the split."""
        import datasets

        try:
            found = datasets.load_from_disk(str(path))
        except (OSError, ValueError) as error:
            raise DataError(f"data set {path} cannot be opened: {_line(error)}") from error
        if isinstance(found, datasets.DatasetDict):
            if recipe.split not in found:
                raise DataError(f"data set {path} has no split {recipe.split!r} (it has: {', '.join(found)})")
            found = found[recipe.split]
        return cls(found, str(path), recipe)

    @classmethod
    def from_file(cls, path: Path, recipe: SourceRecipe) -> DatasetSource:
        """Open one Parquet or Arrow file. :raises DataError: it is not one."""
        import datasets

        try:
            opened = (
                datasets.Dataset.from_file(str(path))
                if path.suffix.lower() == ".arrow"
                else datasets.Dataset.from_parquet(str(path))
            )
        except Exception as error:  # pyarrow and datasets raise several kinds for a damaged file
            raise DataError(f"{path} cannot be opened: {_line(error)}") from error
        return cls(opened, str(path), recipe)

    def rows(self) -> Iterator[Row]:
        """Yield the rows; ``line`` is the row's number from 1, ``audio`` the same as text."""
        columns = [self._text, *([self._speaker] if self._speaker else [])]
        for number, row in enumerate(self._rows.select_columns(columns), 1):
            text = row[self._text]
            words = " ".join(text.split()) if isinstance(text, str) else ""
            speaker = str(row[self._speaker]) if self._speaker else ""
            yield Row(self._name, number, str(number), words, speaker, None if words else "no words")

    def seconds(self, name: str) -> float:
        """Return the seconds of a recording."""
        sound = self._sound(name)
        if isinstance(sound, dict):
            return len(sound["array"]) / int(sound["sampling_rate"])
        return audio.seconds_in(sound, self._place(name))

    def digest(self, name: str) -> str:
        """Hash the recording's bytes."""
        sound = self._sound(name)
        if isinstance(sound, dict):
            import numpy as np

            return sha256(np.asarray(sound["array"], dtype=np.float32).tobytes()).hexdigest()
        return sha256(sound.getvalue()).hexdigest()

    def load(self, name: str, sample_rate: int) -> Waveform:
        """Read a recording."""
        import numpy as np

        sound, place = self._sound(name), self._place(name)
        if isinstance(sound, dict):
            array = np.asarray(sound["array"], dtype=np.float32)
            return audio.to_mono(array, int(sound["sampling_rate"]), sample_rate, place)
        return audio.decode(sound, sample_rate, place)

    def _place(self, name: str) -> str:
        return f"{self._name} row {name}"

    def _sound(self, name: str) -> Any:
        """Return an open file of the recording, or ``{"array", "sampling_rate"}`` where samples are stored."""
        value = self._rows[int(name) - 1][self._audio]
        if isinstance(value, dict) and value.get("bytes"):
            return io.BytesIO(value["bytes"])
        path = value.get("path") if isinstance(value, dict) else value
        if isinstance(value, dict) and "array" in value and "sampling_rate" in value:
            return value
        if isinstance(path, str) and Path(path).is_file():
            return io.BytesIO(Path(path).read_bytes())
        raise DataError(f"{self._place(name)}: no recording in column {self._audio!r}")

    def _column(self, asked: str | None, columns: list[str], known: tuple[str, ...], what: str, key: str) -> str:
        if asked is not None and asked not in columns:
            raise DataError(f"{self._name} has no column {asked!r}{nearest(asked, columns)}")
        found = asked or next((name for name in known if name in columns), None)
        if found is None:
            raise DataError(
                f"{self._name} has the columns {', '.join(columns)}, none known for {what}; name it with {key}"
            )
        return found


def is_saved_dataset(path: Path) -> bool:
    """Whether ``save_to_disk`` wrote this folder."""
    return (path / "state.json").is_file() or (path / "dataset_dict.json").is_file()


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
