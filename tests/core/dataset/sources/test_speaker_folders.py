"""Folders of recordings are speakers, parts of one speaker's recordings, or a question; voices are never merged
silently.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtune.dataset import folder_question, manifest_entries, open_source, open_sources
from vtune.dataset.sources.speaker_folders import divide_by_folders
from vtune.errors import DataError
from vtune.recipe import Recipe, SourceRecipe

Folder = Callable[..., Path]


def texts(*recordings: str) -> dict[str, str]:
    return {recording.replace(".wav", ".txt"): f"Words of {recording}." for recording in recordings}


@pytest.mark.parametrize(
    ("folders", "are_speakers"),
    [
        (("SPK1", "SPK2"), True),
        (("speaker_01/wavs", "speaker_02/wavs"), True),
        (("wav/train/S0002", "wav/train/S0003", "wav/dev/S0004"), True),
        (("cmu_us_slt_arctic/wav", "cmu_us_bdl_arctic/wav"), True),
        (("female/p225", "male/p226"), True),
        (("ann", "ben"), None),
        (("01", "02"), None),
        (("wavs/ann", "wavs/ben"), None),
        (("SPK1", "ben"), None),
        (("clips", "wavs"), False),
        (("part1", "part2", "part10"), False),
        (("train", "dev", "test"), False),
        (("chapter_01", "chapter_02"), False),
        (("2024-05-01", "2024-05-02"), False),
        (("Angry", "Happy", "Neutral"), False),
        (("disc 1", "disc 2"), False),
        (("ann", "clips"), False),
        (("ann/morning", "ann/evening"), None),
    ],
)
def test_names_of_folders_decide(folders: tuple[str, ...], are_speakers: bool | None) -> None:
    divided = divide_by_folders({f"/data/{folder}": 5 for folder in folders}, None)
    assert (False if divided is None else divided.are_speakers) == are_speakers
    assert divide_by_folders({f"/data/{folder}": 5 for folder in folders}, False) is None
    chosen = divide_by_folders({f"/data/{folder}": 5 for folder in folders}, True)
    assert chosen is not None
    assert chosen.are_speakers


def test_folders_of_one_recording_each_are_no_speakers() -> None:
    assert divide_by_folders({"/d/x": 1, "/d/y": 1, "/d/z": 2}, None) is None


@given(
    st.dictionaries(st.text("ab12/_-", min_size=1, max_size=12), st.integers(1, 9), max_size=6),
    st.booleans() | st.none(),
)
def test_every_recording_is_counted_once(counts: dict[str, int], choice: bool | None) -> None:
    folders = {f"/r/{name.strip('/')}".replace("//", "/"): count for name, count in counts.items()}
    divided = divide_by_folders(folders, choice)
    if divided is not None:
        assert divided.speaker_of.keys() == folders.keys()
        unnamed = sum(count for folder, count in folders.items() if not divided.speaker_of[folder])
        assert sum(divided.counts.values()) + unnamed == sum(folders.values())


def test_folders_with_names_of_speakers_are_voices(folder: Folder, recipe: Callable[..., Recipe]) -> None:
    names = ("SPK1/a.wav", "SPK1/b.wav", "SPK2/c.wav", "SPK2/d.wav")
    root = folder(*names, **texts(*names))
    loaded = recipe(root)
    voices = [entry.voice for entry in manifest_entries(loaded, open_sources(loaded))]
    assert voices == ["SPK1", "SPK1", "SPK2", "SPK2"]
    source = open_source(SourceRecipe(source=str(root)), root)
    assert source.description[-1] == "the folders of the recordings are the speakers: SPK1 (2), SPK2 (2)"


def test_other_folders_are_asked_about_and_the_recipe_answers(folder: Folder, recipe: Callable[..., Recipe]) -> None:
    names = ("ann/a.wav", "ann/b.wav", "ben/c.wav", "ben/d.wav")
    root = folder(*names, **texts(*names))

    def voices(**asked: object) -> set[str]:
        loaded = recipe({"source": str(root), **asked})
        return {entry.voice for entry in manifest_entries(loaded, open_sources(loaded))}

    with pytest.raises(
        DataError, match=r"data\.0: the folders ann \(2\), ben \(2\) divide .* 'speaker_folders: true' if"
    ):
        voices()
    assert voices(speaker_folders=True) == {"ann", "ben"}
    assert voices(speaker_folders=False) == {"someone"}
    assert voices(voice="nora") == {"nora"}


def test_a_table_that_names_speakers_answers(folder: Folder, recipe: Callable[..., Recipe]) -> None:
    rows = ("ann/a.wav,One two", "ben/b.wav,Three four", "ann/c.wav,Five", "ben/d.wav,Six")
    table = "filename,text,speaker\n" + "".join(f"{row},nora\n" for row in rows)
    root = folder("ann/a.wav", "ann/c.wav", "ben/b.wav", "ben/d.wav", **{"t.csv": table})
    loaded = recipe(root)
    assert {entry.voice for entry in manifest_entries(loaded, open_sources(loaded))} == {"someone"}


def test_a_table_that_is_the_source_is_asked_about_its_own_folders(
    folder: Folder, recipe: Callable[..., Recipe]
) -> None:
    one_speaker = "filename,text\nann/a.wav,One two\nann/b.wav,Three four\n"
    both = one_speaker + "ben/c.wav,Five six\nben/d.wav,Seven eight\n"
    root = folder("ann/a.wav", "ann/b.wav", "ben/c.wav", "ben/d.wav", **{"one.csv": one_speaker, "both.csv": both})
    loaded = recipe(root / "one.csv")
    assert {entry.voice for entry in manifest_entries(loaded, open_sources(loaded))} == {"someone"}
    loaded = recipe(root / "both.csv")
    with pytest.raises(DataError, match=r"the folders ann \(2\), ben \(2\) divide"):
        list(manifest_entries(loaded, open_sources(loaded)))


def test_raw_recordings_in_folders_are_asked_about(folder: Folder) -> None:
    root = folder("ann/a.wav", "ann/b.wav", "ben/c.wav", "ben/d.wav")
    assert "an entry of its own under 'data:'" in (folder_question(root, None) or "")
    assert folder_question(root, False) is None
    assert folder_question(root / "ann", None) is None
