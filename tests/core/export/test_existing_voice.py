"""A finished voice is replaced by a better voice of the same recordings, and any other voice is never lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from killing import every_kill

from vtune import pipeline
from vtune.errors import VoiceError, VtuneError
from vtune.export.mixed_voice import write_mixed_voice
from vtune.recipe import Recipe
from vtune.runtime.paths import VoiceFolder, new_folder, sweep
from vtune.voice_format.record import list_voices, read_record
from vtune.voices.speech import open_voice


def kept(voices: Path) -> list[Path]:
    return sorted((voices / ".former").glob("*"))


def test_the_same_recordings_take_the_place_of_the_voice_and_others_keep_it_aside(
    toy: Callable[..., Recipe], speech: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    voices = tmp_path / "voices"
    (voice,) = pipeline.run(toy())
    speech("more", count=8, first=4)
    both = [{"source": str(tmp_path / name)} for name in ("speech", "more")]
    pipeline.run(toy(data=both))
    first = read_record(voice)
    assert first.training["clips"] == 12
    assert kept(voices) == []
    assert not [record for record in caplog.records if record.name == "vtune.export.existing_voice"]
    other = [{"source": str(speech("other", count=6, first=50))}]
    pipeline.run(toy(data=other, folders={"runs": str(tmp_path / "runs2"), "voices": str(voices)}))
    (aside,) = kept(voices)
    assert aside.name.startswith("someone-20")
    assert read_record(VoiceFolder(aside)).training["clips"] == 12
    assert f"{voice.path}: the voice in this folder was made {first.created[:10]}" in caplog.text
    assert f"from {tmp_path / 'speech'}, {tmp_path / 'more'}, not from the recordings of this recipe" in caplog.text
    assert f"the former voice is kept as {aside}" in caplog.text
    assert [voice.name for voice in list_voices(voices)] == ["someone"]
    assert list(open_voice(VoiceFolder(aside)).stream("hello"))


def test_killed_at_every_change_neither_voice_is_lost(make_voice: Callable[..., VoiceFolder], tmp_path: Path) -> None:
    voices, copy = tmp_path / "voices", tmp_path / "copy"
    make_voice(copy)
    names = {path.name for path in copy.iterdir()}

    def replace() -> None:
        with new_folder(voices / "ann", keep=lambda: True) as aside:
            for name in sorted(names):
                (aside / name).write_bytes((copy / name).read_bytes())

    voices.mkdir()
    replace()
    for _ in every_kill(voices, replace, at_least=len(names) + 4):
        sweep(voices)
        standing = [voices / "ann", *kept(voices)]
        assert all({path.name for path in voice.iterdir()} == names for voice in standing)
        assert [voice.name for voice in list_voices(voices)] == ["ann"]


def test_a_mix_replaces_no_voice_that_came_meanwhile(
    make_voice: Callable[..., VoiceFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_voice(tmp_path / "ann")
    make_voice(tmp_path / "ben", seed=1)
    from vtune.export import mixed_voice

    card = mixed_voice.write_card

    def another_voice_comes(*arguments: object) -> None:
        card(*arguments)  # type: ignore[arg-type]
        make_voice(tmp_path / "both", seed=2)

    monkeypatch.setattr(mixed_voice, "write_card", another_voice_comes)
    with pytest.raises(VoiceError, match="both exists already"):
        write_mixed_voice("0.5*ann+0.5*ben", "both", tmp_path, "cpu")
    assert read_record(VoiceFolder(tmp_path / "both")).mix is None
    assert sorted(os.listdir(tmp_path)) == ["ann", "ben", "both"]


def test_two_runs_do_not_write_one_voice_at_once(
    toy: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vtune.runtime.atomic_files.SWEEP_SECONDS", 0.1)
    with new_folder(tmp_path / "voices" / "someone") as aside:
        with pytest.raises(VtuneError, match="someone: another process is writing it; wait until it ends, or stop it"):
            pipeline.run(toy())
        assert aside.is_dir(), "it was swept under its writer"
        (aside / "voice.json").write_text("{}")
